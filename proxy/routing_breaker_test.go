package proxy

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// breaking sets how many failures in a row open a breaker, and for how long.
func breaking(failures int, open time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		c.Breaker = config.Breaker{Failures: failures, Open: config.Duration(open)}
	}
}

// What a provider does wrong counts against the target, at the end of the call. Once that
// was too often, it gets nothing but a single request now and then, until one succeeds.
func TestFailuresOpenTheBreakerAndOneRequestTriesTheTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fails  fakeprovider.Script
		status int // what the client gets meanwhile
	}{
		{"server error", fakeprovider.Refusal(500), 500},
		{"reset", func(e *fakeprovider.Exchange) { e.Reset() }, 502},
		{"no HTTP", fakeprovider.NoHTTP, 502},
		{"cut in the middle of a stream", func(e *fakeprovider.Exchange) {
			e.StreamHead()
			for _, p := range fakeprovider.ChatStream(sayings("a", e.Asked()))[:2] {
				e.Event(p)
			}
			e.Reset()
		}, 200},
		{"an error after the first token", fakeprovider.Failing(2), 200},
		{"truncation", func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Play(fakeprovider.ChatStream(sayings("a", e.Asked()))[:3])
		}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const failures = 3
			r := newRouted(t, 2, breaking(failures, time.Hour))
			r.ups["a"].Handle(c.fails)
			for i := range failures {
				require.Equal(t, "closed", r.state("a").State)
				p, rec := r.askAs(fmt.Sprint("f", i), streamBody)
				require.Equal(t, c.status, p.status)
				require.Len(t, rec.Attempts, 1)
				require.EqualValues(t, i+1, r.state("a").Failures)
			}
			require.Equal(t, "open", r.state("a").State)
			s := r.scraper(t)
			got := s.scrape()
			require.InDelta(t, 1, got[`sluice_target_opened_total{model="m",provider="a"}`], 0)
			require.InDelta(t, 1, got[`sluice_target_state{model="m",provider="a",state="open"}`], 0)
			require.InDelta(t, 0, got[`sluice_target_available{model="m",provider="a"}`], 0)
			for i := range 5 {
				p, rec := r.askAs(fmt.Sprint("o", i), streamBody)
				require.Equal(t, "b", r.saidBy(p))
				requireRows(t, rec, "b first completed/*")
			}
			require.Equal(t, failures, r.calls()["a"])
			r.idleTargets()
		})
	}
}

// After the time to leave it alone, one request tries the target, while others go
// elsewhere. If it fails, the time begins anew; if it succeeds, the target is back.
func TestASingleRequestTriesABrokenTarget(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, breaking(1, 30*time.Millisecond))
	r.ups["a"].Handle(fakeprovider.Refusal(500))
	require.Equal(t, 500, r.ask(streamBody).status)
	halfOpen := func() {
		r.until("the breaker stays open", func() bool { return r.state("a").State == "half_open" })
	}
	halfOpen()
	require.Equal(t, 500, r.ask(streamBody).status, "it was tried")
	require.Equal(t, 2, r.calls()["a"])

	finish := make(chan struct{})
	r.ups["a"].Handle(wordsSlowly("a", finish))
	halfOpen()
	probe := r.dial()
	probe.send(http.MethodPost, chatPath, streamBody)
	r.ups["a"].WaitExchange(3)
	for range 10 {
		require.Equal(t, "b", r.saidBy(r.ask(streamBody)))
	}
	require.Equal(t, "half_open", r.state("a").State)
	r.ups["a"].Handle(wordsOf("a"))
	close(finish)
	read(probe.response()).requireWhole(t)
	require.Equal(t, "closed", r.state("a").State)
	require.Equal(t, "a", r.saidBy(r.ask(streamBody)))
	r.idleTargets()
}

// A probe whose client leaves has said nothing: the next request is another one.
func TestAProbeWhoseClientLeavesSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, breaking(1, 20*time.Millisecond))
	r.ups["a"].Handle(fakeprovider.Refusal(500))
	require.Equal(t, 500, r.ask(streamBody).status)
	r.until("the breaker stays open", func() bool { return r.state("a").State == "half_open" })
	r.ups["a"].Handle(fakeprovider.Silent)
	c := r.dial()
	c.send(http.MethodPost, chatPath, streamBody)
	r.ups["a"].WaitExchange(2)
	require.NoError(t, c.Close())
	r.idleTargets()
	require.Equal(t, "half_open", r.state("a").State)
	r.ups["a"].Handle(wordsOf("a"))
	require.Equal(t, "a", r.saidBy(r.ask(streamBody)))
	require.Equal(t, "closed", r.state("a").State)
}

// Clients that leave, in whatever phase, are no failures of the target.
// rows A5, A6, A7
func TestAThousandClientsThatLeaveBreakNothing(t *testing.T) {
	t.Parallel()
	const aborts, clients = 1000, 10
	r := newRouted(t, 2, breaking(3, time.Hour))
	r.ups["a"].Handle(func(e *fakeprovider.Exchange) {
		switch e.Seq % 3 {
		case 0:
			e.Hold()
		case 1:
			headThenSilence(e)
		default:
			wordsSlowly("a", nil)(e)
		}
	})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range aborts / clients {
				c := r.dial()
				body := streamBody
				if i%2 == 0 {
					body = wholeBody
				}
				c.send(http.MethodPost, chatPath, body)
				if i%4 == 1 { // others may leave before a provider knows of them
					<-time.After(time.Millisecond)
				}
				c.reset()
			}
		})
	}
	wg.Wait()
	r.idleTargets()
	require.Equal(t, "closed", r.state("a").State)
	require.Zero(t, r.state("a").Failures)
	require.Zero(t, r.calls()["b"], "nobody was called for a client that had left")
	require.GreaterOrEqual(t, r.calls()["a"], aborts/10)
	for _, rec := range r.allEnded() {
		require.Equal(t, accounting.OutcomeClientGone, rec.Outcome)
		require.LessOrEqual(t, len(rec.Attempts), 1)
	}
}

// What a provider refuses is the request's fault, and its limits are no illness.
func TestRefusalsBreakNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 413, 422, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 1, breaking(2, time.Hour))
			r.up.Handle(fakeprovider.Refusal(status))
			for range 10 {
				r.ask(streamBody).requireError(t, status, "refused")
			}
			require.Equal(t, "closed", r.state("a").State)
			require.Zero(t, r.state("a").Failures)
			require.Equal(t, 10, r.calls()["a"])
		})
	}
}

// A cancel and a crossed limit are no failures either.
func TestWhatSluiceEndsItselfBreaksNothing(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, breaking(1, time.Hour), func(c *config.Config) {
		c.Models[0].Limits.MaxOutputTokens = 100
	})
	r.up.Handle(fakeprovider.InTurn(headThenSilence, endlessStream, wordsOf("a")))
	c := r.dial()
	c.send(http.MethodPost, chatPath, streamBody, "X-Request-Id: cut")
	r.inPhase(accounting.PhaseAwaitToken)
	r.cancel("cut")
	read(c.response()).requireWhole(t)
	p, rec := r.askAs("long", streamBody)
	p.requireWhole(t)
	require.Equal(t, accounting.OutcomeLimit, rec.Outcome)
	require.Equal(t, "closed", r.state("a").State)
	require.Equal(t, "a", r.saidBy(r.ask(streamBody)))
	r.idleTargets()
}

// Where there is no other target, a broken one is still asked: the client gets what it says.
func TestTheOnlyTargetIsAskedThoughItIsBroken(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, breaking(2, time.Hour))
	r.up.Handle(fakeprovider.Refusal(500))
	for range 6 {
		r.ask(streamBody).requireError(t, 500, "refused")
	}
	require.Equal(t, "open", r.state("a").State)
	require.Equal(t, 6, r.calls()["a"])
	r.up.Handle(wordsOf("a"))
	require.Equal(t, "a", r.saidBy(r.ask(streamBody)), "it may have recovered")
	r.idleTargets()
}

// When all are broken, the best of them are asked all the same.
func TestBrokenTargetsAreAskedWhenThereIsNoOther(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, breaking(1, time.Hour))
	r.ups["a"].Handle(fakeprovider.Refusal(500))
	r.ups["b"].Handle(fakeprovider.Refusal(500))
	for range 2 {
		r.ask(streamBody).requireError(t, 500, "refused")
	}
	require.Equal(t, "open", r.state("a").State)
	require.Equal(t, "open", r.state("b").State)
	r.ask(streamBody).requireError(t, 500, "refused")
	require.Equal(t, map[string]int{"a": 2, "b": 1}, r.calls(), "priority counts again")
}
