package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// panicRig is a rig whose model fast has two targets, each with room for one request and a
// bounded provider, so that nothing that a panic forgets to give back goes unnoticed.
func panicRig(t *testing.T, changes ...func(*config.Config)) (*rig, *fakeprovider.Provider) {
	t.Helper()
	second := fakeprovider.New(t)
	r := newRig(t, append([]func(*config.Config){func(c *config.Config) {
		c.Providers[0].Limits.Streams = 1
		other := c.Providers[0]
		other.Name, other.BaseURL = "second", second.URL()
		c.Providers = append(c.Providers, other)
		fastAt("x", func(m *config.Model, _ *config.Target) { m.FirstTokenFailover, m.Limits.Streams = true, 1 })(c)
		c.Models[0].Targets = []config.Target{
			{Provider: "fake", Model: "x", Weight: 1, Priority: 1, MaxConcurrent: 1}, {Provider: "second", Model: "y", Weight: 1, Priority: 2, MaxConcurrent: 1},
		}
		c.Retry.SameTarget, c.Retry.Backoff = 1, config.Duration(time.Millisecond)
		c.Breaker.Failures = 1000
	}}, changes...)...)
	return r, second
}

// requireUnharmed asserts that a panic has left nothing behind: no upstream connection is
// in use, nothing is reserved, and the next requests are served.
func requireUnharmed(t *testing.T, r *rig, second *fakeprovider.Provider) {
	t.Helper()
	r.allEnded()
	for _, p := range r.srv.routes().providers {
		p.pool.CloseIdle()
	}
	r.requireUpstreamsClosed()
	r.until("an upstream connection is still open", func() bool { return second.OpenConns() == 0 })
	require.Zero(t, r.srv.limiter.Held())
	require.Zero(t, r.srv.memory.Used())
	for _, target := range r.srv.Targets() {
		require.Zero(t, target.Running, "%s/%s", target.Provider, target.Model)
		require.Zero(t, target.Queued, "%s/%s", target.Provider, target.Model)
	}
	require.NotContains(t, r.logs.String(), secret)
	r.up.Handle(fakeprovider.DefaultScript)
	second.Handle(fakeprovider.DefaultScript)
	for range 2 {
		r.ask(fastStream).requireWhole(t)
		r.allEnded()
	}
	r.up.Handle(quoting(503))
	r.ask(fastStream).requireWhole(t) // now the second target
	r.allEnded()
}

func busy(e *fakeprovider.Exchange) { e.JSON(503, fakeprovider.ErrorBody("busy", "server_error", "")) }

// A panic in the planning of an attempt, be it the first, another one or a rival, ends the
// exchange as an internal error, and gives back what the attempt that never was had taken.
// row D8
func TestPanicInThePlanningIsContained(t *testing.T) {
	t.Parallel()
	onPhase := func(nth int) func(r *rig) {
		return func(r *rig) {
			seen := 0
			r.srv.onPhase = func(x *exchange, p accounting.Phase) {
				if x.id == "bad" && p == accounting.PhaseQueued {
					if seen++; seen == nth {
						panic(secret)
					}
				}
			}
		}
	}
	for name, c := range map[string]struct {
		arm      func(r *rig) // makes the planning panic
		up, next fakeprovider.Script
		attempts int
	}{
		"before the first":   {onPhase(1), fakeprovider.DefaultScript, fakeprovider.DefaultScript, 0},
		"before the second":  {func(r *rig) { r.srv.routing = nil }, busy, fakeprovider.DefaultScript, 1},
		"in the pause":       {onPhase(2), busy, busy, 2},
		"at a broken target": {func(r *rig) { r.srv.routes().models["fast"].targets[1].provider = nil }, busy, fakeprovider.DefaultScript, 1},
	} {
		for kind, body := range map[string]string{"stream": fastStream, "whole": fastWhole} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r, second := panicRig(t)
				routing, targets := r.srv.routing, slices.Clone(r.srv.routes().models["fast"].targets)
				r.up.Handle(c.up)
				second.Handle(c.next)
				c.arm(r)
				p := r.ask(body, "X-Request-Id: bad")
				p.requireError(t, 500, "internal")
				require.NotContains(t, string(p.body), secret)
				records := r.allEnded()
				require.Contains(t, r.logs.String(), "panic in an exchange")

				r.srv.onPhase, r.srv.routing = nil, routing
				copy(r.srv.routes().models["fast"].targets, targets)
				require.Len(t, records, 1)
				require.Equal(t, accounting.OutcomeInternal, records[0].Outcome)
				require.Len(t, records[0].Attempts, c.attempts)
				requireUnharmed(t, r, second)
			})
		}
	}
}

// A panic in a rival that is made beside a slow attempt harms its own exchange at most.
// row D8
func TestPanicInAHedgeIsContained(t *testing.T) {
	t.Parallel()
	hedged := func(c *config.Config) { c.Models[0].HedgeAfter = config.Duration(20 * time.Millisecond) }
	goesOn := func(goOn <-chan struct{}) fakeprovider.Script {
		return func(e *fakeprovider.Exchange) {
			<-goOn
			fakeprovider.DefaultScript(e)
		}
	}
	for _, phase := range []accounting.Phase{accounting.PhaseConnect, accounting.PhaseSending, accounting.PhaseAwaitHeaders, accounting.PhaseAwaitToken, accounting.PhaseStreaming, accounting.PhaseTail} {
		t.Run(phase.String(), func(t *testing.T) {
			t.Parallel()
			r, second := panicRig(t, hedged)
			goOn := make(chan struct{})
			r.up.Handle(goesOn(goOn))
			r.srv.onPhase = func(x *exchange, p accounting.Phase) {
				if x.id == "bad" && p == phase && x.attempts.count() == 2 {
					panic(secret)
				}
			}
			p := r.ask(fastStream, "X-Request-Id: bad")
			close(goOn)
			require.NotContains(t, string(p.body), secret)
			require.Contains(t, string(p.body), `"code":"internal"`)
			records := r.allEnded()
			r.srv.onPhase = nil
			require.Len(t, records, 1)
			require.Equal(t, accounting.OutcomeInternal, records[0].Outcome)
			require.Len(t, records[0].Attempts, 2)
			requireUnharmed(t, r, second)
		})
	}
	t.Run("planning", func(t *testing.T) {
		t.Parallel()
		r, second := panicRig(t, hedged)
		planned := make(chan struct{})
		r.up.Handle(goesOn(planned))
		targets := slices.Clone(r.srv.routes().models["fast"].targets)
		r.srv.routes().models["fast"].targets[1].provider = nil
		c := r.dial()
		c.send("POST", chatPath, fastStream, "X-Request-Id: bad")
		r.until("nothing has panicked", func() bool { return strings.Contains(r.logs.String(), "panic") })
		close(planned)
		read(c.response()).requireWhole(t) // the first goes on as if nothing had been
		records := r.allEnded()
		copy(r.srv.routes().models["fast"].targets, targets)
		require.Len(t, records, 1)
		require.Equal(t, accounting.OutcomeCompleted, records[0].Outcome)
		requireUnharmed(t, r, second)
	})
}

// A panic while a client is told what a provider has said, or while its answer leaves, is
// contained as any other.
// row D8
func TestPanicInAProvidersWordsIsContained(t *testing.T) {
	t.Parallel()
	for kind, body := range map[string]string{"stream": fastStream, "whole": fastWhole} {
		for name, script := range map[string]fakeprovider.Script{"status": quoting(400), "event": canaryFaults["failure"], "answer": canaryFaults["failed"]} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r, second := panicRig(t)
				r.up.Handle(script)
				second.Handle(script)
				r.srv.onPhase = func(x *exchange, p accounting.Phase) {
					if x.id == "bad" && p == accounting.PhaseAwaitToken {
						x.last().client.conn = nil // whoever writes to the client now panics
					}
				}
				c := r.dial()
				c.send("POST", chatPath, body, "X-Request-Id: bad")
				_, err := c.r.ReadByte()
				require.Error(t, err, "the connection ends without a word")
				records := r.allEnded()
				r.srv.onPhase = nil
				require.Len(t, records, 1)
				require.False(t, records[0].Delivered)
				require.Contains(t, r.logs.String(), "panic in an exchange")
				require.NotContains(t, r.logs.String(), canaryPrompt)
				requireUnharmed(t, r, second)
			})
		}
	}
}

// A panic in what follows an exchange is seen by no client, and later exchanges are booked.
// row D8
func TestPanicBehindAnExchangeIsContained(t *testing.T) {
	t.Parallel()
	r, second := panicRig(t, func(c *config.Config) { c.Models[0].Capture = true })
	panics := true
	r.srv.capture = func(ledger.Capture) {
		if panics {
			panic(secret)
		}
	}
	for i := range 3 {
		r.ask(fastStream, fmt.Sprint("X-Request-Id: bad-", i)).requireWhole(t)
	}
	records := r.allEnded()
	require.Len(t, records, 3)
	for _, rec := range records {
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	}
	require.Contains(t, r.logs.String(), "panic while recording an exchange")
	panics = false
	requireUnharmed(t, r, second)
	require.Len(t, r.allEnded(), 6)
}

// A panic in the handler, before there is an exchange, is answered, and the connection serves on.
// row D8
func TestPanicInTheHandlerIsContained(t *testing.T) {
	t.Parallel()
	r := newRig(t, fastAt("x"))
	before := r.srv.generation.Load()
	broken := *before
	broken.routes = nil
	r.srv.generation.Store(&broken)
	c := r.dial()
	p := c.askOn(chatPath, strings.Replace(fastWhole, "Say hello", secret, 1))
	p.requireError(t, 500, "internal")
	r.srv.generation.Store(before)
	require.NotContains(t, r.logs.String(), secret)
	require.Contains(t, r.logs.String(), "panic in the handler")
	require.Empty(t, r.allEnded())
	require.Zero(t, r.up.Conns())
	require.Equal(t, 200, c.askOn(chatPath, fastWhole).status)
	r.until("memory is held", func() bool { return r.srv.memory.Used() == 0 })
}
