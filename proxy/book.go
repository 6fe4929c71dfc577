package proxy

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/translate"
)

// keptPrompt bounds the request body that is kept for an estimate of its tokens
// while the answer streams. Of a larger one a sketch is kept, and the rest let go.
const keptPrompt = 256 << 10

// releasePrompt lets a large request body go once it has been sent.
func (x *exchange) releasePrompt() {
	if len(x.prompt) <= keptPrompt {
		return
	}
	x.promptLimit = x.outputLimit()
	x.sketch = x.srv.estimator.Sketch(x.target.model, string(x.endpoint), x.prompt)
	x.prompt = nil
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
	e, text := &x.srv.estimator, x.meter.Text()
	known := x.srv.known.Find(x.target.provider.Dialect, x.target.model)
	bounds := accounting.Bounds{MaxOutput: known.MaxOutput, Context: known.Context}
	if x.sketch != nil {
		return e.EstimateSketch(x.sketch, text, bounds)
	}
	return e.Estimate(x.countedAs(), string(x.endpoint), x.prompt, text, bounds)
}

// explainEstimate says in the record what an estimate was made with, and what it cannot
// contain.
func (x *exchange) explainEstimate(r *accounting.Record) {
	r.EstimatedWith = x.srv.estimator.Basis(x.countedAs())
	if x.srv.estimator.MayHideReasoning(x.countedAs(), x.meter.Text()) {
		r.Warnings = append(slices.Clip(r.Warnings), "output is at least this much: the model may have reasoned without showing it")
	}
}

// countedAs is the model whose vocabulary the tokens are counted with: routers and
// deployments have names that tell less than what the answer says of itself.
func (x *exchange) countedAs() string {
	_, _, answered := x.meter.Head()
	return accounting.BestModelName(answered, x.target.model)
}

// refused tells whether the provider answered that it did not run the request.
func (x *exchange) refused() bool { return x.statusUp >= 300 }

// countable tells whether tokens mean anything at this endpoint.
func (x *exchange) countable() bool {
	return x.request != nil && (x.shape != accounting.ShapeGeneric || x.endpoint == translate.Embeddings)
}

// last is what is about to be written to the client as the end of its answer.
type last struct {
	status int  // of its head, 0 if that has been written
	bytes  int  // of the body
	whole  bool // it ends a well-formed response
}

// account makes the record and waits until it is durable, before the client sees the end
// of its answer: whoever has seen that can rely on the books. What is given back to the
// limits is free for the client's next request by then.
func (x *exchange) account(end last) {
	if x.final != nil || x.rejected != "" {
		return
	}
	made := make(chan *accounting.Receipt, 1)
	job := func() {
		receipt := accounting.Settled(nil)
		defer func() { made <- receipt }() // also after a panic, which is dealt with elsewhere
		receipt = x.finish(end)
	}
	if x.usageSource() == accounting.SourceEstimated {
		x.srv.finisher.SubmitUrgent(job) // counting takes long
	} else {
		x.aside(job)
	}
	_ = (<-made).Err() // the ledger has said why
	x.settleLimits()
}

// settleLimits tells the limits what was used, as the books have it. Only the first time counts.
func (x *exchange) settleLimits() {
	if x.final != nil {
		x.quota.grant.Settle(usedBy(x.final))
		return
	}
	x.quota.grant.Settle(limits.Amount{}) // it was rejected, or has no record after a panic
}

// finish makes the record and hands it to the ledger.
func (x *exchange) finish(end last) *accounting.Receipt {
	x.ended = time.Since(x.start)
	r := x.makeRecord()
	if end.status != 0 && r.StatusDownstream == 0 {
		r.StatusDownstream = end.status
	}
	r.BytesDelivered += int64(end.bytes)
	r.Delivered = end.whole
	x.final = r
	return x.srv.ledger.Finish(r)
}

// book deals with what is left when the exchange's goroutine ends: the record, if its
// client did not wait for it, and what depends on it. The work happens off the
// forwarding path.
func (s *Server) book(x *exchange) {
	x.left = time.Since(x.start)
	s.finisher.Submit(func() { s.record(x) })
}

// record completes the one record of an exchange and feeds metrics and log from it. Only
// when the record is kept does the exchange leave the list of those without one.
func (s *Server) record(x *exchange) {
	kept := accounting.Settled(nil)
	defer func() { kept.Then(func(err error) { s.recorded(x, err) }) }()
	if x.rejected != "" {
		s.metrics.Rejected(x.rejected)
		return
	}
	delivered := x.client.whole && !x.client.failed
	switch r := x.final; {
	case r == nil:
		kept = x.finish(last{whole: delivered})
	case r.Delivered != delivered || r.BytesDelivered != x.client.bytes || r.Chunks != x.live.chunks.Load():
		amended := *r
		amended.Delivered, amended.BytesDelivered = delivered, x.client.bytes
		amended.Chunks, amended.Total = x.live.chunks.Load(), x.left
		x.final = &amended
		kept = s.ledger.Amend(&amended)
	}
	s.lookups.after(x, kept)
	x.keepTapped()
	s.metrics.Exchange(x.final, x.overhead)
	s.logRecord(x.final)
}

func (s *Server) recorded(x *exchange, err error) {
	if err != nil {
		s.log.Error("the ledger refused a record", "id", x.id, "error", err)
	}
	x.settleLimits()
	s.running.remove(x)
	close(x.recorded)
}

func (x *exchange) makeRecord() *accounting.Record {
	e, _ := x.valve.ended()
	phase := accounting.Phase(x.decidedIn.Load())
	stats := x.meter.Stats()
	usage, source := x.finalUsage()
	calls := x.meter.ToolCalls()
	r := &accounting.Record{
		UID: x.uid, ID: x.id, Start: x.start, ToHeaders: x.headersAt, ToFirstToken: x.firstAt, Total: x.ended,
		Key: x.owner.Alias, Metadata: x.owner.Metadata, ModelAsked: x.asked, ModelServed: x.target.model,
		Provider: x.target.provider.Name, Target: x.target.name(),
		DialectIn: dialectOpenAI, DialectOut: x.target.provider.Dialect,
		Stream: x.streams(), Endpoint: string(x.endpoint),
		Phase: phase, Outcome: e.outcome, Code: e.code, HalfClosed: e.halfClosed,
		StatusDownstream: x.statusDownstream(e.outcome), StatusUpstream: x.statusUp,
		Chunks: x.live.chunks.Load(), BytesDelivered: x.client.bytes,
		Usage: usage, UsageSource: source, OutputEstimated: x.outputEstimated, RawUsage: x.meter.RawUsage(), MayBill: x.mayBill(source),
		ToolCalls: accounting.SummarizeToolCalls(calls), FinishReasons: x.finishReasons(),
		AccountingDegraded: stats.Degraded, BadEvents: stats.BadEvents,
		UpstreamRequestID: upstreamRequestID(&x.answer), ServiceTier: x.serviceTier(),
	}
	if x.foreign != nil {
		r.Warnings = x.foreign.context.Warnings
	}
	if !json.Valid(r.RawUsage) {
		r.RawUsage = nil
	}
	r.OutputLimit = x.outputBound()
	if source == accounting.SourceEstimated || r.OutputEstimated {
		x.explainEstimate(r)
	}
	x.srv.pricer.Price(r)
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

// serviceTier is what the provider says of how it has served the request.
func (x *exchange) serviceTier() string {
	if tier := x.meter.ServiceTier(); tier != "" {
		return tier
	}
	return gjson.GetBytes(x.meter.RawUsage(), "service_tier").Str // Anthropic's place for it
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
	case x.method != fasthttp.MethodPost && source == accounting.SourceNone: // it generates nothing
		return accounting.MayBillNone
	case e.outcome == accounting.OutcomeCompleted:
		return accounting.MayBillFull
	case source == accounting.SourceNone && (!x.mayHaveRun() || x.refused()):
		return accounting.MayBillNone
	default:
		return x.target.provider.bills(x.streams())
	}
}

// logRecord writes the access log: one line for each exchange, the record itself.
func (s *Server) logRecord(r *accounting.Record) {
	s.log.Info("exchange", "record", r)
}
