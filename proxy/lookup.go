package proxy

import (
	"context"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
)

// lookupPauses are the waits before each question what a request has used. OpenRouter
// answers about ten seconds after the end of a stream, and later for a vendor that works
// on after its client has left.
var lookupPauses = []time.Duration{
	1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second,
	time.Minute, time.Minute,
}

const (
	// mostLookups bounds those that wait; one more is dropped.
	mostLookups = 1024
	// lookupsAtOnce bounds the questions that are put at the same time.
	lookupsAtOnce = 8
	// lookupTime bounds one question.
	lookupTime = 10 * time.Second
	// maxGeneration bounds an answer in bytes.
	maxGeneration = 256 << 10
	// maxGenerationID bounds the name that a provider gives to a request.
	maxGenerationID = 256
)

// lookupResult is what became of a lookup.
type lookupResult string

const (
	lookupSettled  lookupResult = "settled"
	lookupNotFound lookupResult = "not_found" // the provider knew nothing of the request until the end
	lookupFailed   lookupResult = "failed"    // it could not be asked, or the ledger refused what it said
	lookupDropped  lookupResult = "dropped"   // too many were waiting, or sluice ended
)

// lookups ask providers after the end of an exchange what it has used, where its stream
// was cut before the usage came. No client waits for one, nor does the end of sluice.
type lookups struct {
	srv     *Server
	pauses  []time.Duration
	waiting chan struct{} // holds one for each that is under way
	asking  chan struct{} // holds one for each question that is put now
	results *prometheus.CounterVec
}

func newLookups(s *Server, registry prometheus.Registerer) *lookups {
	l := &lookups{
		srv: s, pauses: lookupPauses,
		waiting: make(chan struct{}, mostLookups), asking: make(chan struct{}, lookupsAtOnce),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_usage_lookups_total",
			Help: "Exchanges cut before their usage came whose provider was asked for it afterwards, by result.",
		}, []string{"result"}),
	}
	for _, r := range []lookupResult{lookupSettled, lookupNotFound, lookupFailed, lookupDropped} {
		l.results.WithLabelValues(string(r))
	}
	registry.MustRegister(l.results)
	return l
}

// lookup is the question for one exchange. It has nothing of the client's but the record.
type lookup struct {
	provider *provider
	id       string // the provider's, of the request
	record   *accounting.Record
	gen      *generation
}

// after looks up what an exchange has used once its record is kept, if its provider can be
// asked and has not said it already. It does not wait.
func (l *lookups) after(a *attempt, kept *accounting.Receipt) {
	if !a.usageUnknown() {
		return
	}
	id := a.upstreamName()
	if id == "" {
		return
	}
	job := lookup{provider: a.target.provider, id: id, record: a.final, gen: a.gen}
	kept.Then(func(err error) {
		if err == nil {
			l.begin(job)
		}
	})
}

// begin asks in the background.
func (l *lookups) begin(job lookup) {
	select {
	case l.waiting <- struct{}{}:
	default:
		l.count(lookupDropped)
		return
	}
	started := l.srv.background.start(l.srv, "looking up usage", func() {
		result := lookupFailed
		defer func() { // also after a panic
			<-l.waiting
			l.count(result)
		}()
		result = l.run(job)
	})
	if !started {
		<-l.waiting
		l.count(lookupDropped)
	}
}

func (l *lookups) count(r lookupResult) { l.results.WithLabelValues(string(r)).Inc() }

// usageUnknown tells whether the provider may charge for something that it has not said
// the amount of, and may be asked with a key of sluice's own. The client's key is not kept
// for that.
func (a *attempt) usageUnknown() bool {
	p := a.target.provider
	return a.final != nil && a.final.UsageSource != accounting.SourceReported &&
		p.LooksUpUsage() && p.Credential() == config.CredentialKey &&
		a.countable() && a.mayHaveRun() && !a.wasRefused()
}

// upstreamName is the provider's name for the request: OpenRouter has it in the head of its
// answer and in every chunk.
func (a *attempt) upstreamName() string {
	id := a.answer.Get("X-Generation-Id")
	if id == "" {
		id, _, _ = a.meter.Head()
	}
	if len(id) > maxGenerationID {
		return ""
	}
	return id
}

// run asks until there is an answer, or no hope of one.
func (l *lookups) run(job lookup) lookupResult {
	result := lookupNotFound
	for _, pause := range l.pauses {
		if !l.wait(pause) {
			return lookupDropped
		}
		said, status := l.ask(job)
		switch {
		case l.srv.life.Err() != nil:
			return lookupDropped
		case said.settled():
			return l.settle(job, said)
		case status == fasthttp.StatusOK, status == fasthttp.StatusNotFound: // not yet
			result = lookupNotFound
		case status == 0, status == fasthttp.StatusTooManyRequests, status == fasthttp.StatusRequestTimeout, status >= 500:
			result = lookupFailed
		default: // it will not say anything else later
			l.srv.log.Warn("a provider does not tell what a request has used",
				"provider", job.provider.Name, "id", job.record.ID, "status", status)
			return lookupFailed
		}
	}
	l.srv.log.Debug("a provider has not told what a request has used",
		"provider", job.provider.Name, "id", job.record.ID, "result", string(result))
	return result
}

// wait reports false when sluice ends first.
func (l *lookups) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.srv.life.Done():
		return false
	}
}

// ask puts the question once. A status of 0 is no answer.
func (l *lookups) ask(job lookup) (generated, int) {
	select {
	case l.asking <- struct{}{}:
	case <-l.srv.life.Done():
		return generated{}, 0
	}
	defer func() { <-l.asking }()
	ctx, cancel := context.WithTimeout(l.srv.life, lookupTime)
	defer cancel()
	head := job.provider.ownHead("/generation?id="+url.QueryEscape(job.id), job.record.ID)
	status, body, err := job.provider.fetchJSON(ctx, head, maxGeneration)
	if err != nil {
		return generated{}, 0
	}
	return parseGeneration(body, job.id), status
}

// settle gives the record what the provider has said.
func (l *lookups) settle(job lookup, said generated) lookupResult {
	amended := job.amend(said)
	kept := l.srv.ledger.Amend(amended)
	select {
	case <-kept.Done():
	case <-l.srv.life.Done(): // the ledger has it and keeps it
		return lookupSettled
	}
	if err := kept.Err(); err != nil {
		l.srv.log.Error("the ledger refused the usage that was looked up", "id", amended.ID, "error", err)
		return lookupFailed
	}
	l.srv.chargeMore(job, amended)
	l.srv.log.Info("usage was looked up", "id", amended.ID, "uid", amended.UID, "provider", amended.Provider,
		"usage", amended.Usage, "cost_nano_usd", amended.CostNanoUSD)
	return lookupSettled
}

// amend is the record with the provider's numbers, beside what was counted here.
func (job lookup) amend(said generated) *accounting.Record {
	r := *job.record
	if r.UsageSource == accounting.SourceEstimated || r.OutputEstimated {
		estimate := r.Usage
		r.Estimate = &estimate
	}
	r.Usage, r.UsageSource, r.OutputEstimated, r.RawUsage = said.usage, accounting.SourceReported, false, said.raw
	job.gen.pricer.Price(&r)
	if cost, ok := said.cost(); ok {
		low, high := cost, cost
		r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD = &cost, &low, &high
	}
	return &r
}

// chargeMore charges the budgets what an exchange has used beyond what it was settled with.
// What it has used less is not given back: the books have it, and the budgets read them at
// the next start.
func (s *Server) chargeMore(job lookup, after *accounting.Record) {
	was, is := usedBy(job.record), usedBy(after)
	more := limits.Amount{Tokens: max(is.Tokens-was.Tokens, 0), NanoUSD: max(is.NanoUSD-was.NanoUSD, 0)}
	if more != (limits.Amount{}) {
		charge(s.limiter, job.gen.cfg, s.keys, after, more)
	}
}
