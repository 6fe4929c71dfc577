package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/balance"
)

// occupy takes the only place at a provider until finish is closed.
func (r *routedRig) occupy(provider string, finish <-chan struct{}, headers ...string) *client {
	r.Helper()
	r.ups[provider].Handle(wordsSlowly(provider, finish))
	c := r.dial()
	c.send(http.MethodPost, chatPath, streamBody, append(headers, "X-Request-Id: occupant-of-"+provider)...)
	r.until("the place is not taken", func() bool {
		x := r.srv.running.get("occupant-of-" + provider)
		return x != nil && x.phaseNow() == accounting.PhaseStreaming
	})
	return c
}

// queues sends a request and waits until as many wait for a.
func (r *routedRig) queues(id, body string, place int, headers ...string) *client {
	r.Helper()
	c := r.dial()
	c.send(http.MethodPost, chatPath, body, append(headers, "X-Request-Id: "+id)...)
	r.until("the request does not wait", func() bool { return r.state("a").Queued == place })
	return c
}

// A request for which there is no place waits, where everybody can see it, and is served
// when the place is free.
func TestARequestWaitsForAPlace(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, changing(bounded))
	finish := make(chan struct{})
	first := r.occupy("a", finish)
	second := r.queues("second", streamBody, 1)
	require.Equal(t, accounting.PhaseQueued, r.srv.running.get("second").phaseNow())

	var list struct {
		Data []struct{ ID, Phase, Target, Status string }
	}
	require.Equal(t, 200, r.dial().get("/v1/requests", &list))
	shown := map[string]string{}
	for _, x := range list.Data {
		shown[x.ID] = x.Phase + " " + x.Status + " " + x.Target
	}
	require.Equal(t, map[string]string{"occupant-of-a": "streaming running a/m", "second": "queued running "}, shown)
	got := r.scraper(t).scrape()
	require.InDelta(t, 1, got[`sluice_streams_inflight{phase="queued"}`], 0)
	require.InDelta(t, 1, got[`sluice_streams_inflight{phase="streaming"}`], 0)
	require.InDelta(t, 1, got[`sluice_target_queued{model="m",provider="a"}`], 0)
	require.InDelta(t, 1, got[`sluice_target_running{model="m",provider="a"}`], 0)
	require.Len(t, r.up.Exchanges(), 1)

	r.up.Handle(wordsOf("a"))
	close(finish)
	read(first.response()).requireWhole(t)
	read(second.response()).requireWhole(t)
	requireRows(t, r.record("second"), "a first completed/*")
	r.idleTargets()
}

// The place is free when the client has its answer: it may ask again at once.
func TestAPlaceIsGivenBackWithTheLastByte(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, changing(bounded), func(c *config.Config) { c.Queue.Max = 0 })
	c := r.dial()
	for range 50 {
		for _, body := range bothKinds {
			require.Equal(t, "a", r.saidBy(c.askOn(chatPath, body)))
		}
	}
	r.up.Handle(fakeprovider.Refusal(503))
	for range 10 {
		c.askOn(chatPath, wholeBody).requireError(t, 503, "refused")
	}
	r.idleTargets()
}

// Keys that wait have their turns one after the other, so that one with many requests does
// not keep the others out.
func TestKeysWaitSideBySide(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, changing(bounded), func(c *config.Config) {
		for _, alias := range []string{"alice", "bob", "carol"} {
			c.Keys = append(c.Keys, config.Key{Alias: alias, SHA256: hashOf(alias)})
		}
	})
	finish := make(chan struct{})
	clients := []*client{r.occupy("a", finish, "Authorization: Bearer alice")}
	var order []string
	for i, who := range []string{"alice 1", "alice 2", "alice 3", "bob 1", "bob 2", "carol 1"} {
		alias, _, _ := strings.Cut(who, " ")
		body := strings.Replace(wholeBody, `{`, fmt.Sprintf(`{"user":%q,`, who), 1)
		clients = append(clients, r.queues(fmt.Sprint("w", i), body, i+1, "Authorization: Bearer "+alias))
	}
	r.up.Handle(wordsOf("a"))
	close(finish)
	for _, c := range clients {
		require.Equal(t, 200, read(c.response()).status)
	}
	for _, e := range r.up.Exchanges()[1:] {
		_, rest, _ := strings.Cut(string(e.Request.Body), `"user":"`)
		who, _, _ := strings.Cut(rest, `"`)
		order = append(order, who)
	}
	require.Equal(t, []string{"alice 1", "bob 1", "carol 1", "alice 2", "bob 2", "alice 3"}, order)
	r.idleTargets()
}

// A client that leaves the queue takes no place, has no record and reaches no provider; it
// is only counted.
// row A2
func TestAClientThatLeavesTheQueueIsOnlyCounted(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		for _, d := range departures {
			t.Run(kind+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 2, changing(bounded), changing(func(m *config.Model) { m.Targets = m.Targets[:1] }))
				finish := make(chan struct{})
				first := r.occupy("a", finish)
				gone := r.queues("gone", body, 1)
				stays := r.queues("stays", body, 2)
				d.leave(gone)
				r.until("it still waits", func() bool { return r.state("a").Queued == 1 && r.srv.running.get("gone") == nil })
				r.requireRejected("client_gone")

				r.up.Handle(wordsOf("a"))
				close(finish)
				read(first.response()).requireWhole(t)
				require.Equal(t, 200, read(stays.response()).status)
				require.Len(t, r.allEnded(), 2)
				require.Len(t, r.up.Exchanges(), 2)
				require.NotContains(t, r.logs.String(), `"id":"gone"`)
				require.InDelta(t, 2, r.metric("sluice_requests_total"), 0)
				r.idleTargets()
			})
		}
	}
}

// Beyond the queue there is 503, at once and with the time to come again.
func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	for most := range 2 {
		for kind, body := range bothKinds {
			t.Run(fmt.Sprint(most, " may wait/", kind), func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 1, changing(bounded), func(c *config.Config) { c.Queue.Max = most })
				finish := make(chan struct{})
				clients := []*client{r.occupy("a", finish)}
				for i := range most {
					clients = append(clients, r.queues(fmt.Sprint("w", i), body, i+1))
				}
				p := r.ask(body)
				p.requireError(t, 503, "upstream_busy")
				seconds, err := strconv.Atoi(p.header.Get("Retry-After"))
				require.NoError(t, err)
				require.GreaterOrEqual(t, seconds, 1)
				require.LessOrEqual(t, seconds, 60)
				require.Empty(t, p.header.Get("X-Should-Retry"), "it may be repeated")
				r.requireRejected("upstream_busy")
				r.up.Handle(wordsOf("a"))
				close(finish)
				for _, c := range clients {
					require.Equal(t, 200, read(c.response()).status)
				}
				require.Len(t, r.allEnded(), 1+most)
				r.idleTargets()
			})
		}
	}
}

// A target that has room is asked before anybody waits, if it is well.
func TestAnotherTargetWithRoomGoesBeforeTheQueue(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, changing(bounded), func(c *config.Config) { c.Breaker.Failures = 1 })
	finish := make(chan struct{})
	first := r.occupy("a", finish)
	p, rec := r.askAs("x", streamBody)
	require.Equal(t, "b", r.saidBy(p))
	requireRows(t, rec, "b first completed/*")
	require.Zero(t, r.state("a").Queued)

	second := r.occupy("b", finish)
	third := r.queues("third", streamBody, 1) // waits for the one that it would rather have
	require.Zero(t, r.state("b").Queued)
	r.ups["a"].Handle(wordsOf("a"))
	close(finish)
	for _, c := range []*client{first, second, third} {
		read(c.response()).requireWhole(t)
	}
	require.Equal(t, "a", r.record("third").Provider)

	// One that is broken has room, and is no better than the queue of one that is well.
	r.ups["b"].Handle(fakeprovider.Refusal(500))
	again := make(chan struct{})
	first = r.occupy("a", again)
	require.Equal(t, 500, r.ask(streamBody).status)
	require.Equal(t, "open", r.state("b").State)
	calls := r.calls()["b"]
	second = r.queues("waits", streamBody, 1)
	close(again)
	read(first.response()).requireWhole(t)
	read(second.response()).requireWhole(t)
	require.Equal(t, calls, r.calls()["b"])
	r.idleTargets()
}

// What ends a request that waits, and what it is told.
func TestARequestThatWaitsMayEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		end    func(r *routedRig)
		told   func(t *testing.T, kind string, p reply)
		record accounting.Outcome // none for a request that is turned away
		code   string
		waits  bool // until then
	}{
		{
			"the wait is over", func(c *config.Config) { c.Queue.Wait = config.Duration(50 * time.Millisecond) }, func(*routedRig) {},
			func(t *testing.T, _ string, p reply) {
				p.requireError(t, 503, "upstream_busy")
				require.NotEmpty(t, p.header.Get("Retry-After"))
			}, "", "upstream_busy", false,
		},
		{
			"it is cancelled", func(*config.Config) {}, func(r *routedRig) { r.cancel("x") },
			func(t *testing.T, kind string, p reply) {
				if kind == "whole" {
					p.requireError(t, 499, "cancelled")
					return
				}
				p.requireWhole(t)
				require.Contains(t, string(p.body), `"sluice":{"outcome":"cancelled","usage_source":"none"}`)
			}, accounting.OutcomeCancelled, "cancelled", true,
		},
		{
			"its time is over", func(c *config.Config) { c.Timeouts.Total = config.Duration(300 * time.Millisecond) }, func(*routedRig) {},
			func(t *testing.T, _ string, p reply) { p.requireError(t, 504, "upstream_timeout") }, accounting.OutcomeUpstreamTimeout, "upstream_timeout", false,
		},
		{"sluice stops", func(*config.Config) {}, func(r *routedRig) {
			now, returned := r.shutdown()
			now()
			requireReturned(r, returned)
		}, func(t *testing.T, _ string, p reply) { p.requireError(t, 503, "shutting_down") }, accounting.OutcomeShutdown, "shutting_down", true},
	} {
		for kind, body := range bothKinds {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRouted(t, 1, changing(bounded), c.change)
				turn, ok := r.srv.routes().targets[0].TryEnter()
				require.True(t, ok)
				waits := r.dial()
				waits.send(http.MethodPost, chatPath, body, "X-Request-Id: x")
				if c.waits {
					r.until("the request does not wait", func() bool { return r.state("a").Queued == 1 })
				}
				c.end(r)
				c.told(t, kind, read(waits.response()))
				require.Zero(t, r.up.Conns(), "it reached no provider")
				require.Zero(t, r.state("a").Queued)
				if c.record == "" {
					r.requireRejected(c.code)
					turn.Leave(balance.Neutral)
					r.idleTargets()
					return
				}
				rec := r.record("x")
				require.Equal(t, c.record, rec.Outcome)
				require.Equal(t, accounting.PhaseQueued, rec.Phase)
				require.Empty(t, rec.Attempts)
				require.Equal(t, accounting.SourceNone, rec.UsageSource)
				require.Equal(t, accounting.MayBillNone, rec.MayBill)
				require.Zero(t, r.rejected(c.code))
				turn.Leave(balance.Neutral)
				r.idleTargets()
			})
		}
	}
}

// requireRejected waits until one request is counted as turned away.
func (r *routedRig) requireRejected(code string) {
	r.Helper()
	r.until("it is not counted", func() bool { return r.rejected(code) > 0 })
	require.InDelta(r, 1, r.rejected(code), 0)
}

// At the end of a drain no place that becomes free makes another call.
// row D1
func TestAStopBeginsNoCallForThoseWhoWait(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, changing(bounded))
	first := r.occupy("a", nil)
	var waiting []*client
	for i := range 8 {
		waiting = append(waiting, r.queues(fmt.Sprint("w", i), streamBody, i+1))
	}
	now, returned := r.shutdown()
	now()
	requireReturned(r, returned)
	for _, c := range waiting {
		read(c.response()).requireError(t, 503, "shutting_down")
	}
	p := read(first.response())
	require.Equal(t, 200, p.status)
	require.Contains(t, string(p.body), `"code":"shutting_down"`)
	require.Len(t, r.up.Exchanges(), 1)
	require.Equal(t, 1, r.up.Conns())
	require.Len(t, r.allEnded(), 9)
}
