package proxy

import (
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/limits"
)

// last is what is about to be written to the client as the end of its answer.
type last struct {
	status int  // of its head, 0 if that has been written
	bytes  int  // of the body
	whole  bool // it ends a well-formed response
}

// account makes the record and waits until it is durable, before the client sees the end
// of its answer: whoever has seen that can rely on the books. What is given back to the
// limits, and the place at the target, is free for the client's next request by then.
func (a *attempt) account(end last) {
	x := a.exchange
	a.leaveTurn()
	if x.final != nil || x.unbooked() {
		return
	}
	estimates := a.usageSource() == accounting.SourceEstimated
	for _, other := range x.attempts.all() {
		if other != a {
			<-other.done // it has been cut
			estimates = estimates || other.usageSource() == accounting.SourceEstimated
		}
	}
	made := make(chan *accounting.Receipt, 1)
	job := func() {
		receipt := accounting.Settled(nil)
		defer func() { made <- receipt }() // also after a panic, which is dealt with elsewhere
		receipt = x.finish(a, end)
	}
	if estimates {
		x.srv.finisher.SubmitUrgent(job) // counting takes long
	} else {
		x.aside(job)
	}
	_ = (<-made).Err() // the ledger has said why
	x.settleLimits()
}

// unbooked tells that an exchange has no record: nothing was sent to anybody, and it was
// turned away or its client left.
func (x *exchange) unbooked() bool { return x.rejected != "" }

// settleLimits tells the limits what was used, as the books have it. Only the first time counts.
func (x *exchange) settleLimits() {
	if x.final == nil { // it was rejected, or has no record after a panic
		x.quota.grant.Settle(noAmount)
	} else {
		x.quota.grant.Settle(usedBy(x.final))
	}
	for i, a := range x.attempts.all() {
		a.share.grant.Settle(x.usedIn(i))
	}
}

// usedIn is what the attempt of that place has used, by the record.
func (x *exchange) usedIn(i int) limits.Amount {
	r := x.final
	if r == nil || i >= len(r.Attempts) {
		return noAmount
	}
	row := &r.Attempts[i]
	usage, cost := row.Usage, row.CostNanoUSD
	if row.Final {
		usage, cost = r.Usage, r.CostNanoUSD
	}
	used := limits.Amount{Tokens: usage.Input.N + usage.Output.N}
	if cost != nil {
		used.NanoUSD = *cost
	}
	return used
}

// finish makes the record and hands it to the ledger.
func (x *exchange) finish(a *attempt, end last) *accounting.Receipt {
	x.ended = time.Since(x.start)
	r := a.makeRecord()
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
	if x.unbooked() {
		s.metrics.Rejected(x.rejected)
		return
	}
	a := x.last()
	delivered := a.client.whole && !a.client.failed
	switch r := x.final; {
	case r == nil:
		kept = x.finish(a, last{whole: delivered})
	case r.Delivered != delivered || r.BytesDelivered != a.client.bytes || r.Chunks != a.live.chunks.Load():
		amended := *r
		amended.Delivered, amended.BytesDelivered = delivered, a.client.bytes
		amended.Chunks, amended.Total = a.live.chunks.Load(), x.left
		x.final = &amended
		kept = s.ledger.Amend(&amended)
	}
	s.lookups.after(a, kept)
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

func (a *attempt) makeRecord() *accounting.Record {
	e, _ := a.exchange.valve.ended()
	stats := a.meter.Stats()
	usage, source := a.finalUsage()
	calls := a.meter.ToolCalls()
	r := &accounting.Record{
		UID: a.uid, ID: a.id, Start: a.start, ToHeaders: a.headersAt, ToFirstToken: a.firstAt, Total: a.ended,
		Key: a.owner.Alias, Metadata: a.owner.Metadata, ModelAsked: a.asked, ModelServed: a.target.model,
		Provider: a.target.provider.Name, Target: a.target.name(),
		DialectIn: dialectOpenAI, DialectOut: a.target.provider.Dialect,
		Stream: a.streams(), Endpoint: string(a.endpoint),
		Phase: accounting.Phase(a.exchange.decidedIn.Load()), Outcome: e.outcome, Code: e.code, HalfClosed: e.halfClosed,
		StatusDownstream: a.statusDownstream(e.outcome), StatusUpstream: a.statusUp,
		Chunks: a.live.chunks.Load(), BytesDelivered: a.client.bytes,
		Usage: usage, UsageSource: source, OutputEstimated: a.usage.outputEstimated, RawUsage: a.meter.RawUsage(), MayBill: a.mayBill(source),
		ToolCalls: accounting.SummarizeToolCalls(calls), FinishReasons: a.finishReasons(),
		AccountingDegraded: stats.Degraded, BadEvents: stats.BadEvents,
		UpstreamRequestID: upstreamRequestID(&a.answer), ServiceTier: a.serviceTier(), CloseMicros: a.closeMicros(),
	}
	if a.foreign != nil {
		r.Warnings = a.foreign.context.Warnings
	}
	if !json.Valid(r.RawUsage) {
		r.RawUsage = nil
	}
	r.OutputLimit = a.prompt.outputLimit()
	if source == accounting.SourceEstimated || r.OutputEstimated {
		a.explainEstimate(r)
	}
	r.Attempts = a.rows()
	a.gen.pricer.Price(r)
	return r
}

// rows are those of all attempts of the exchange, of which this is the final one.
func (a *attempt) rows() []accounting.Attempt {
	var rows []accounting.Attempt
	for _, one := range a.attempts.all() {
		at := one.endedAt
		if one == a {
			at = a.ended
		}
		rows = append(rows, one.row(int64(at), one == a))
	}
	return rows
}

// finishReasons are those of all choices, or nil when none has one.
func (a *attempt) finishReasons() []string {
	if a.meter.Finished() == 0 && a.shape != accounting.ShapeResponses {
		return nil
	}
	return a.meter.FinishReasons()
}

// statusDownstream is the status that the client got, or 499 for one that left
// before it got any.
func (a *attempt) statusDownstream(o accounting.Outcome) int {
	if o == accounting.OutcomeClientGone {
		return statusClientClosedRequest
	}
	return a.client.status
}

// logRecord writes the access log: one line for each exchange, the record itself.
func (s *Server) logRecord(r *accounting.Record) {
	s.log.Info("exchange", "record", r)
}
