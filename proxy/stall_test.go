package proxy

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// shortStall gives up soon on a client that accepts nothing.
func shortStall(c *config.Config) { c.Timeouts.ClientStall = config.Duration(300 * time.Millisecond) }

// endless streams without end and counts the bytes that the upstream's kernel took.
func endless(taken *atomic.Int64) func(*fakeprovider.Exchange) {
	text := fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: []string{strings.Repeat("word ", 800)}})
	return func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(text[0])
		for e.Event(text[1]) {
			taken.Add(int64(len(text[1])))
		}
		e.Hold() // the peer's leaving is seen by the reader of the connection
	}
}

// blocked waits until a write to the client of the running exchange has made no
// progress for a while, so that whoever acts next meets a pump that is stuck.
func (r *rig) blocked() *exchange {
	r.Helper()
	const samples = 10
	x := r.inPhase(accounting.PhaseStreaming)
	var since, progress int64
	stuck := 0
	require.Eventually(r, func() bool {
		s, p := x.timer.writingSince.Load(), x.down.Progress()
		if s == 0 || s != since || p != progress {
			stuck = 0
		}
		stuck++
		since, progress = s, p
		return stuck > samples
	}, patience, 20*time.Millisecond, "no write to the client blocks")
	return x
}

// maxQueued is far above what both kernels hold of a stream that nobody reads, and
// far below what a proxy without back-pressure would take in.
const maxQueued = 64 << 20

// A client that stops reading stops the upstream, and is given up after client_stall.
// row A9
func TestClientThatStopsReadingIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, shortStall, mayBillPartial)
	var taken atomic.Int64
	r.up.Handle(endless(&taken))
	c := r.dialNarrow()
	resp := c.post(streamBody)
	require.Equal(t, 200, resp.StatusCode)

	requireClosed(t, r.up.WaitExchange(1).Conn)
	rec := r.onlyRecord()
	requireEnded(t, rec, accounting.OutcomeClientStalled, accounting.PhaseStreaming, "")
	requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
	require.False(t, rec.Delivered)
	require.NotNil(t, rec.CloseMicros)
	require.Less(t, taken.Load(), int64(maxQueued))

	// The connection is closed behind the part that was sent, and nothing was added.
	rest, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualValues(t, rec.BytesDelivered, len(rest))
	require.NotContains(t, string(rest), "[DONE]")
	require.NotContains(t, string(rest), `"error"`)
}

// A client that does not read a whole answer is given up as well: the answer is
// complete and was not delivered.
// row A9
func TestClientThatNeverReadsAWholeAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, shortStall)
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{Texts: []string{strings.Repeat("word ", 2<<20)}})
	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, answer) })
	c := r.dialNarrow()
	c.send("POST", chatPath, wholeBody)

	r.up.WaitExchange(1)
	rec := r.onlyRecord()
	requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
	requireUsage(t, rec, accounting.SourceReported, accounting.MayBillFull)
	require.False(t, rec.Delivered)
}

// A client's leaving is noticed while a write to it is blocked, however it leaves.
// row A9
func TestClientGoneWhileAWriteToItIsBlocked(t *testing.T) {
	t.Parallel()
	leavings := map[string]func(*client){
		"closed with unread bytes": func(c *client) { _ = c.Close() },
		"reset":                    (*client).reset,
		"half-closed":              func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
	}
	for name, leave := range leavings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var taken atomic.Int64
			r.up.Handle(endless(&taken))
			c := r.dialNarrow()
			c.send("POST", chatPath, streamBody)
			r.blocked()
			leave(c)

			requireClosed(t, r.up.WaitExchange(1).Conn)
			requireClientGone(t, r.onlyRecord(), accounting.PhaseStreaming)
			require.Less(t, taken.Load(), int64(maxQueued))
		})
	}
}

// A client that leaves between the upstream's end and its own last byte has had a
// complete answer that was not delivered; the upstream connection is kept if its
// answer ended cleanly, and closed otherwise.
// row A10
func TestClientGoneBeforeTheLastByteOfACompleteAnswer(t *testing.T) {
	t.Parallel()
	// The sentinel leaves in one write with the comment in front of it, which is
	// more than the kernels hold.
	first := fakeprovider.Events(fakeprovider.ChatStream(fakeprovider.ChatOptions{NoDone: true}))
	last := []byte(": " + strings.Repeat("c", 900<<10) + "\ndata: [DONE]\n\n")
	answer := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{Texts: []string{strings.Repeat("word ", 2<<20)}})
	stream := func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, p := range append(first, last) {
			e.Chunk(p)
		}
	}
	for _, c := range []struct {
		name, body string
		script     func(*fakeprovider.Exchange)
		reused     bool
	}{
		{"stream/clean end", streamBody, func(e *fakeprovider.Exchange) { stream(e); e.EndChunks() }, true},
		{"stream/no last chunk", streamBody, func(e *fakeprovider.Exchange) { stream(e); e.Hold() }, false},
		{"stream/bytes behind the end", streamBody, func(e *fakeprovider.Exchange) {
			stream(e)
			e.EndChunks()
			e.Raw([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		}, false},
		{"whole", wholeBody, func(e *fakeprovider.Exchange) { e.JSON(200, answer) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(c.script)
			cl := r.dialNarrow()
			cl.send("POST", chatPath, c.body)
			x := r.inPhase(accounting.PhaseTail)
			r.until("the exchange has no outcome", func() bool { _, over := x.valve.ended(); return over })
			cl.reset()

			rec := r.onlyRecord()
			requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
			require.False(t, rec.Delivered)

			r.up.Handle(fakeprovider.DefaultScript)
			require.Equal(t, 200, r.ask(wholeBody).status)
			if c.reused {
				require.Equal(t, 1, r.up.Conns())
			} else {
				require.Equal(t, 2, r.up.Conns())
				requireClosed(t, r.up.WaitConn(1))
			}
		})
	}
}
