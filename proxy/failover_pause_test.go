package proxy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// retrying sets what may be done after a failed call.
func retrying(change func(*config.Retry)) func(*config.Config) {
	return func(cfg *config.Config) { change(&cfg.Retry) }
}

// askingAgain lets the same target be asked once more, soon.
func askingAgain(r *config.Retry) {
	r.SameTarget, r.Backoff = 1, config.Duration(time.Millisecond)
}

// refusedWith is the row of an answer with that status.
func refusedWith(status int) row {
	return row{
		outcome: accounting.OutcomeUpstreamError, phase: accounting.PhaseStreaming, code: "refused", status: status,
		source: accounting.SourceNone, mayBill: accounting.MayBillNone,
	}
}

// requireRefused asserts that the client got the words of fakeprovider.Refusal.
func requireRefused(t testing.TB, status int, p reply) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, status, p.status)
	require.Equal(t, fakeprovider.ErrorBody(fmt.Sprint("not now: ", status), "server_error", "refused"), string(p.body))
}

// Whatever a provider says of when to come again, another target is asked at once, and
// the client sees nothing of it. A target that has asked for a pause is not asked before
// the others while that lasts.
// row B16
func TestRetryAfterOfOneTargetDoesNotHoldUpTheNext(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503, 529} {
		for _, form := range fakeprovider.RetryAfterForms() {
			for kind, body := range bothKinds {
				if status != 429 && form.Says != time.Second {
					continue
				}
				t.Run(fmt.Sprint(status, " ", form.Name, " ", kind), func(t *testing.T) {
					t.Parallel()
					f := newFailoverRig(t, openAIs(2), offering("m", "ab"))
					f.up.Handle(fakeprovider.Refusal(status, form.Fields...))
					p, rec := f.askAs("a", body)
					f.requireTold(t, kind, 1, p)
					require.Empty(t, p.header.Get("Retry-After-Ms"))
					requireBooked(t, rec, refusedWith(status).by(0, accounting.AttemptFirst), served(1, accounting.AttemptRetry))
					require.Equal(t, []int{1, 1}, f.calls())
					if said := f.up.WaitExchange(1); form.Says >= time.Hour {
						require.False(t, said.IsGone(), "its connection serves on")
						p, _ := f.askAs("b", body)
						f.requireTold(t, kind, 1, p)
						require.Equal(t, []int{1, 2}, f.calls(), "it was asked in its pause")
					}
					f.requireNothingLeft(t)
				})
			}
		}
	}
}

// Where the same target may be asked again, that happens after the pause that it has asked
// for. A longer one than the configuration allows is left to the client, as the provider
// has said it.
// row B16
func TestTheSameTargetIsAskedAgainAfterItsPause(t *testing.T) {
	t.Parallel()
	tooLong := []string{"seconds", "with spaces", "a day", "far too long", "a fraction", "said twice"}
	for _, status := range []int{429, 503, 529} {
		for _, form := range fakeprovider.RetryAfterForms() {
			if form.Name == "a date" {
				continue // how long that is depends on the clock
			}
			t.Run(fmt.Sprint(status, " ", form.Name), func(t *testing.T) {
				t.Parallel()
				f := newFailoverRig(t, openAIs(1), offering("m", "a"), retrying(askingAgain), retrying(func(r *config.Retry) {
					r.MaxRetryAfter = config.Duration(300 * time.Millisecond)
				}))
				f.up.Handle(fakeprovider.InTurn(fakeprovider.Refusal(status, form.Fields...), telling(nonceOf(0))))
				p, rec := f.askAs("a", streamBody)
				first := refusedWith(status).by(0, accounting.AttemptFirst)
				if slices.Contains(tooLong, form.Name) {
					requireRefused(t, status, p)
					require.NotEmpty(t, p.header.Get("Retry-After"))
					requireBooked(t, rec, first)
					require.Equal(t, []int{1}, f.calls())
					return
				}
				f.requireTold(t, "stream", 0, p)
				requireBooked(t, rec, first, served(0, accounting.AttemptRetry))
				require.Equal(t, []int{2}, f.calls())
				require.Equal(t, 1, f.up.Conns(), "the connection of an answer that was read serves on")
				require.True(t, rec.Attempts[1].Reused)
				require.GreaterOrEqual(t, pauseBefore(rec, 1), max(form.Says, 0))
				f.requireNothingLeft(t)
			})
		}
	}
}

// pauseBefore is the time between an attempt and the one before it.
func pauseBefore(rec *accounting.Record, i int) time.Duration {
	before := rec.Attempts[i-1]
	return rec.Attempts[i].Start.Sub(before.Start.Add(before.Duration))
}

// What the provider asks for and what the configuration allows beside it.
var pauses = []struct {
	name   string
	change func(*config.Retry)
	denied float64
}{
	{"one call for each request", func(r *config.Retry) { r.Attempts = 1 }, 0},
	{"the time for further calls has passed", func(r *config.Retry) { r.Within = 1 }, 0},
	{"no budget for further calls", func(r *config.Retry) { r.Budget = 0 }, 1},
}

// The configuration bounds further calls, whoever they would go to. The client then gets
// the provider's own words.
// row B16
func TestFurtherCallsHaveBounds(t *testing.T) {
	t.Parallel()
	for _, c := range pauses {
		for kind, body := range bothKinds {
			for _, targets := range []string{"ab", "a"} {
				t.Run(c.name+"/"+kind+"/"+targets, func(t *testing.T) {
					t.Parallel()
					f := newFailoverRig(t, openAIs(2), offering("m", targets, maybeRan), retrying(askingAgain), retrying(c.change))
					f.up.Handle(fakeprovider.Refusal(503, "Retry-After: 7"))
					p, rec := f.askAs("a", body)
					requireRefused(t, 503, p)
					require.Equal(t, "7", p.header.Get("Retry-After"))
					requireBooked(t, rec, refusedWith(503).by(0, accounting.AttemptFirst))
					require.Equal(t, []int{1, 0}, f.calls())
					require.InDelta(t, c.denied, f.metric("sluice_retries_denied_total", "model=m"), 0)
					require.False(t, f.up.WaitConn(1).IsGone(), "its connection serves on")
					f.requireNothingLeft(t)
				})
			}
		}
	}
}

// A pause that would end after the time for further calls is not begun.
// row B16
func TestPauseThatWouldLastTooLongIsNotBegun(t *testing.T) {
	t.Parallel()
	f := newFailoverRig(t, openAIs(1), offering("m", "a"), retrying(askingAgain), retrying(func(r *config.Retry) {
		r.Within, r.MaxRetryAfter = config.Duration(time.Minute), config.Duration(time.Hour)
	}))
	f.up.Handle(fakeprovider.Refusal(429, "Retry-After: 61"))
	p, rec := f.askAs("a", wholeBody)
	requireRefused(t, 429, p)
	requireBooked(t, rec, refusedWith(429).by(0, accounting.AttemptFirst))
	require.Equal(t, []int{1}, f.calls())
}

// All targets are asked before one is asked again.
func TestEveryTargetIsAskedBeforeOneIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := newFailoverRig(t, openAIs(3), offering("m", "abc"), retrying(askingAgain), retrying(func(r *config.Retry) {
		r.Attempts, r.SameTarget, r.Budget = 5, 5, 100
	}))
	for i, up := range f.ups {
		up.Handle(fakeprovider.Refusal(503 + 26*(i%2)))
	}
	p, rec := f.askAs("a", streamBody)
	requireRefused(t, 503, p)
	var order []*fakeprovider.Provider
	for _, e := range fakeprovider.CallsTo(f.ups...) {
		order = append(order, e.Provider())
	}
	a, b, c := f.ups[0], f.ups[1], f.ups[2]
	require.Equal(t, []*fakeprovider.Provider{a, b, c, c, c}, order)
	require.Len(t, rec.Attempts, 5)
	f.requireNothingLeft(t)
}
