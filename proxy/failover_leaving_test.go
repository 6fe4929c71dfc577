package proxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// pausing lets a target be asked again after a pause that no test lives to see.
func pausing(r *config.Retry) {
	r.SameTarget, r.Within, r.MaxRetryAfter = 1, config.Duration(time.Hour), config.Duration(time.Hour)
}

// inPause begins a request, and returns when its exchange waits before it asks again.
func inPause(t testing.TB, body string) (*failoverRig, *client) {
	t.Helper()
	f := newFailoverRig(t, openAIs(1), offering("m", "a"), retrying(pausing))
	f.up.Handle(fakeprovider.InTurn(fakeprovider.Refusal(429, "Retry-After: 600"), telling(nonceOf(0))))
	c := f.dial()
	c.send("POST", chatPath, body, "X-Request-Id: a")
	<-f.up.WaitExchange(1).Ended()
	x := f.inPhase(accounting.PhaseQueued)
	require.Empty(t, x.view().Target, "no target is being asked")
	return f, c
}

// requirePaused asserts the record of an exchange that was ended in the pause after a
// refusal: with that refusal as its only call, and no other one ever.
func (f *failoverRig) requirePaused(t testing.TB, outcome accounting.Outcome, code string) *accounting.Record {
	t.Helper()
	rec := f.record("a")
	require.Equal(t, outcome, rec.Outcome)
	require.Equal(t, accounting.PhaseQueued, rec.Phase)
	require.Equal(t, code, rec.Code)
	requireBooked(t, rec, refusedWith(429).by(0, accounting.AttemptFirst))
	requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
	require.Len(t, f.allEnded(), 1)
	require.Equal(t, []int{1}, f.calls())
	require.Equal(t, 1, f.up.Conns())
	require.False(t, f.up.WaitConn(1).IsGone(), "the connection of the refusal serves on")
	f.requireNothingLeft(t)
	return rec
}

// A client that leaves while the next call is waited for ends everything at once: nobody
// is called any more.
// row A2
func TestClientThatLeavesInThePauseEndsEverything(t *testing.T) {
	t.Parallel()
	half := departures[0]
	half.name, half.leave = "half-close", (*client).closeWrite
	for _, d := range append(departures[:len(departures):len(departures)], half) {
		for kind, body := range bothKinds {
			t.Run(d.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				f, c := inPause(t, body)
				d.leave(c)
				rec := f.requirePaused(t, accounting.OutcomeClientGone, "")
				require.Equal(t, 499, rec.StatusDownstream)
				require.Equal(t, d.fin, rec.HalfClosed)
				require.False(t, rec.Delivered)
				require.Zero(t, rec.BytesDelivered)
				require.Zero(t, f.metric("sluice_rejected_total"), "a call was made, so there is a record")
			})
		}
	}
}

// A cancel ends the pause as it ends everything else.
// row A17
func TestCancelInThePauseEndsIt(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f, c := inPause(t, body)
			f.cancel("a")
			p := read(c.response())
			if kind == "stream" {
				p.requireWhole(t)
				require.Contains(t, string(p.body), `"finish_reason":"stop"`)
				require.Contains(t, string(p.body), `"outcome":"cancelled"`)
			} else {
				p.requireError(t, 499, "cancelled")
				require.Empty(t, p.header.Get("X-Should-Retry"))
			}
			require.NotContains(t, string(p.body), "not now")
			rec := f.requirePaused(t, accounting.OutcomeCancelled, "cancelled")
			require.True(t, rec.Delivered)
		})
	}
}

// At the deadline of a drain nobody waits for a target any more.
// row D1
func TestShutdownInThePauseEndsIt(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f, c := inPause(t, body)
			now, returned := f.shutdown()
			requireStillRunning(t, returned)
			now()
			read(c.response()).requireError(t, 503, "shutting_down")
			require.NoError(t, c.Close())
			requireReturned(t, returned)
			f.requirePausedAtEnd(t)
		})
	}
}

// requirePausedAtEnd is requirePaused where the server has closed its connections.
func (f *failoverRig) requirePausedAtEnd(t testing.TB) {
	t.Helper()
	rec := f.record("a")
	require.Equal(t, accounting.OutcomeShutdown, rec.Outcome)
	require.Equal(t, accounting.PhaseQueued, rec.Phase)
	requireBooked(t, rec, refusedWith(429).by(0, accounting.AttemptFirst))
	require.Equal(t, []int{1}, f.calls())
}

// What a stream has not shown to its client is nobody's any more when the client leaves in
// the pause after it.
// row A2
func TestClientThatLeavesInThePauseAfterABegunStream(t *testing.T) {
	t.Parallel()
	f := newFailoverRig(t, openAIs(1), offering("m", "a"), retrying(pausing), retrying(func(r *config.Retry) {
		r.Backoff = config.Duration(time.Hour / 2)
	}))
	f.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Play([]string{begun[0], fellOver})
	})
	c := f.dial()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	<-f.up.WaitExchange(1).Ended()
	f.inPhase(accounting.PhaseQueued)
	c.reset()
	rec := f.record("a")
	require.Equal(t, accounting.OutcomeClientGone, rec.Outcome)
	require.Equal(t, accounting.PhaseQueued, rec.Phase)
	require.Equal(t, 499, rec.StatusDownstream)
	require.Zero(t, rec.BytesDelivered)
	requireBooked(t, rec, ran(accounting.OutcomeUpstreamError, accounting.PhaseAwaitToken, "server_error", 200).by(0, accounting.AttemptFirst))
	require.Equal(t, []int{1}, f.calls())
	f.requireNothingLeft(t)
}

// While another target could take over, the client gets nothing, not even a comment; when
// it leaves then, the call that goes on is cut and all of them are in the books.
// row A6
func TestClientThatLeavesWhileTheSecondTargetIsAsked(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(3), offering("m", "abc", maybeRan))
			f.ups[0].Handle(fakeprovider.Cut(0, fakeprovider.EndReset))
			f.ups[1].Handle(fakeprovider.Silent)
			c := f.dial()
			c.send("POST", chatPath, body, "X-Request-Id: a")
			f.ups[1].WaitExchange(1)
			x := f.inPhase(accounting.PhaseAwaitHeaders)
			f.until("the second target is not the one that is asked", func() bool { return x.view().Provider == "b" })
			c.reset()
			requireClosed(t, f.ups[1].WaitConn(1))
			rec := f.record("a")
			gone := ran(accounting.OutcomeClientGone, accounting.PhaseAwaitHeaders, "", 0).by(1, accounting.AttemptRetry)
			requireBooked(t, rec, ran(accounting.OutcomeUpstreamError, accounting.PhaseAwaitHeaders, "upstream_closed", 0).by(0, accounting.AttemptFirst), gone)
			requireAs(t, rec, gone)
			require.NotNil(t, rec.CloseMicros)
			require.Equal(t, []int{1, 1, 0}, f.calls())
			f.requireNothingLeft(t)
		})
	}
}
