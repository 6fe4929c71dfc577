package proxy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/translate"
)

// foreignFault is what goes wrong at a first target of another dialect.
type foreignFault struct {
	name    string
	kind    string
	script  func(v *fakeprovider.Voice, e *fakeprovider.Exchange)
	repeats repeats
	outcome accounting.Outcome
	phase   accounting.Phase
	status  int
	// code is that of the row, empty where it is the provider's own.
	code string
	// stated: the provider has said what it used so far, in the dialects that say it first.
	stated bool
	// refused: it has run nothing.
	refused bool
	kept    bool
	missing []string // dialects that have no such thing
}

var foreignFaults = []foreignFault{
	{
		name: "busy", repeats: inAnyCase, refused: true, kept: true,
		script:  func(v *fakeprovider.Voice, e *fakeprovider.Exchange) { v.Refuse(e, 429, "too many") },
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseStreaming, status: 429,
	},
	{
		name: "wrong", repeats: notAtAll, refused: true, kept: true,
		script:  func(v *fakeprovider.Voice, e *fakeprovider.Exchange) { v.Refuse(e, 400, "what is this") },
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseStreaming, status: 400,
	},
	{
		name: "error event first", kind: "stream", repeats: whereUnbegun,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Failure("the model fell over"))
			e.EndChunks()
		},
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseAwaitToken, status: 200,
	},
	{
		name: "error event after the beginning", kind: "stream", repeats: whereUnbegun, stated: true,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Start(), v.Failure("the model fell over"))
			e.EndChunks()
		},
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseAwaitToken, status: 200,
	},
	{
		name: "silent after the beginning", kind: "stream", repeats: whereUnbegun, stated: true,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Start())
			e.Hold()
		},
		outcome: accounting.OutcomeUpstreamTimeout, phase: accounting.PhaseAwaitToken, status: 200, code: translate.CodeUpstreamTimeout,
	},
	{
		name: "truncated after the beginning", kind: "stream", repeats: whereUnbegun, stated: true,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Start())
			e.EndChunks()
		},
		outcome: accounting.OutcomeUpstreamTruncated, phase: accounting.PhaseAwaitToken, status: 200, code: translate.CodeUpstreamTruncated,
	},
	{
		name: "half a JSON object", kind: "whole", repeats: whereRisked,
		script:  func(_ *fakeprovider.Voice, e *fakeprovider.Exchange) { fakeprovider.WrongJSON(e) },
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseTail, status: 200, code: translate.CodeUpstreamBadResponse,
	},
	{
		name: "an error under a good status", kind: "whole", repeats: whereRisked, kept: true, missing: []string{"bedrock"},
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			e.JSON(200, v.FailedAnswer("the model fell over"))
		},
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseTail, status: 200,
	},
	{
		name: "a web page", repeats: inAnyCase,
		script:  func(_ *fakeprovider.Voice, e *fakeprovider.Exchange) { fakeprovider.Page(e) },
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseAwaitToken, status: 200, code: translate.CodeUpstreamBadContentType,
	},
	{
		name: "closed before the head", repeats: whereRisked,
		script:  func(_ *fakeprovider.Voice, e *fakeprovider.Exchange) { e.Close() },
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseAwaitHeaders, code: translate.CodeUpstreamClosed,
	},
	{
		name: "error event in mid-stream", kind: "stream", repeats: notAtAll, stated: true,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Start(), v.Text("one "), v.Failure("the model fell over"))
			e.EndChunks()
		},
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseStreaming, status: 200,
	},
	{
		name: "truncated in mid-stream", kind: "stream", repeats: notAtAll, stated: true,
		script: func(v *fakeprovider.Voice, e *fakeprovider.Exchange) {
			say(e, v, v.Start(), v.Text("one "))
			e.EndChunks()
		},
		outcome: accounting.OutcomeUpstreamTruncated, phase: accounting.PhaseStreaming, status: 200, code: translate.CodeUpstreamTruncated,
	},
}

// A target of another dialect gives way as one of the client's does: the next one gets the
// client's own request, and the client that one's answer alone. What the first has said of
// its usage stays with its row.
// rows B5, B7, B9–B11, B14–B17
func TestTargetOfAnotherDialectGivesWay(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("it has a table of its own")
		}
		for _, w := range foreignFaults {
			for kind, body := range bothKinds {
				if w.kind != "" && w.kind != kind || slices.Contains(w.missing, v.Dialect) || v.Enveloped && w.name == "an error under a good status" {
					continue
				}
				t.Run(w.name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					w.meets(t, v, kind, body)
				})
			}
		}
	})
}

func (w *foreignFault) meets(t *testing.T, v *fakeprovider.Voice, kind, body string) {
	t.Helper()
	own := policies[:3]
	changes := []func(*config.Config){quickTimeouts}
	for _, p := range own {
		changes = append(changes, offering(p.model, p.targets, p.change, firstTokenWithin(quickToken)))
	}
	f := newFailoverRig(t, append([]*fakeprovider.Voice{v}, openAIs(1)...), changes...)
	f.up.Handle(func(e *fakeprovider.Exchange) { w.script(v.Fresh(), e) })
	for i, p := range own {
		request := forModel(p.model, body)
		answer, rec := f.askAs(p.model, request)
		require.Len(t, f.up.Exchanges(), i+1)
		first := &rec.Attempts[0]
		require.Equal(t, w.outcome, first.Outcome)
		require.Equal(t, w.phase, first.Phase)
		require.Equal(t, w.status, first.Status)
		if w.code != "" {
			require.Equal(t, w.code, first.Code)
		}
		require.Equal(t, !p.allows(w.repeats), first.Final)
		if !p.allows(w.repeats) {
			require.Len(t, rec.Attempts, 1)
			require.Equal(t, w.outcome, rec.Outcome)
			require.NotContains(t, string(answer.body), nonceOf(1))
			require.NotContains(t, string(answer.body), "[DONE]")
			continue
		}
		f.requireTold(t, kind, 1, answer)
		require.Empty(t, answer.header.Get("X-Sluice-Warning"))
		all := f.ups[1].Exchanges()
		require.JSONEq(t, request, string(all[len(all)-1].Request.Body))
		w.requireUsage(t, v, first)
		last := served(1, accounting.AttemptRetry)
		requireBooked(t, rec, row{
			provider: "a", kind: accounting.AttemptFirst, outcome: w.outcome, phase: w.phase, code: first.Code, status: w.status,
			source: first.UsageSource, mayBill: first.MayBill,
		}, last)
		requireAs(t, rec, last)
	}
	if w.kept {
		require.Equal(t, 1, f.up.Conns(), "its connection serves on")
	}
	f.requireNothingLeft(t)
}

// requireUsage asserts what the books say that an abandoned attempt has used.
func (w *foreignFault) requireUsage(t testing.TB, v *fakeprovider.Voice, a *accounting.Attempt) {
	t.Helper()
	switch {
	case w.refused:
		require.Equal(t, accounting.SourceNone, a.UsageSource)
		require.Equal(t, accounting.MayBillNone, a.MayBill)
	case w.stated && v.Dialect == "anthropic":
		require.Equal(t, accounting.SourceRunning, a.UsageSource)
		require.EqualValues(t, fakeprovider.VoiceInput, a.Usage.Input.N)
		require.Equal(t, accounting.MayBillPartial, a.MayBill)
	default:
		require.Equal(t, accounting.SourceEstimated, a.UsageSource)
		require.Positive(t, a.Usage.Input.N)
		require.Equal(t, accounting.MayBillPartial, a.MayBill)
	}
}
