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
	warningBeside   = "the process died: the input tokens of attempts that ran beside the last one are estimated by size, 4 bytes each, and their output is not known"
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
	slices.SortStableFunc(intents, func(a, b *accounting.Intent) int { return compareAttempts(a.AttemptID, b.AttemptID) })
	ended := endedBefore(intents)
	final := finalIntent(intents, ended, last)
	delete(ended, final.AttemptID) // no intent says of its own attempt that it has ended
	r := &accounting.Record{
		UID: final.UID, ID: final.ID, Start: final.Start, Key: final.Key, ModelAsked: final.ModelAsked, ModelServed: final.Model,
		Provider: final.Provider, Target: final.Target, DialectIn: final.DialectIn, DialectOut: final.DialectOut,
		Endpoint: final.Endpoint, Stream: final.Stream, MayBill: final.MayBill,
		Outcome: accounting.OutcomeCrash, Phase: unfinishedPhase,
	}
	if last != nil {
		r.Total = max(last.at.Sub(final.Start), 0)
		if last.AttemptID != "" && last.AttemptID != final.AttemptID {
			last = nil // of an attempt that has ended since
		} else {
			r.Phase, r.Chunks = last.Phase, last.Chunks
		}
	}
	countCrash(r, final, last)
	for _, i := range intents {
		if _, over := ended[i.AttemptID]; !over {
			r.Attempts = append(r.Attempts, openAttempt(r, i, i == final))
		}
	}
	if len(r.Attempts) > 1 {
		r.Warnings = append(r.Warnings, warningBeside)
	}
	for _, a := range ended {
		r.Attempts = append(r.Attempts, a)
	}
	slices.SortFunc(r.Attempts, func(a, b accounting.Attempt) int { return compareAttempts(a.ID, b.ID) })
	return r
}

// compareAttempts orders the names of the attempts of an exchange, which end with numbers.
func compareAttempts(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// endedBefore are the attempts that had ended, as the intents of later ones say.
func endedBefore(intents []*accounting.Intent) map[string]accounting.Attempt {
	ended := make(map[string]accounting.Attempt)
	for _, i := range intents { // what the latest says counts
		for _, a := range i.Before {
			a.Final = false
			ended[a.ID] = a
		}
	}
	return ended
}

// finalIntent is that of the attempt which led: the one that the checkpoint describes if it
// had not ended, else the one that was begun last.
func finalIntent(intents []*accounting.Intent, ended map[string]accounting.Attempt, last *checkpoint) *accounting.Intent {
	final := intents[len(intents)-1]
	if last == nil || last.AttemptID == "" {
		return final
	}
	for _, i := range intents {
		if _, over := ended[i.AttemptID]; !over && i.AttemptID == last.AttemptID {
			return i
		}
	}
	return final
}

// openAttempt is the attempt of an intent that had not ended as far as anybody knows. If it
// is not the final one it has an estimate of its own: it may have run.
func openAttempt(r *accounting.Record, i *accounting.Intent, final bool) accounting.Attempt {
	a := accounting.Attempt{
		ID: i.AttemptID, Provider: i.Provider, Model: i.Model, Kind: i.Kind, Start: i.Start,
		Phase: unfinishedPhase, Outcome: accounting.OutcomeCrash, Final: final,
	}
	if !i.Begun.IsZero() {
		a.Start = i.Begun
	}
	if final {
		a.Phase, a.Duration = r.Phase, max(r.Total-a.Start.Sub(i.Start), 0)
		return a
	}
	a.MayBill, a.UsageSource = i.MayBill, accounting.SourceEstimated
	a.Usage.Input = tokens.Known(tokensOf(i.PromptBytes))
	return a
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
