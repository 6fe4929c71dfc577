package proxy

import (
	"slices"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// counted is what an attempt has used, once it is known.
type counted struct {
	done            bool
	total           tokens.Usage
	source          accounting.Source
	outputEstimated bool
}

// finalUsage is the usage that the books state, with the source of it: the
// provider's where it said anything, an estimate where the request may have run,
// and none where it cannot have. It is worked out once, after the end.
func (a *attempt) finalUsage() (tokens.Usage, accounting.Source) {
	u := &a.usage
	if u.done {
		return u.total, u.source
	}
	u.total, u.source = a.countUsage()
	// Some providers state the input with the first event and the output with the last.
	if u.source == accounting.SourceRunning && !u.total.Output.Known && a.countable() {
		if e := a.estimate(); e.Output.Known {
			u.total.Output, u.total.OutputReasoning, u.outputEstimated = e.Output, e.OutputReasoning, true
		}
	}
	u.done = true
	return u.total, u.source
}

// statedUsage is what the provider has said so far.
func (a *attempt) statedUsage() (tokens.Usage, accounting.Source) {
	e, _ := a.valve.ended()
	u, _ := a.meter.Usage()
	return u, a.meter.Source(e.outcome == accounting.OutcomeCompleted)
}

// usageSource is where finalUsage takes its numbers from.
func (a *attempt) usageSource() accounting.Source {
	if _, source := a.statedUsage(); source != accounting.SourceNone {
		return source
	}
	if a.mayHaveRun() && !a.wasRefused() && a.countable() {
		return accounting.SourceEstimated
	}
	return accounting.SourceNone
}

func (a *attempt) countUsage() (tokens.Usage, accounting.Source) {
	switch source := a.usageSource(); source {
	case accounting.SourceEstimated:
		return a.estimate(), source
	case accounting.SourceNone:
		return tokens.Usage{}, source
	default:
		u, _ := a.statedUsage()
		return u, source
	}
}

func (a *attempt) estimate() tokens.Usage {
	e, text := &a.srv.estimator, a.meter.Text()
	known := a.gen.known.Find(a.target.provider.Dialect, a.target.model)
	bounds := accounting.Bounds{MaxOutput: known.MaxOutput, Context: known.Context}
	if sketch := a.prompt.sketch; sketch != nil {
		return e.EstimateSketch(sketch, text, bounds)
	}
	return e.Estimate(a.countedAs(), string(a.endpoint), a.prompt.body, text, bounds)
}

// explainEstimate says in the record what an estimate was made with, and what it cannot
// contain.
func (a *attempt) explainEstimate(r *accounting.Record) {
	r.EstimatedWith = a.srv.estimator.Basis(a.countedAs())
	if a.srv.estimator.MayHideReasoning(a.countedAs(), a.meter.Text()) {
		r.Warnings = append(slices.Clip(r.Warnings), "output is at least this much: the model may have reasoned without showing it")
	}
}

// countedAs is the model whose vocabulary the tokens are counted with: routers and
// deployments have names that tell less than what the answer says of itself.
func (a *attempt) countedAs() string {
	_, _, answered := a.meter.Head()
	return accounting.BestModelName(answered, a.target.model)
}

// mayHaveRun tells whether the provider may have begun to work on the request.
func (a *attempt) mayHaveRun() bool {
	return accounting.Phase(a.decidedIn.Load()) >= accounting.PhaseAwaitHeaders
}

// wasRefused tells whether the provider answered that it did not run the request.
func (a *attempt) wasRefused() bool { return a.statusUp >= 300 }

// countable tells whether tokens mean anything at this endpoint.
func (x *exchange) countable() bool {
	return x.request != nil && (x.shape != accounting.ShapeGeneric || x.endpoint == translate.Embeddings)
}

// mayBill is what the provider may charge: nothing for what cannot have run, else
// what the configuration says of a cut answer.
func (a *attempt) mayBill(source accounting.Source) string {
	e, _ := a.valve.ended()
	switch {
	case a.method != fasthttp.MethodPost && source == accounting.SourceNone: // it generates nothing
		return accounting.MayBillNone
	case e.outcome == accounting.OutcomeCompleted:
		return accounting.MayBillFull
	case source == accounting.SourceNone && (!a.mayHaveRun() || a.wasRefused()):
		return accounting.MayBillNone
	default:
		return a.target.provider.bills(a.streams())
	}
}

// serviceTier is what the provider says of how it has served the request.
func (a *attempt) serviceTier() string {
	if tier := a.meter.ServiceTier(); tier != "" {
		return tier
	}
	return gjson.GetBytes(a.meter.RawUsage(), "service_tier").Str // Anthropic's place for it
}

// closeMicros is how long its connection took to close once its end was decided, nil where
// it was not closed then.
func (a *attempt) closeMicros() *int64 {
	d, ok := a.valve.closing()
	if !ok {
		return nil
	}
	us := max(d.Microseconds(), 1)
	return &us
}

// row is what the books say of an attempt that has ended, at this reading of the clock. What
// it has used is in it where another attempt has served the client.
func (a *attempt) row(at int64, final bool) accounting.Attempt {
	e, _ := a.valve.ended()
	row := accounting.Attempt{
		ID: a.attemptID(), Provider: a.target.provider.Name, Model: a.target.model, Kind: a.kind, Final: final,
		Phase: accounting.Phase(a.decidedIn.Load()), Outcome: e.outcome, Code: e.code, Status: a.statusUp,
		Start: a.start.Add(time.Duration(a.beganAt)), Duration: time.Duration(at - a.beganAt), Reused: a.reused,
	}
	if final {
		return row
	}
	row.Usage, row.UsageSource = a.finalUsage()
	row.MayBill, row.ServiceTier, row.CloseMicros = a.mayBill(row.UsageSource), a.serviceTier(), a.closeMicros()
	return row
}
