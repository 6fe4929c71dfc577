package proxy

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// hedging makes the model m ask a second target after so long.
func hedging(after time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		c.Models[0].HedgeAfter = config.Duration(after)
		c.Retry.Budget = 100
	}
}

const soon = 20 * time.Millisecond

// headThenSilence is the head of a stream and an event without a token.
func headThenSilence(e *fakeprovider.Exchange) {
	e.StreamHead()
	e.Event(fakeprovider.ChatStream(sayings("a", e.Asked()))[0])
	e.Hold()
}

// closedBy waits until sluice has closed the connection of the first request at a provider,
// and tells when.
func (r *routedRig) closedBy(name string) time.Time {
	r.Helper()
	e := r.ups[name].WaitExchange(1)
	requireClosed(r, e.Conn)
	return e.WaitGone(patience).At
}

// requireLoser asserts what the books say of a call that another one was quicker than.
func requireLoser(t testing.TB, a accounting.Attempt) {
	t.Helper()
	require.Equal(t, accounting.OutcomeCancelled, a.Outcome)
	require.Equal(t, "hedge_lost", a.Code)
	require.False(t, a.Final)
	require.True(t, a.Abandoned())
	require.Equal(t, accounting.SourceEstimated, a.UsageSource)
	require.True(t, a.Usage.Input.Known)
	require.Positive(t, a.Usage.Input.N)
	require.NotNil(t, a.CloseMicros)
}

// A second target is asked when the first has no token in time. Whoever has the first
// token first serves the client, and the other one is cut at that moment, long before the
// answer ends.
func TestTheQuickerOfTwoTargetsServesTheClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		first fakeprovider.Script
	}{
		{"no head", fakeprovider.Silent},
		{"a head and no token", headThenSilence},
		{"comments and no token", func(e *fakeprovider.Exchange) {
			e.StreamHead()
			for e.Comment("thinking") && e.Pause(time.Millisecond) {
			}
			e.Hold()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, hedging(soon))
			finish := make(chan struct{})
			r.ups["a"].Handle(c.first)
			r.ups["b"].Handle(wordsSlowly("b", finish))
			cl := r.dial()
			resp := cl.post(streamBody, "X-Request-Id: x")
			body := bufio.NewReader(resp.Body)
			begin := nextEvent(t, body) + nextEvent(t, body)
			require.Contains(t, begin, wordOf("b"))
			r.closedBy("a")
			require.False(t, r.ups["b"].WaitExchange(1).IsGone())
			require.Len(t, r.srv.running.all(), 1)
			close(finish)
			rest, err := io.ReadAll(body)
			require.NoError(t, err)
			require.NotContains(t, begin+string(rest), wordOf("a"))
			require.True(t, strings.HasSuffix(string(rest), "data: [DONE]\n\n"))

			rec := r.record("x")
			requireRows(t, rec, "a first cancelled/hedge_lost", "b hedge completed/*")
			requireOneFinal(t, rec)
			requireLoser(t, rec.Attempts[0])
			require.Equal(t, accounting.SourceReported, rec.UsageSource)
			used, _ := rec.Used()
			require.Equal(t, rec.Usage.Input.N+rec.Usage.Output.N+rec.Attempts[0].Usage.Input.N+rec.Attempts[0].Usage.Output.N, used)
			require.GreaterOrEqual(t, rec.Attempts[1].Start.Sub(rec.Attempts[0].Start), soon)
			require.Equal(t, map[string]int{"a": 1, "b": 1}, r.calls())
			r.idleTargets()
			require.Zero(t, r.state("a").Failures, "being slower is no failure")
			r.requireHedges("b", "won")
		})
	}
}

// requireHedges asserts that one second call was counted, at this target.
func (r *routedRig) requireHedges(provider, result string) {
	r.Helper()
	r.until("the hedge is not counted", func() bool { return r.metric("sluice_hedges_total") > 0 })
	require.InDelta(r, 1, r.metric("sluice_hedges_total"), 0)
	require.InDelta(r, 1, r.metric("sluice_hedges_total", "provider="+provider, "model=m", "result="+result), 0)
}

// A whole answer has its first token with its last.
func TestTheQuickerOfTwoWholeAnswersServesTheClient(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]fakeprovider.Script{
		"no head":   fakeprovider.Silent,
		"in a body": wholeThenSilence(`{"id":"chatcmpl-fake","choices":[`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, hedging(soon))
			r.ups["a"].Handle(first)
			p, rec := r.askAs("x", wholeBody)
			require.Equal(t, "b", r.saidBy(p))
			r.closedBy("a")
			requireRows(t, rec, "a first cancelled/hedge_lost", "b hedge completed/*")
			requireLoser(t, rec.Attempts[0])
			r.idleTargets()
		})
	}
}

func TestTheFirstTargetMayStillBeTheQuicker(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, hedging(soon))
			r.ups["a"].Handle(wordsAfter("a", r.ups["b"], soon))
			r.ups["b"].Handle(fakeprovider.Silent)
			p, rec := r.askAs("x", body)
			require.Equal(t, "a", r.saidBy(p))
			r.closedBy("b")
			requireRows(t, rec, "a first completed/*", "b hedge cancelled/hedge_lost")
			requireOneFinal(t, rec)
			requireLoser(t, rec.Attempts[1])
			r.idleTargets()
			r.requireHedges("b", "lost")
			require.Zero(t, r.metric("sluice_retries_total"))
		})
	}
}

// Of two calls that fail, the one that was made later decides what follows, unless the
// first may have run: then nothing does.
func TestWhenBothOfTwoTargetsFail(t *testing.T) {
	t.Parallel()
	failing := func(other *fakeprovider.Provider, script fakeprovider.Script) fakeprovider.Script {
		return func(e *fakeprovider.Exchange) {
			for len(other.Exchanges()) == 0 {
				if !e.Pause(time.Millisecond) {
					return
				}
			}
			script(e)
		}
	}
	reset := func(e *fakeprovider.Exchange) { e.Reset() }
	for _, c := range []struct {
		name          string
		first, second fakeprovider.Script
		maybe         bool
		status        int // 200 for an answer of c
		code          string
	}{
		{"both have no room", fakeprovider.Refusal(503), fakeprovider.Refusal(429), false, 200, ""},
		{"the first may have run", reset, fakeprovider.Refusal(503), false, 502, "upstream_closed"},
		{"the second may have run", fakeprovider.Refusal(503), reset, false, 502, "upstream_closed"},
		{"both may have run", reset, reset, false, 502, "upstream_closed"},
		{"both may have run, and the operator does not mind", reset, reset, true, 200, ""},
		{"the first is refused", fakeprovider.Refusal(400), fakeprovider.Refusal(503), true, 400, "refused"},
		{"the second is refused", fakeprovider.Refusal(503), fakeprovider.Refusal(400), true, 400, "refused"},
	} {
		for kind, body := range bothKinds {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 3, hedging(soon), changing(func(m *config.Model) { m.RetryMaybeRan = c.maybe }))
				r.ups["a"].Handle(failing(r.ups["b"], c.first))
				r.ups["b"].Handle(func(e *fakeprovider.Exchange) {
					<-r.ups["a"].WaitExchange(1).Ended() // so that the race is over with this one
					c.second(e)
				})
				p, rec := r.askAs("x", body)
				if c.status == 200 {
					require.Equal(t, "c", r.saidBy(p))
					require.Len(t, rec.Attempts, 3)
					require.Equal(t, accounting.AttemptRetry, rec.Attempts[2].Kind)
				} else {
					p.requireError(t, c.status, c.code)
					require.Len(t, rec.Attempts, 2)
					require.Zero(t, r.calls()["c"])
				}
				requireOneFinal(t, rec)
				require.Equal(t, c.status, rec.StatusDownstream)
				r.idleTargets()
				r.requireHedges("b", "lost")
			})
		}
	}
}

// A model with one target asks that one again.
func TestTheOnlyTargetIsAskedASecondTime(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, hedging(soon))
	r.up.Handle(fakeprovider.InTurn(fakeprovider.Silent, wordsOf("a")))
	p, rec := r.askAs("x", streamBody)
	require.Equal(t, "a", r.saidBy(p))
	r.closedBy("a")
	requireRows(t, rec, "a first cancelled/hedge_lost", "a hedge completed/*")
	require.NotEqual(t, r.up.WaitExchange(1).ConnID(), r.up.WaitExchange(2).ConnID())
	r.idleTargets()
}

// There is no second call where it is not wanted, or not needed.
func TestNoSecondCall(t *testing.T) {
	t.Parallel()
	slowly := func(name string) fakeprovider.Script { return fakeprovider.Late(10*soon, wordsOf(name)) }
	for _, c := range []struct {
		name    string
		changes []func(*config.Config)
		first   fakeprovider.Script
	}{
		{"not configured", nil, slowly("a")},
		{"only one call is allowed", []func(*config.Config){hedging(soon), func(c *config.Config) { c.Retry.Attempts = 1 }}, slowly("a")},
		{"there is no time for it", []func(*config.Config){hedging(soon), func(c *config.Config) { c.Retry.Within = config.Duration(soon) }}, slowly("a")},
		{"the first token is there", []func(*config.Config){hedging(soon)}, func(e *fakeprovider.Exchange) {
			payloads := fakeprovider.ChatStream(sayings("a", e.Asked()))
			e.StreamHead()
			for _, p := range payloads[:2] {
				e.Event(p)
			}
			if e.Pause(10 * soon) {
				e.Play(payloads[2:])
			}
		}},
		{"the budget for it is spent", []func(*config.Config){hedging(soon), func(c *config.Config) { c.Retry.Budget = 0 }}, slowly("a")},
		{"the other one has no room", []func(*config.Config){hedging(soon), changing(func(m *config.Model) {
			bounded(m)
			m.Targets[1] = config.Target{Provider: "a", Model: "m", Weight: 1, Priority: 2, MaxConcurrent: 1}
		})}, slowly("a")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, c.changes...)
			r.ups["a"].Handle(c.first)
			p, rec := r.askAs("x", streamBody)
			require.Equal(t, "a", r.saidBy(p))
			require.Equal(t, map[string]int{"a": 1}, r.calls())
			requireRows(t, rec, "a first completed/*")
			require.Zero(t, r.metric("sluice_hedges_total"))
			r.idleTargets()
		})
	}
}

// The wait begins when the request is sent, and is not twice as long for it.
func TestTheSecondCallIsMadeInTime(t *testing.T) {
	t.Parallel()
	const after = 2 * time.Second
	r := newRouted(t, 2, hedging(after))
	r.ups["a"].Handle(fakeprovider.Silent)
	p, rec := r.askAs("x", streamBody)
	require.Equal(t, "b", r.saidBy(p))
	waited := rec.Attempts[1].Start.Sub(rec.Attempts[0].Start)
	require.GreaterOrEqual(t, waited, after)
	require.Less(t, waited, 2*after)
}
