package proxy

import (
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// keptPrompt bounds the request body that is kept for an estimate of its tokens
// while the answer streams. A larger one is counted early, off the forwarding
// path, and let go.
const keptPrompt = 1 << 20

// releasePrompt lets a large request body go once it has been sent.
func (x *exchange) releasePrompt() {
	if len(x.prompt) <= keptPrompt {
		return
	}
	prompt, limit := x.prompt, x.outputLimit()
	x.prompt = nil
	x.early = make(chan earlyCount, 1)
	x.srv.finisher.Submit(func() {
		count := earlyCount{limit: limit}
		defer func() { x.early <- count }()
		count.input = x.srv.estimator.Prompt(x.target.model, string(x.endpoint), prompt)
	})
}

// earlyCount is what is known of a large request after its body was let go.
type earlyCount struct {
	input, limit int64
}

func (x *exchange) outputLimit() int64 {
	limit, _ := accounting.OutputLimit(x.prompt)
	return limit
}

// usage is what the provider has said so far.
func (x *exchange) usage() (tokens.Usage, accounting.Source) {
	e, _ := x.valve.ended()
	u, _ := x.meter.Usage()
	return u, x.meter.Source(e.outcome == accounting.OutcomeCompleted)
}

// finalUsage is the usage that the record states, with the source of it: the
// provider's where it said anything, an estimate where the request may have run,
// and none where it cannot have. It is worked out once, after the end.
func (x *exchange) finalUsage() (tokens.Usage, accounting.Source) {
	if x.counted {
		return x.total, x.source
	}
	x.total, x.source = x.countUsage()
	// Some providers state the input with the first event and the output with the last.
	if x.source == accounting.SourceRunning && !x.total.Output.Known && x.countable() {
		if e := x.estimate(); e.Output.Known {
			x.total.Output, x.total.OutputReasoning, x.outputEstimated = e.Output, e.OutputReasoning, true
		}
	}
	x.counted = true
	return x.total, x.source
}

// usageSource is where finalUsage takes its numbers from.
func (x *exchange) usageSource() accounting.Source {
	if _, source := x.usage(); source != accounting.SourceNone {
		return source
	}
	if x.mayHaveRun() && !x.refused() && x.countable() {
		return accounting.SourceEstimated
	}
	return accounting.SourceNone
}

func (x *exchange) countUsage() (tokens.Usage, accounting.Source) {
	switch source := x.usageSource(); source {
	case accounting.SourceEstimated:
		return x.estimate(), source
	case accounting.SourceNone:
		return tokens.Usage{}, source
	default:
		u, _ := x.usage()
		return u, source
	}
}

func (x *exchange) estimate() tokens.Usage {
	text := x.meter.Text()
	if x.early == nil {
		return x.srv.estimator.Estimate(x.target.model, string(x.endpoint), x.prompt, text)
	}
	count := <-x.early
	var u tokens.Usage
	u.Input.Set(count.input)
	if output := x.srv.estimator.Output(x.target.model, text); output > 0 {
		if count.limit > 0 {
			output = min(output, count.limit)
		}
		u.Output.Set(output)
	}
	return u
}

// refused tells whether the provider answered that it did not run the request.
func (x *exchange) refused() bool { return x.statusUp >= 300 }

// countable tells whether tokens mean anything at this endpoint.
func (x *exchange) countable() bool {
	return x.request != nil && (x.shape != accounting.ShapeGeneric || x.endpoint == translate.Embeddings)
}

// book hands the exchange over for its record. It is the last thing the exchange's
// goroutine does; the work happens off the forwarding path.
func (s *Server) book(x *exchange) {
	x.ended = time.Since(x.start)
	s.finisher.Submit(func() { s.record(x) })
}

// record makes the one record of an exchange: ledger, metrics and log, and only
// then does the exchange leave the list of those without one.
func (s *Server) record(x *exchange) {
	defer close(x.recorded)
	defer s.running.remove(x)
	r := x.makeRecord()
	if err := s.ledger.Finish(r); err != nil {
		s.log.Error("the ledger refused a record", "id", r.ID, "error", err)
	}
	s.metrics.Exchange(r, x.overhead)
	s.logRecord(r)
}

func (x *exchange) makeRecord() *accounting.Record {
	e, _ := x.valve.ended()
	phase := accounting.Phase(x.decidedIn.Load())
	stats := x.meter.Stats()
	usage, source := x.finalUsage()
	calls := x.meter.ToolCalls()
	r := &accounting.Record{
		ID: x.id, Start: x.start, ToHeaders: x.headersAt, ToFirstToken: x.firstAt, Total: x.ended,
		Key: x.owner, ModelAsked: x.asked, ModelServed: x.target.model,
		Provider: x.target.provider.Name, Target: x.target.name(),
		DialectIn: dialectOpenAI, DialectOut: x.target.provider.Dialect,
		Stream: x.streams(), Endpoint: string(x.endpoint),
		Phase: phase, Outcome: e.outcome, Code: e.code, HalfClosed: e.halfClosed,
		StatusDownstream: x.statusDownstream(e.outcome), StatusUpstream: x.statusUp,
		Chunks: x.live.chunks.Load(), BytesDelivered: x.client.bytes,
		Usage: usage, UsageSource: source, OutputEstimated: x.outputEstimated, RawUsage: x.meter.RawUsage(), MayBill: x.mayBill(source),
		ToolCalls: accounting.SummarizeToolCalls(calls), FinishReasons: x.finishReasons(),
		Delivered: x.client.whole && !x.client.failed, AccountingDegraded: stats.Degraded, BadEvents: stats.BadEvents,
		UpstreamRequestID: upstreamRequestID(&x.answer),
	}
	if x.foreign != nil {
		r.Warnings = x.foreign.context.Warnings
	}
	if !json.Valid(r.RawUsage) {
		r.RawUsage = nil
	}
	if d, ok := x.valve.closing(); ok {
		us := max(d.Microseconds(), 1)
		r.CloseMicros = &us
	}
	at := time.Duration(x.timer.attemptAt.Load())
	r.Attempts = []accounting.Attempt{{
		ID: x.id + "-1", Provider: r.Provider, Model: r.ModelServed, Phase: phase, Outcome: e.outcome,
		Status: x.statusUp, Start: x.start.Add(at), Duration: x.ended - at, Code: e.code, Reused: x.reused,
	}}
	return r
}

// finishReasons are those of all choices, or nil when none has one.
func (x *exchange) finishReasons() []string {
	if x.meter.Finished() == 0 && x.shape != accounting.ShapeResponses {
		return nil
	}
	return x.meter.FinishReasons()
}

// statusDownstream is the status that the client got, or 499 for one that left
// before it got any.
func (x *exchange) statusDownstream(o accounting.Outcome) int {
	if o == accounting.OutcomeClientGone {
		return statusClientClosedRequest
	}
	return x.client.status
}

// mayBill is what the provider may charge: nothing for what cannot have run, else
// what the configuration says of a cut answer.
func (x *exchange) mayBill(source accounting.Source) string {
	e, _ := x.valve.ended()
	switch {
	case e.outcome == accounting.OutcomeCompleted:
		return accounting.MayBillFull
	case source == accounting.SourceNone && (!x.mayHaveRun() || x.refused()):
		return accounting.MayBillNone
	default:
		return x.target.provider.MayBill
	}
}

// logRecord writes the access log: one line for each exchange, the record itself.
func (s *Server) logRecord(r *accounting.Record) {
	s.log.Info("exchange", "record", r)
}
