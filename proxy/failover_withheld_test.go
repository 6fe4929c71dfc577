package proxy

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// keepAliveQuickly has a comment written after every few milliseconds of silence.
func keepAliveQuickly(cfg *config.Config) { cfg.KeepAlive = config.Duration(5 * time.Millisecond) }

// Comments do not go out while an answer is withheld, and do afterwards, whoever serves
// the client then.
func TestNoCommentLeavesWhileAnotherTargetMayTakeOver(t *testing.T) {
	t.Parallel()
	for server, name := range []string{"the first goes on", "the second takes over"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(2), offering("m", "ab"), keepAliveQuickly)
			payloads := fakeprovider.ChatStream(told(nonceOf(server)))
			woken, seen := make(chan struct{}), make(chan struct{})
			serve := func(e *fakeprovider.Exchange, from int) {
				sendEvents(e, payloads[from:2])
				<-seen
				e.Play(payloads[2:])
			}
			f.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead()
				e.Event(payloads[0])
				<-woken
				if server == 0 {
					serve(e, 1)
				} else {
					e.Play([]string{fellOver})
				}
			})
			f.ups[1].Handle(func(e *fakeprovider.Exchange) { e.StreamHead(); serve(e, 0) })
			c := f.dial()
			c.send("POST", chatPath, streamBody, "X-Request-Id: a")
			x := f.inPhase(accounting.PhaseAwaitToken)
			f.until("the pump is not woken", func() bool {
				x.timer.mu.Lock()
				defer x.timer.mu.Unlock()
				return x.timer.pingAt > 0 && x.clock()-x.last().upstreamAt.Load() > int64(50*time.Millisecond)
			})
			close(woken)
			resp, comment := c.response(), string(keepAliveComment)
			got := make([]byte, len(chatText(payloads[:2]))+len(comment))
			_, err := io.ReadFull(resp.Body, got)
			require.NoError(t, err)
			require.Equal(t, chatText(payloads[:2])+comment, string(got))
			close(seen)
			p := read(resp)
			p.requireWhole(t)
			require.Equal(t, chatText(payloads[2:]), strings.ReplaceAll(string(p.body), comment, ""))
			require.Equal(t, nameOf(server), f.record("a").Provider)
			f.requireNothingLeft(t)
		})
	}
}

// What comes without a token is withheld up to a bound; beyond it the client gets it, and
// nobody else is asked any more.
func TestWithheldAnswerThatGrowsTooLargeIsTheClients(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat("x", maxWithheld/4)
	quiet := func(delta string) string { // a chunk that says nothing
		return `{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}],"padding":"` + padding + `"}`
	}
	for name, c := range map[string]struct {
		events int
		begins bool
	}{"below the bound": {3, false}, "beyond it": {5, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(2), offering("m", "ab"))
			all := slices.Repeat([]string{quiet("{}")}, c.events)
			all[0] = quiet(`{"role":"assistant"}`)
			f.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead()
				e.Play(append(all, fellOver))
			})
			p, rec := f.askAs("a", streamBody)
			first := ran(accounting.OutcomeUpstreamError, accounting.PhaseAwaitToken, "server_error", 200).by(0, accounting.AttemptFirst)
			if c.begins {
				require.Error(t, p.err)
				require.Equal(t, chatText(append(all, fellOver)), string(p.body))
				requireBooked(t, rec, first)
				require.Equal(t, []int{1, 0}, f.calls())
				require.False(t, rec.Delivered)
			} else {
				f.requireTold(t, "stream", 1, p)
				requireBooked(t, rec, first, served(1, accounting.AttemptRetry))
				require.Equal(t, []int{1, 1}, f.calls())
			}
			require.EqualValues(t, len(p.body), rec.BytesDelivered)
			f.requireNothingLeft(t)
		})
	}
}

// withheldEndings are what can end an exchange whose answer is withheld, and what the
// client gets then: nothing of that answer.
var withheldEndings = []struct {
	name    string
	end     func(f *failoverRig, c *client, x *exchange)
	outcome accounting.Outcome
	code    string
	check   func(t *testing.T, c *client)
}{
	{
		"leaves", func(_ *failoverRig, c *client, _ *exchange) { c.reset() },
		accounting.OutcomeClientGone, "", func(*testing.T, *client) {},
	},
	{
		"cancelled", func(f *failoverRig, _ *client, _ *exchange) { f.cancel("a") },
		accounting.OutcomeCancelled, "cancelled",
		func(t *testing.T, c *client) {
			p := read(c.response())
			p.requireWhole(t)
			require.Contains(t, string(p.body), `"outcome":"cancelled"`)
			require.NotContains(t, string(p.body), "role", "nothing of what was withheld")
		},
	},
	{
		"out of time", func(_ *failoverRig, _ *client, x *exchange) {
			x.fail(accounting.OutcomeUpstreamTimeout, "upstream_timeout") // as timeouts.total does
		},
		accounting.OutcomeUpstreamTimeout, "upstream_timeout",
		func(t *testing.T, c *client) {
			p := read(c.response())
			p.requireError(t, 504, "upstream_timeout")
			require.Equal(t, "false", p.header.Get("X-Should-Retry"))
		},
	},
	{
		"shut down", func(_ *failoverRig, _ *client, x *exchange) {
			x.shut(ending{outcome: accounting.OutcomeShutdown, code: "shutting_down"})
		},
		accounting.OutcomeShutdown, "shutting_down",
		func(t *testing.T, c *client) {
			p := read(c.response())
			p.requireError(t, 503, "shutting_down")
			require.Equal(t, "false", p.header.Get("X-Should-Retry"), "the target may have run it")
		},
	},
}

// What ends the exchange while an answer is withheld ends it: nobody else is asked, and the
// client gets the ending alone.
// rows A6, A17, B11
func TestExchangeThatEndsWhileItsAnswerIsWithheld(t *testing.T) {
	t.Parallel()
	for _, w := range withheldEndings {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f := newFailoverRig(t, openAIs(2), offering("m", "ab", maybeRan))
			f.up.Handle(streamThenSilence(begun[0]))
			c := f.dial()
			c.send("POST", chatPath, streamBody, "X-Request-Id: a")
			x := f.inPhase(accounting.PhaseAwaitToken)
			f.until("the first event has not come", func() bool { return x.last().live.chunks.Load() == 1 })
			w.end(f, c, x)
			requireClosed(t, f.up.WaitConn(1))
			w.check(t, c)
			rec := f.record("a")
			last := ran(w.outcome, accounting.PhaseAwaitToken, w.code, 200).by(0, accounting.AttemptFirst)
			requireBooked(t, rec, last)
			requireAs(t, rec, last)
			require.NotNil(t, rec.CloseMicros)
			require.Equal(t, []int{1, 0}, f.calls())
			f.requireNothingLeft(t)
		})
	}
}

// A stream that another target has taken over ends as any other: when it is cancelled, with
// the words of that one.
// row A17
func TestCancelOfAStreamThatWasTakenOver(t *testing.T) {
	t.Parallel()
	f := newFailoverRig(t, openAIs(2), offering("m", "ab"))
	f.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Play([]string{begun[0], fellOver})
	})
	payloads := fakeprovider.ChatStream(told(nonceOf(1)))[:2]
	f.ups[1].Handle(streamThenSilence(payloads...))
	c := f.dial()
	resp := c.post(streamBody, "X-Request-Id: a")
	before := make([]byte, len(chatText(payloads)))
	_, err := io.ReadFull(resp.Body, before)
	require.NoError(t, err)
	require.Equal(t, chatText(payloads), string(before))
	f.cancel("a")
	p := read(resp)
	p.requireWhole(t)
	require.Contains(t, string(p.body), `"id":"chatcmpl-`+nonceOf(1)+`"`)
	require.NotContains(t, string(p.body), "chatcmpl-fake")
	rec := f.record("a")
	last := ran(accounting.OutcomeCancelled, accounting.PhaseStreaming, "cancelled", 200).by(1, accounting.AttemptRetry)
	requireBooked(t, rec, ran(accounting.OutcomeUpstreamError, accounting.PhaseAwaitToken, "server_error", 200).by(0, accounting.AttemptFirst), last)
	requireAs(t, rec, last)
	requireClosed(t, f.ups[1].WaitConn(1))
	f.requireNothingLeft(t)
}
