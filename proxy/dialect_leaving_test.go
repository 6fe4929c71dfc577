package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A client that leaves while its long request is still on its way up takes the
// connection with it: a request cut short cannot run.
// row A4
func TestClientGoneWhileSendingInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		oneOfEach(t, v)
		r := newRig(t, speaking(v))
		r.up.ReceiveBuffer(8 << 10)
		r.up.HoldBody()
		r.up.Handle(silence)
		for i, stream := range []bool{true, false} {
			c := r.dial()
			id := fmt.Sprint("gone", i)
			c.send("POST", chatPath, picture(6<<20, stream), "X-Request-Id: "+id)
			e := r.up.WaitExchange(i + 1)
			r.inPhase(accounting.PhaseSending)
			departures[i].leave(c)
			e.WaitGone(patience)
			rec := r.record(id)
			requireClientGone(t, rec, accounting.PhaseSending)
			requireNeverRan(t, rec)
			require.NotNil(t, rec.CloseMicros)
			r.allEnded()
		}
	})
}

// A client of a whole answer that leaves, or cancels, closes the upstream before the
// answer and within it.
// rows A5, A17
func TestClientsOfWholeAnswersLeaveInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		n := 0
		for _, at := range []struct {
			phase  accounting.Phase
			script func(*fakeprovider.Exchange)
		}{
			{accounting.PhaseAwaitHeaders, silence},
			{accounting.PhaseAwaitToken, wholeThenSilence("")},
			{accounting.PhaseStreaming, wholeThenSilence(v.Answer(allSaid)[:40])},
		} {
			r.up.Handle(at.script)
			for _, leave := range []string{"gone", "cancelled"} {
				n++
				id := fmt.Sprint(leave, n)
				c := r.dial()
				c.send("POST", chatPath, wholeBody, "X-Request-Id: "+id)
				r.inPhase(at.phase)
				if leave == "gone" {
					require.NoError(t, c.Close())
				} else {
					r.cancel(id)
					read(c.response()).requireError(t, 499, "cancelled")
				}
				requireClosed(t, r.up.WaitExchange(n).Conn)
				rec := r.record(id)
				require.Equal(t, at.phase, rec.Phase)
				require.Equal(t, 499, rec.StatusDownstream)
				require.Equal(t, leave == "gone", rec.Outcome == accounting.OutcomeClientGone)
				require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
				r.allEnded() // the next in the phase is the next request
			}
		}
	})
}

// flood is endless for a voice.
func flood(v *fakeprovider.Voice, taken *atomic.Int64) func(*fakeprovider.Exchange) {
	return func(e *fakeprovider.Exchange) {
		v := v.Fresh()
		say(e, v, v.Start())
		v.Text("")
		piece := v.Text(strings.Repeat("word ", 800))
		for e.Chunk(piece) {
			taken.Add(int64(len(piece)))
		}
		e.Hold() // the peer's leaving is seen by the reader of the connection
	}
}

// A client that stops reading stops the upstream. It is given up after client_stall, and
// its leaving or cancelling is noticed at once while a write to it is blocked.
// row A9
func TestClientsThatStopReadingInEveryDialect(t *testing.T) {
	endings := []struct {
		leave   func(r *rig, c *client)
		outcome accounting.Outcome
	}{
		{nil, accounting.OutcomeClientStalled},
		{func(_ *rig, c *client) { c.reset() }, accounting.OutcomeClientGone},
		{func(_ *rig, c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() }, accounting.OutcomeClientGone},
		{func(r *rig, _ *client) { r.cancel("a") }, accounting.OutcomeCancelled},
	}
	for i, v := range fakeprovider.Voices() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			end := endings[i%len(endings)]
			changes := []func(*config.Config){speaking(v)}
			if end.leave == nil {
				changes = append(changes, shortStall)
			}
			r := newRig(t, changes...)
			var taken atomic.Int64
			r.up.Handle(flood(v, &taken))
			c := r.dialNarrow()
			c.send("POST", chatPath, streamBody, "X-Request-Id: a")
			if end.leave != nil {
				r.blocked()
				end.leave(r, c)
			}
			requireClosed(t, r.up.WaitExchange(1).Conn)
			rec := r.record("a")
			require.Equal(t, end.outcome, rec.Outcome)
			require.Equal(t, accounting.PhaseStreaming, rec.Phase)
			require.False(t, rec.Delivered)
			require.Positive(t, rec.Usage.Output.N)
			require.Less(t, taken.Load(), int64(maxQueued))
		})
	}
}

// A client that leaves between the provider's end and its own last byte has had a
// complete answer that was not delivered.
// row A10
func TestClientGoneBeforeTheLastByteInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		oneOfEach(t, v)
		r := newRig(t, speaking(v))
		long := fakeprovider.Said{Texts: []string{strings.Repeat("word ", 1<<20)}}
		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, v.Answer(long)) })
		c := r.dialNarrow()
		c.send("POST", chatPath, wholeBody, "X-Request-Id: whole")
		x := r.inPhase(accounting.PhaseTail)
		r.until("the exchange has no outcome", func() bool { _, over := x.valve.ended(); return over })
		c.reset()
		rec := r.record("whole")
		requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
		require.False(t, rec.Delivered)

		r.up.Handle(saying(v))
		p, next := r.askAs("next", chatWithTool)
		requireStreamSaid(t, v, p, next)
		require.Equal(t, 1, r.up.Conns(), "the answer was read to its end")
	})
}

// Of requests that are sent one behind the other each gets its own answer, and one that
// waits behind a client that leaves is never made.
// row A15
func TestPipelinedRequestsInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v))
		r.up.Handle(saying(v))
		c := r.dial()
		c.send("POST", chatPath, chatWithTool, "X-Request-Id: first")
		c.send("POST", chatPath, wholeWithTool, "X-Request-Id: second")
		requireStreamSaid(t, v, read(c.response()), r.record("first"))
		requireWholeSaid(t, v, read(c.response()), r.record("second"))

		r.up.Handle(func(e *fakeprovider.Exchange) {
			v := v.Fresh()
			say(e, v, v.Start(), v.Text("one "))
			e.Hold()
		})
		seen := len(r.up.Exchanges())
		c.send("POST", chatPath, chatWithTool, "X-Request-Id: third")
		c.send("POST", chatPath, chatWithTool, "X-Request-Id: fourth")
		awaitBytes(t, c.r, `"content":"one "`)
		require.NoError(t, c.Close())
		require.Equal(t, accounting.OutcomeClientGone, r.record("third").Outcome)
		require.Len(t, r.up.Exchanges(), seen+1)
		_, ok := r.ledger.Get(context.Background(), "fourth")
		require.False(t, ok)
	})
}

// A stream that is running when the drain deadline passes is cut with an error.
func TestShutdownInEveryDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		oneOfEach(t, v)
		m := dialectMoments[len(dialectMoments)-1]
		r := newRig(t, speaking(v))
		c := m.reach(t, r, v, "cut")
		now, returned := r.shutdown()
		now()
		rest, err := io.ReadAll(c.r)
		require.NoError(t, err)
		require.Contains(t, string(rest), `"code":"shutting_down"`)
		require.NotContains(t, string(rest), "[DONE]")
		requireReturned(t, returned)
		rec := r.record("cut")
		require.Equal(t, accounting.OutcomeShutdown, rec.Outcome)
		requireCutUsage(t, v, m, rec)
	})
}
