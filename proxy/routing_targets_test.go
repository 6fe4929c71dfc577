package proxy

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Requests are divided by weight. The bound is six standard deviations, which happens once
// in five hundred million runs.
func TestTargetsOfOnePriorityShareTheRequestsByWeight(t *testing.T) {
	t.Parallel()
	weights := map[string]int{"a": 1, "b": 2, "c": 6}
	r := newRouted(t, 3, changing(alike), changing(func(m *config.Model) {
		for i := range m.Targets {
			m.Targets[i].Weight = weights[m.Targets[i].Provider]
		}
	}))
	const requests = 900
	c := r.dial()
	for range requests {
		require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
	}
	calls := r.calls()
	require.InDelta(t, 100, calls["a"], 57)
	require.InDelta(t, 200, calls["b"], 75)
	require.InDelta(t, 600, calls["c"], 85)
	require.Equal(t, requests, calls["a"]+calls["b"]+calls["c"], "nobody is asked twice")
}

// Targets of a later priority get nothing while those of an earlier one are well.
func TestALaterPriorityIsOnlyAskedWhenTheEarlierCannotServe(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, changing(func(m *config.Model) {
		m.Targets[1].Priority = 1
		m.Targets[1].Weight = 100 // of no importance to c
	}))
	for range 40 {
		r.saidBy(r.ask(streamBody))
	}
	require.Zero(t, r.calls()["c"])
	r.ups["a"].Handle(fakeprovider.Refusal(503))
	r.ups["b"].Handle(fakeprovider.Refusal(503))
	p, rec := r.askAs("last", streamBody)
	require.Equal(t, "c", r.saidBy(p))
	require.Len(t, rec.Attempts, 3)
	require.Equal(t, "c", rec.Provider)
	requireOneFinal(t, rec)
}

// With the rule of latency the target that is quick to its first token gets nearly
// everything, and the slow one still a look now and then.
func TestTheQuickTargetIsPreferredByLatency(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, changing(alike), changing(func(m *config.Model) { m.Balance = config.BalanceLatency }))
	const slow = 300 * time.Millisecond
	r.ups["a"].Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		payloads := fakeprovider.ChatStream(sayings("a", e.Asked()))
		e.Event(payloads[0]) // no token yet
		if e.Pause(slow) {
			e.Play(payloads[1:])
		}
	})
	c := r.dial()
	for n := 0; r.state("a").Latency == 0 || r.state("b").Latency == 0; n++ {
		require.Less(t, n, 500, "a target is never tried")
		c.askOn(chatPath, streamBody).requireWhole(t)
	}
	require.GreaterOrEqual(t, r.state("a").Latency, slow)
	require.Less(t, r.state("b").Latency, slow)
	before := r.calls()["b"]
	const requests = 100
	for range requests {
		c.askOn(chatPath, streamBody).requireWhole(t)
	}
	require.GreaterOrEqual(t, r.calls()["b"]-before, requests*3/4)
	require.Positive(t, r.scraper(t).scrape()[`sluice_target_latency_seconds{model="m",provider="a"}`])
}

// sticky asks for the model as each of several clients and tells who has served them. All
// requests of one go to the same target.
func (r *routedRig) sticky(headers []string) map[string]string {
	r.Helper()
	served := make(map[string]string)
	for range 4 {
		for _, h := range headers {
			who := r.saidBy(r.ask(streamBody, h))
			if before := served[h]; before != "" {
				require.Equal(r, before, who, h)
			}
			served[h] = who
		}
	}
	return served
}

// requireSpread asserts that several targets have a part in what was served.
func requireSpread(t testing.TB, served map[string]string, targets int) {
	t.Helper()
	seen := map[string]bool{}
	for _, who := range served {
		seen[who] = true
	}
	require.Len(t, seen, targets, "%v", served)
}

// sessions are values of a header that requests are held together by.
func sessions(n int) (headers []string) {
	for i := range n {
		headers = append(headers, fmt.Sprintf("X-Session-Id: session %d", i))
	}
	return headers
}

func stickyBy(what string) func(*config.Config) {
	return changing(func(m *config.Model) { m.Sticky = what })
}

func TestRequestsOfOneSessionGoToOneTarget(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, changing(alike), stickyBy("X-Session-Id"))
	requireSpread(t, r.sticky(sessions(24)), 3)

	served := map[string]string{} // those without the header are divided as if there were none
	for i := range 60 {
		served[fmt.Sprint(i)] = r.saidBy(r.ask(streamBody))
	}
	requireSpread(t, served, 3)
}

func TestRequestsOfOneKeyGoToOneTarget(t *testing.T) {
	t.Parallel()
	var headers []string
	var keys []config.Key
	for i := range 24 {
		secret := fmt.Sprint("secret-", i)
		headers = append(headers, "Authorization: Bearer "+secret)
		keys = append(keys, config.Key{Alias: fmt.Sprint("team-", i), SHA256: hashOf(secret)})
	}
	t.Run("of the configuration", func(t *testing.T) {
		t.Parallel()
		r := newRouted(t, 3, changing(alike), stickyBy(config.StickyKey), func(c *config.Config) { c.Keys = keys })
		requireSpread(t, r.sticky(headers), 3)
	})
	t.Run("of the client's own", func(t *testing.T) {
		t.Parallel()
		r := newRouted(t, 3, changing(alike), stickyBy(config.StickyKey))
		requireSpread(t, r.sticky(headers), 3)
		served := map[string]string{} // without a key nobody is anybody
		for i := range 60 {
			served[fmt.Sprint(i)] = r.saidBy(r.ask(streamBody))
		}
		requireSpread(t, served, 3)
	})
}

// When the target of a session is broken, the session moves, and no other one does. When
// the target is well again, the session comes back.
func TestASessionMovesWhileItsTargetIsBrokenAndComesBack(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 3, changing(alike), stickyBy("X-Session-Id"), func(c *config.Config) {
		c.Breaker = config.Breaker{Failures: 2, Open: config.Duration(100 * time.Millisecond)}
		c.Retry.Budget = 100
	})
	all := sessions(18)
	before := r.sticky(all)
	requireSpread(t, before, 3)
	broken := before[all[0]]

	r.ups[broken].Handle(fakeprovider.Refusal(503))
	r.until("the breaker does not open", func() bool {
		r.saidBy(r.ask(streamBody, all[0]))
		return r.state(broken).State == "open"
	})
	for session, who := range r.sticky(all) {
		if before[session] == broken {
			require.NotEqual(t, broken, who)
		} else {
			require.Equal(t, before[session], who)
		}
	}

	r.ups[broken].Handle(wordsOf(broken))
	r.until("the session does not come back", func() bool { return r.saidBy(r.ask(streamBody, all[0])) == broken })
	require.Equal(t, before, r.sticky(all))
	require.Equal(t, "closed", r.state(broken).State)
	r.idleTargets()
}

func TestTargetsTellHowTheyAreDoing(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, changing(func(m *config.Model) { m.Targets[0].MaxConcurrent = 7 }), func(c *config.Config) {
		c.Breaker.Failures = 3
		c.Models = append(c.Models, routedModel("other", "b"))
	})
	var names []string
	for _, s := range r.srv.Targets() {
		names = append(names, s.Provider+" "+s.Model)
		require.Equal(t, "closed", s.State)
		require.Zero(t, s.Latency+s.PausedFor)
		require.Zero(t, s.Failures)
	}
	require.Equal(t, []string{"a m", "b m", "b other", "a ", "b "}, names, "also what goes to provider/model")

	finish := make(chan struct{})
	r.ups["a"].Handle(wordsSlowly("a", finish))
	c := r.dial()
	resp := c.post(streamBody)
	readEvents(t, resp.Body, 2)
	s := r.state("a")
	require.Equal(t, 1, s.Running)
	require.Equal(t, 7, s.MaxConcurrent)
	require.Positive(t, s.Latency)
	close(finish)
	r.idleTargets()

	r.ups["a"].Handle(fakeprovider.InTurn(fakeprovider.Refusal(503), fakeprovider.Refusal(429, "Retry-After: 30")))
	require.Equal(t, "b", r.saidBy(r.ask(streamBody)))
	require.Equal(t, "b", r.saidBy(r.ask(streamBody)))
	r.idleTargets()
	s = r.state("a")
	require.EqualValues(t, 1, s.Failures, "a 429 says nothing about the target's health")
	require.Greater(t, s.PausedFor, 20*time.Second)
	require.LessOrEqual(t, s.PausedFor, 30*time.Second)
	calls := r.calls()["a"]
	require.Equal(t, "b", r.saidBy(r.ask(streamBody)))
	require.Equal(t, calls, r.calls()["a"], "it has asked to be left alone")

	text, err := json.Marshal(s)
	require.NoError(t, err)
	var shown map[string]any
	require.NoError(t, json.Unmarshal(text, &shown))
	for _, member := range []string{"provider", "model", "state", "running", "queued", "max_concurrent", "latency_ms", "paused_for_ms", "failures"} {
		require.Contains(t, shown, member)
	}
	got := r.scraper(t).scrape()
	require.InDelta(t, 0, got[`sluice_target_available{model="m",provider="a"}`], 0)
	require.InDelta(t, 1, got[`sluice_target_available{model="m",provider="b"}`], 0)
	require.InDelta(t, 1, got[`sluice_retries_total{model="m",provider="a",reason="status_503"}`], 0)
	require.InDelta(t, 1, got[`sluice_retries_total{model="m",provider="a",reason="status_429"}`], 0)
}
