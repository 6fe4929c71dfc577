package proxy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// policy is a model whose first target is provider a, and what it allows.
type policy struct {
	model   string
	targets string
	change  func(*config.Model)
	second  int // the provider that may take over
	risks   bool
	unbegun bool
}

// policies are all that a fault is tried with. The third provider speaks another dialect.
var policies = []policy{
	{"default", "ab", func(*config.Model) {}, 1, false, true},
	{"risky", "ab", maybeRan, 1, true, true},
	{"strict", "ab", noFirstToken, 1, false, false},
	{"alone", "a", maybeRan, 0, false, false},
	{"foreign", "ac", func(*config.Model) {}, 2, false, true},
	{"foreign-risky", "ac", maybeRan, 2, true, true},
}

func (p policy) allows(r repeats) bool {
	switch r {
	case inAnyCase:
		return p.second > 0
	case whereUnbegun:
		return p.second > 0 && (p.risks || p.unbegun)
	case whereRisked:
		return p.second > 0 && p.risks
	case notAtAll:
	}
	return false
}

// Whatever goes wrong at a target, another one takes over as long as that is safe: unseen
// by the client, who gets every byte of its answer from that one. Otherwise the client is
// told of the fault, and nobody else is asked. The books have a row for each call.
// rows B1–B5, B7–B11, B13–B18, B23
func TestAnotherTargetTakesOverWhileItIsSafe(t *testing.T) {
	t.Parallel()
	faults := slices.Concat(unsent(t), refused(), unanswered(), unbegun(), broken(), unreadable())
	require.Greater(t, len(faults), 40)
	for _, w := range faults {
		for kind, body := range bothKinds {
			if w.kind != "" && w.kind != kind {
				continue
			}
			t.Run(kind+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				f := w.rig(t)
				for _, p := range policies {
					f.meets(t, &w, p, kind, body)
				}
				if w.kept {
					require.Equal(t, 1, f.up.Conns(), "its connection serves on")
					require.False(t, f.up.WaitConn(1).IsGone())
				}
				f.requireNothingLeft(t)
			})
		}
	}
}

// rig is a sluice whose first provider has the fault.
func (w *fault) rig(t testing.TB) *failoverRig {
	t.Helper()
	voices := append(openAIs(2), &fakeprovider.Voice{Dialect: config.DialectAnthropic})
	changes := []func(*config.Config){quickTimeouts}
	for _, p := range policies {
		changes = append(changes, offering(p.model, p.targets, p.change, firstTokenWithin(quickToken)))
	}
	f := newFailoverRig(t, voices, changes...)
	if w.script != nil {
		f.up.Handle(w.script)
	}
	if w.arrange != nil {
		w.arrange(f)
	}
	return f
}

// meets makes one request that meets the fault, and asserts what became of it.
func (f *failoverRig) meets(t testing.TB, w *fault, p policy, kind, body string) {
	t.Helper()
	before, body := f.calls(), forModel(p.model, body)
	answer, rec := f.askAs(kind+"-"+p.model, body)
	want := make([]int, len(f.ups))
	if !w.unasked {
		want[0] = 1
	}
	last := w.row.by(0, accounting.AttemptFirst)
	if p.allows(w.repeats) {
		want[p.second] = 1
		f.requireTold(t, kind, p.second, answer)
		last = served(p.second, accounting.AttemptRetry)
		requireBooked(t, rec, w.row.by(0, accounting.AttemptFirst), last)
		if p.second == 1 {
			all := f.ups[1].Exchanges()
			require.JSONEq(t, body, string(all[len(all)-1].Request.Body), "it got another request")
		}
	} else {
		w.requireFault(t, w.headed, answer)
		requireBooked(t, rec, last)
	}
	requireAs(t, rec, last)
	require.Equal(t, answer.status, rec.StatusDownstream)
	require.Equal(t, answer.err == nil, rec.Delivered)
	require.EqualValues(t, len(answer.body), rec.BytesDelivered)

	after := f.calls()
	for i := range after {
		require.Equal(t, want[i], after[i]-before[i], "calls of provider %s for %s", nameOf(i), p.model)
	}
	if all := f.up.Exchanges(); len(all) > 0 && !w.kept {
		all[len(all)-1].WaitGone(patience)
	}
}
