package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/proxy/balance"
)

// limitsOf sets the limits of a provider.
func limitsOf(i int, q config.Quota) func(*config.Config) {
	return func(c *config.Config) { c.Providers[i].Limits = q }
}

// perDay is a hard budget of so many tokens.
func perDay(tokens int) config.Quota {
	return config.Quota{Budgets: []config.Budget{{Tokens: tokens, Per: "day", Hard: true}}}
}

// Where the limits of a provider have no room, the next target is asked, and its own limits
// are what the client is told. Where none has, it is told the limit of the first.
func TestLimitsOfAProviderLeadToTheNextTarget(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2,
		limitsOf(0, config.Quota{RequestsPerMinute: 1}), limitsOf(1, config.Quota{RequestsPerMinute: 2}))
	limitOf := func(p reply) string { return p.header.Get("X-Ratelimit-Limit-Requests") }
	for _, want := range []struct{ who, limit string }{{"a", "1"}, {"b", "2"}, {"b", "2"}} {
		p, rec := r.askAs("to-"+want.who, wholeBody)
		require.Equal(t, want.who, r.saidBy(p))
		require.Equal(t, want.limit, limitOf(p))
		requireRows(t, rec, want.who+" first completed/*")
	}
	for kind, body := range bothKinds {
		p := r.ask(body)
		p.requireError(t, 429, "rate_limit_exceeded")
		require.Equal(t, "1", limitOf(p), kind)
		seconds, err := strconv.Atoi(p.header.Get("Retry-After"))
		require.NoError(t, err)
		require.Greater(t, seconds, 30, "a minute for one request, not the half of it")
	}
	require.Equal(t, map[string]int{"a": 1, "b": 2}, r.calls())
	require.Len(t, r.allEnded(), 3)
	require.InDelta(t, 2, r.rejected("rate_limit_exceeded"), 0)
	r.idleTargets()
}

// A call that is made because another one failed needs room too.
func TestLimitsOfAProviderKeepFailoverOut(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, limitsOf(1, config.Quota{RequestsPerMinute: 1}))
	r.ups["a"].Handle(fakeprovider.Refusal(503))
	require.Equal(t, "b", r.saidBy(r.ask(wholeBody)))
	p, rec := r.askAs("x", wholeBody)
	require.Equal(t, "c", r.saidBy(p))
	requireRows(t, rec, "a first upstream_error/refused", "c retry completed/*")
	require.Empty(t, p.header.Get("X-Ratelimit-Limit-Requests"), "that was about b")
	r.ups["c"].Handle(fakeprovider.Refusal(503))
	r.ask(wholeBody).requireError(t, 503, "refused")
	require.Equal(t, 1, r.calls()["b"])
	r.idleTargets()
}

// Each provider is charged what its own call has used.
func TestEachProviderIsChargedForItsOwnCall(t *testing.T) {
	t.Parallel()
	const plenty = 1_000_000
	budgets := []func(*config.Config){limitsOf(0, perDay(plenty)), limitsOf(1, perDay(plenty))}
	spent := func(r *routedRig, provider string) int64 {
		return r.spentOf(limits.Provider, provider, limits.Tokens)
	}
	for kind, body := range bothKinds {
		t.Run("one that did not run/"+kind, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, budgets...)
			r.ups["a"].Handle(fakeprovider.Refusal(503))
			_, rec := r.askAs("x", body)
			r.idleTargets()
			require.Zero(t, spent(r, "a"))
			require.Equal(t, rec.Usage.Input.N+rec.Usage.Output.N, spent(r, "b"))
			require.Positive(t, spent(r, "b"))
		})
		t.Run("one that was slower/"+kind, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, append(budgets, hedging(soon))...)
			r.ups["a"].Handle(fakeprovider.Silent)
			p, rec := r.askAs("x", body)
			require.Equal(t, "b", r.saidBy(p))
			r.idleTargets()
			loser := rec.Attempts[0]
			requireLoser(t, loser)
			require.Equal(t, loser.Usage.Input.N+loser.Usage.Output.N, spent(r, "a"))
			require.Equal(t, rec.Usage.Input.N+rec.Usage.Output.N, spent(r, "b"))
		})
		t.Run("a client that leaves while two race/"+kind, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 2, append(budgets, hedging(soon))...)
			c := r.race("x", body)
			c.reset()
			rec := r.record("x")
			r.idleTargets()
			require.Equal(t, rec.Usage.Input.N, spent(r, "a"))
			require.Equal(t, rec.Attempts[1].Usage.Input.N, spent(r, "b"))
			require.Positive(t, spent(r, "b"))
		})
	}
	t.Run("one that is cut before its first token", func(t *testing.T) {
		t.Parallel()
		r := newRouted(t, 2, budgets...)
		r.ups["a"].Handle(fakeprovider.Cut(300, fakeprovider.EndReset)) // a head and a part of an event
		p, rec := r.askAs("x", streamBody)
		require.Equal(t, "b", r.saidBy(p))
		r.idleTargets()
		require.True(t, rec.Attempts[0].Abandoned())
		require.Equal(t, rec.Attempts[0].Usage.Input.N+rec.Attempts[0].Usage.Output.N, spent(r, "a"))
		require.Positive(t, spent(r, "a"))
		require.Equal(t, rec.Usage.Input.N+rec.Usage.Output.N, spent(r, "b"))
	})
}

// A budget in money pays for all calls of an exchange, each at the price of its target.
func TestABudgetInMoneyPaysForAbandonedCalls(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			money := config.Quota{Budgets: []config.Budget{{USD: 100 * config.USD, Per: "day", Hard: true}}}
			r := newRouted(t, 2, hedging(soon), func(c *config.Config) {
				c.Keys = []config.Key{{Alias: "alice", SHA256: hashOf("alice-secret"), Limits: money}}
				c.Models[0].Limits = money
				c.Prices.Overrides = []config.Price{
					{Provider: "a", Model: "m", Input: 1000 * config.USD, Output: 2000 * config.USD},
					{Provider: "b", Model: "m", Input: config.USD, Output: 2 * config.USD},
				}
			})
			r.ups["a"].Handle(fakeprovider.Silent)
			p, rec := r.askAs("x", body, asAlice)
			require.Equal(t, "b", r.saidBy(p))
			r.idleTargets()
			loser := rec.Attempts[0]
			requireLoser(t, loser)
			require.NotNil(t, loser.CostNanoUSD)
			require.Equal(t, (1000*loser.Usage.Input.N+2000*loser.Usage.Output.N)*1000, *loser.CostNanoUSD)
			require.Equal(t, (rec.Usage.Input.N+2*rec.Usage.Output.N)*1000, *rec.CostNanoUSD)
			all := *rec.CostNanoUSD + *loser.CostNanoUSD
			require.Greater(t, all, 100**rec.CostNanoUSD)
			require.Equal(t, all, r.spentOf(limits.Key, "alice", limits.NanoUSD))
			require.Equal(t, all, r.spentOf(limits.Model, "m", limits.NanoUSD))
			require.InEpsilon(t, float64(all)/1e9, r.metric("sluice_cost_usd_total"), 1e-9)
		})
	}
}

// A target whose price is not known cannot be asked for a hard budget in money; another can.
func TestATargetWithoutAPriceIsPassedOver(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, func(c *config.Config) {
		c.Models[0].Limits = config.Quota{Budgets: []config.Budget{{USD: config.USD, Per: "day", Hard: true}}}
		c.Models[0].Targets[0].Model = "nobody-knows-this-one"
		c.Prices.Overrides = []config.Price{{Model: "m", Input: config.USD, Output: config.USD}}
	})
	require.Equal(t, "b", r.saidBy(r.ask(streamBody)))
	r.ups["b"].Handle(fakeprovider.Refusal(503))
	r.ask(streamBody).requireError(t, 503, "refused")
	require.Zero(t, r.ups["a"].Conns())
	r.idleTargets()
}

// A budget that a hedge's provider has spent leaves the first call alone.
func TestASecondCallNeedsRoomInItsLimits(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, hedging(soon), limitsOf(1, perDay(10)), changing(bounded)) // else a is asked again
	r.ups["a"].Handle(fakeprovider.Late(5*soon, wordsOf("a")))
	p, rec := r.askAs("x", streamBody)
	require.Equal(t, "a", r.saidBy(p))
	requireRows(t, rec, "a first completed/*")
	require.Zero(t, r.ups["b"].Conns())
	r.idleTargets()
}

// What an exchange has reserved at a provider is free again when it waits for a place there
// in vain.
func TestNothingStaysReservedForOneThatIsTurnedAway(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, changing(bounded), limitsOf(0, perDay(10_000)), limitsOf(1, config.Quota{Streams: 5}), func(c *config.Config) {
		c.Queue.Max = 0
	})
	for _, target := range r.srv.routes().targets[:2] {
		turn, ok := target.TryEnter()
		require.True(t, ok)
		t.Cleanup(func() { turn.Leave(balance.Neutral) })
	}
	r.ask(streamBody).requireError(t, 503, "upstream_busy")
	require.Zero(t, r.srv.limiter.Held())
	require.Zero(t, r.spentOf(limits.Provider, "a", limits.Tokens))
}

// The answer that was withheld while another might have taken over is paid for as any other.
func TestALimitThatCutsAHedgedStream(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, hedging(soon), limitsOf(1, config.Quota{MaxOutputTokens: 500}))
	r.ups["a"].Handle(fakeprovider.Silent)
	r.ups["b"].Handle(endlessStream)
	c := r.dial()
	c.send(http.MethodPost, chatPath, streamBody, "X-Request-Id: x")
	p := read(c.response())
	p.requireWhole(t)
	require.Equal(t, 1, strings.Count(string(p.body), `"finish_reason":"stop"`))
	rec := r.record("x")
	requireRows(t, rec, "a first cancelled/hedge_lost", "b hedge limit/output_limit*")
	require.Equal(t, accounting.OutcomeLimit, rec.Outcome)
	r.closedBy("a")
	r.closedBy("b")
	r.idleTargets()
}
