package proxy

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func finishHalfClosed(c *config.Config) { c.HalfClose = config.HalfCloseFinish }

// closeWrite shuts the client's sending side only.
func (c *client) closeWrite() {
	c.Helper()
	require.NoError(c, c.Conn.(*net.TCPConn).CloseWrite())
}

// A client that shuts its sending side counts as gone by default, in any phase.
// row A11
func TestHalfCloseCountsAsGone(t *testing.T) {
	t.Parallel()
	for _, p := range departurePoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(p.script)
			c := r.dial()
			body := wholeBody
			if p.stream {
				body = streamBody
			}
			c.send("POST", chatPath, body)
			if p.events >= 0 {
				readEvents(t, c.response().Body, p.events)
			}
			r.inPhase(p.phase)
			c.closeWrite()

			requireClosed(t, r.up.WaitExchange(1).Conn)
			rec := r.onlyRecord()
			requireClientGone(t, rec, p.phase)
			require.True(t, rec.HalfClosed)
			rest := make([]byte, 1)
			n, err := c.r.Read(rest)
			require.Zero(t, n, "something was written to a client that counts as gone")
			require.Error(t, err)
		})
	}
}

// With half_close: finish such a client gets its whole answer.
// row A11
func TestHalfCloseMayBeServedToTheEnd(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, finishHalfClosed)
			half := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				<-half
				fakeprovider.DefaultScript(e)
			})
			c := r.dial()
			c.send("POST", chatPath, body)
			r.inPhase(accounting.PhaseAwaitHeaders)
			c.closeWrite()
			close(half)

			p := read(c.response())
			require.NoError(t, p.err)
			require.Equal(t, 200, p.status)
			if kind == "stream" {
				p.requireWhole(t)
			}
			rec := r.onlyRecord()
			requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
			require.True(t, rec.Delivered)
			_, err := c.r.ReadByte()
			require.Error(t, err, "the connection stays open for a request that cannot come")
		})
	}
}

// With half_close: finish a reset is still noticed at once, and a client that closed
// altogether as soon as something is written to it.
// row A11
func TestHalfClosedClientThatThenLeavesIsGone(t *testing.T) {
	t.Parallel()
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, finishHalfClosed)
		r.up.Handle(streamThenSilence(firstChunks...))
		c := r.dial()
		readEvents(t, c.post(streamBody).Body, len(firstChunks))
		r.inPhase(accounting.PhaseStreaming)
		c.closeWrite()
		c.reset()

		requireClosed(t, r.up.WaitExchange(1).Conn)
		requireClientGone(t, r.onlyRecord(), accounting.PhaseStreaming)
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, finishHalfClosed)
		closed := make(chan struct{})
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.StreamHead()
			e.Event(firstChunks[0])
			e.Event(firstChunks[1])
			<-closed
			for e.Event(firstChunks[2]) {
			}
			e.Hold()
		})
		c := r.dial()
		readEvents(t, c.post(streamBody).Body, 2)
		require.NoError(t, c.Close())
		close(closed)

		requireClosed(t, r.up.WaitExchange(1).Conn)
		requireClientGone(t, r.onlyRecord(), accounting.PhaseStreaming)
	})
}
