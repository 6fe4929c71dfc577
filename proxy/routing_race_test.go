package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// race lets two calls go on without an answer.
func (r *routedRig) race(id, body string) *client {
	r.Helper()
	r.ups["a"].Handle(fakeprovider.Silent)
	r.ups["b"].Handle(fakeprovider.Silent)
	c := r.dial()
	c.send(http.MethodPost, chatPath, body, "X-Request-Id: "+id)
	r.ups["b"].WaitExchange(1)
	r.until("they do not race", func() bool {
		x := r.srv.running.get(id)
		if x == nil || len(x.attempts.open()) < 2 {
			return false
		}
		for _, a := range x.attempts.open() {
			if accounting.Phase(a.phase.Load()) != accounting.PhaseAwaitHeaders {
				return false
			}
		}
		return true
	})
	return c
}

// Whoever ends an exchange ends both calls.
// rows A5, A17, D1
func TestBothOfTwoCallsEndWithTheirExchange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		outcome accounting.Outcome
		end     func(r *routedRig, c *client)
		told    func(t *testing.T, kind string, p reply) // nil if nobody listens
	}{
		{"the client leaves", accounting.OutcomeClientGone, func(_ *routedRig, c *client) { require.NoError(c, c.Close()) }, nil},
		{"the client resets", accounting.OutcomeClientGone, func(_ *routedRig, c *client) { c.reset() }, nil},
		{"it is cancelled", accounting.OutcomeCancelled, func(r *routedRig, _ *client) { r.cancel("x") }, func(t *testing.T, kind string, p reply) {
			if kind == "whole" {
				p.requireError(t, 499, "cancelled")
				return
			}
			p.requireWhole(t)
			require.Equal(t, 1, strings.Count(string(p.body), `"finish_reason":"stop"`))
		}},
		{"sluice stops", accounting.OutcomeShutdown, func(r *routedRig, _ *client) {
			now, returned := r.shutdown()
			now()
			requireReturned(r, returned)
		}, func(t *testing.T, _ string, p reply) { p.requireError(t, 503, "shutting_down") }},
		{"a panic", accounting.OutcomeInternal, func(r *routedRig, _ *client) {
			x := r.srv.running.get("x")
			x.aside(func() { panic("of no importance") })
		}, func(t *testing.T, _ string, p reply) { p.requireError(t, 500, "internal") }},
	} {
		for kind, body := range bothKinds {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 2, hedging(soon))
				cl := r.race("x", body)
				c.end(r, cl)
				r.closedBy("a")
				r.closedBy("b")
				if c.told != nil {
					c.told(t, kind, read(cl.response()))
				}
				rec := r.record("x")
				require.Equal(t, c.outcome, rec.Outcome)
				require.Equal(t, accounting.PhaseAwaitHeaders, rec.Phase)
				require.Len(t, rec.Attempts, 2)
				for _, a := range rec.Attempts {
					require.Equal(t, c.outcome, a.Outcome)
				}
				require.Equal(t, "a", rec.Provider)
				requireOneFinal(t, rec)
				require.True(t, rec.Attempts[1].Abandoned(), "both may be charged")
				require.Equal(t, accounting.SourceEstimated, rec.Attempts[1].UsageSource)
				require.Len(t, r.allEnded(), 1)
				r.idleTargets()
				require.Zero(t, r.state("a").Failures+r.state("b").Failures)
			})
		}
	}
}

// Whatever the moments, one answer comes out whole, with one final row, and each call that
// a provider has seen is in the books.
func TestTwoCallsRacingAtRandom(t *testing.T) {
	t.Parallel()
	const rounds, clients = 60, 4
	r := newRouted(t, 2, hedging(time.Millisecond), changing(alike))
	for name, up := range r.ups {
		up.Handle(func(e *fakeprovider.Exchange) {
			payloads := fakeprovider.ChatStream(sayings(name, e.Asked()))
			pause := func() bool { return e.Pause(time.Duration(rand.IntN(3000)) * time.Microsecond) }
			if !pause() || !e.StreamHead() || !e.Event(payloads[0]) || !pause() {
				return
			}
			e.Play(payloads[1:])
		})
	}
	var wg sync.WaitGroup
	for n := range clients {
		c := r.dial()
		wg.Go(func() {
			for i := range rounds {
				p := c.askOn(chatPath, streamBody, fmt.Sprintf("X-Request-Id: r%d-%d", n, i))
				p.requireWhole(t)
				r.saidBy(p)
			}
		})
	}
	wg.Wait()
	records := r.allEnded()
	require.Len(t, records, rounds*clients)
	rows, raced := 0, 0
	for _, rec := range records {
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		requireOneFinal(t, rec)
		for _, a := range rec.Attempts {
			if a.Final {
				require.Equal(t, accounting.OutcomeCompleted, a.Outcome)
			} else {
				require.Equal(t, accounting.OutcomeCancelled, a.Outcome)
				require.Equal(t, "hedge_lost", a.Code)
			}
			if a.Phase > accounting.PhaseSending {
				rows++
			}
		}
		raced += len(rec.Attempts) - 1
	}
	require.Positive(t, raced)
	require.LessOrEqual(t, rows, r.calls()["a"]+r.calls()["b"])
	r.idleTargets()
	require.InDelta(t, float64(raced), r.metric("sluice_hedges_total"), 0)
	for _, up := range r.ups {
		require.Zero(t, up.BadRequests())
	}
}
