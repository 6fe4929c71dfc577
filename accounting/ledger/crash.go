package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// What the record of a crash says of its own numbers.
const (
	warningSizes    = "the process died: tokens are estimated by size, 4 bytes each"
	warningAnswer   = "the process died: output tokens are estimated by size, 4 bytes each"
	warningUnknown  = "the process died before it had noted how far the exchange had come: input tokens are estimated by size, 4 bytes each, and the output is not known"
	bytesPerToken   = 4
	unfinishedPhase = accounting.PhaseSending
)

// checkpoint is the last that a dead process has said of an exchange.
type checkpoint struct {
	accounting.Checkpoint
	at time.Time
}

// crashRecord is the record of an exchange that a dead process left open, by the intents
// of its calls, of which there is at least one, and its last checkpoint, which may be nil.
func crashRecord(intents []*accounting.Intent, last *checkpoint) *accounting.Record {
	slices.SortStableFunc(intents, func(a, b *accounting.Intent) int {
		return cmp.Or(cmp.Compare(len(a.AttemptID), len(b.AttemptID)), cmp.Compare(a.AttemptID, b.AttemptID))
	})
	i := intents[len(intents)-1]
	r := &accounting.Record{
		UID: i.UID, ID: i.ID, Start: i.Start, Key: i.Key, ModelAsked: i.ModelAsked, ModelServed: i.Model,
		Provider: i.Provider, Target: i.Target, DialectIn: i.DialectIn, DialectOut: i.DialectOut,
		Endpoint: i.Endpoint, Stream: i.Stream, MayBill: i.MayBill,
		Outcome: accounting.OutcomeCrash, Phase: unfinishedPhase,
	}
	if last != nil {
		r.Phase, r.Chunks = last.Phase, last.Chunks
		r.Total = max(last.at.Sub(i.Start), 0)
	}
	countCrash(r, i, last)
	for n, intent := range intents {
		a := accounting.Attempt{
			ID: intent.AttemptID, Provider: intent.Provider, Model: intent.Model, Start: intent.Start,
			// There is a further call only after one that failed.
			Phase: unfinishedPhase, Outcome: accounting.OutcomeUpstreamError,
		}
		if n == len(intents)-1 {
			a.Phase, a.Outcome, a.Duration = r.Phase, r.Outcome, r.Total
		}
		r.Attempts = append(r.Attempts, a)
	}
	return r
}

// countCrash puts into the record what the exchange has used as far as anybody knows.
func countCrash(r *accounting.Record, i *accounting.Intent, last *checkpoint) {
	prompt := tokens.Known(tokensOf(i.PromptBytes))
	switch {
	case last == nil:
		// The intent was kept before the request was sent, so that it may have run.
		r.UsageSource, r.Usage.Input = accounting.SourceEstimated, prompt
		r.Warnings = []string{warningUnknown}
	case last.Phase < accounting.PhaseSending:
		r.UsageSource, r.MayBill = accounting.SourceNone, accounting.MayBillNone
	case last.Input != nil && last.Output != nil:
		r.UsageSource = accounting.SourceRunning
		r.Usage.Input, r.Usage.Output = tokens.Known(*last.Input), tokens.Known(*last.Output)
	case last.Input != nil:
		r.UsageSource, r.OutputEstimated = accounting.SourceRunning, true
		r.Usage.Input, r.Usage.Output = tokens.Known(*last.Input), tokens.Known(tokensOf(last.OutputBytes))
		r.Warnings = []string{warningAnswer}
	default:
		r.UsageSource = accounting.SourceEstimated
		r.Usage.Input, r.Usage.Output = prompt, tokens.Known(tokensOf(last.OutputBytes))
		if last.Output != nil {
			r.Usage.Output = tokens.Known(*last.Output)
		}
		r.Warnings = []string{warningSizes}
	}
}

func tokensOf(size int64) int64 { return (max(size, 0) + bytesPerToken - 1) / bytesPerToken }
