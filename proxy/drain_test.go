package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/admin"
)

// shutdown begins a shutdown with no deadline but now's, and waits until it shows.
// The channel is closed when it has returned.
func (r *rig) shutdown() (now context.CancelFunc, returned <-chan struct{}) {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.Cleanup(cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.srv.Shutdown(ctx)
	}()
	r.until("the listener still accepts", func() bool {
		c, err := net.DialTimeout("tcp", r.addr, patience)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	return cancel, done
}

func requireReturned(t testing.TB, returned <-chan struct{}) {
	t.Helper()
	select {
	case <-returned:
	case <-time.After(patience):
		require.Fail(t, "Shutdown has not returned")
	}
}

func requireStillRunning(t testing.TB, returned <-chan struct{}) {
	t.Helper()
	select {
	case <-returned:
		require.Fail(t, "Shutdown returned before the exchange had ended")
	default:
	}
}

// Until the deadline of a drain, what runs goes on to its own end and nothing new is
// taken.
// row D1
func TestDrainLetsRunningExchangesFinish(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			idle, busy := r.dial(), r.dial()
			require.Equal(t, 200, idle.askOn(chatPath, wholeBody).status)
			r.allEnded()
			drained := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				<-drained
				fakeprovider.DefaultScript(e)
			})
			busy.send("POST", chatPath, body, "X-Request-Id: busy")
			r.inPhase(accounting.PhaseAwaitHeaders)
			require.True(t, r.srv.Ready())

			_, returned := r.shutdown()
			require.False(t, r.srv.Ready())
			_, err := idle.r.ReadByte()
			require.ErrorIs(t, err, io.EOF, "an idle connection stays open")
			requireStillRunning(t, returned)
			require.False(t, r.up.WaitExchange(2).IsGone())
			close(drained)

			p := read(busy.response())
			require.NoError(t, p.err)
			require.Equal(t, 200, p.status)
			if kind == "stream" {
				p.requireWhole(t)
			}
			_, err = busy.r.ReadByte()
			require.ErrorIs(t, err, io.EOF, "a drained connection stays open")
			require.NoError(t, busy.Close())
			requireReturned(t, returned)
			requireEnded(t, r.record("busy"), accounting.OutcomeCompleted, accounting.PhaseTail, "")
			r.requireUpstreamsClosed()
		})
	}
}

// At the deadline streams end with an error and without a sentinel, other requests
// with an error, the upstreams are closed, and Shutdown returns with all records made.
func TestDrainDeadlineEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, p := range departurePoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.Handle(p.script)
			c := r.dial()
			body := wholeBody
			if p.stream {
				body = streamBody
			}
			c.send("POST", chatPath, body, "X-Request-Id: a")
			e := r.up.WaitExchange(1)
			x := r.inPhase(p.phase)
			r.until("the events are not counted", func() bool { return p.events < 0 || x.last().live.chunks.Load() == int64(p.events) })
			now, returned := r.shutdown()
			requireStillRunning(t, returned)
			require.False(t, e.IsGone())
			now()

			requireClosed(t, e.Conn)
			resp := c.response()
			got := read(resp)
			if p.events >= 0 {
				got.requireCut(t, "shutting_down", chatText(firstChunks[:p.events]))
			} else {
				got.requireError(t, 503, "shutting_down")
				require.NotEmpty(t, got.header.Get("Retry-After"))
				require.True(t, resp.Close)
			}
			require.NoError(t, c.Close())
			requireReturned(t, returned)
			rec, ok := r.ledger.Get(context.Background(), "a")
			require.True(t, ok, "Shutdown returned without the record")
			requireEnded(t, rec, accounting.OutcomeShutdown, p.phase, "shutting_down")
			requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			require.Equal(t, p.events < 0, rec.Delivered)
		})
	}
}

// A request that arrives behind one being served is not taken in a drain.
func TestDrainTakesNoPipelinedRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	drained := make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		<-drained
		fakeprovider.DefaultScript(e)
	})
	c := r.dial()
	c.send("POST", chatPath, streamBody)
	r.inPhase(accounting.PhaseAwaitHeaders)
	c.send("POST", chatPath, wholeBody)
	_, returned := r.shutdown()
	close(drained)

	read(c.response()).requireWhole(t)
	_, err := http.ReadResponse(c.r, nil)
	require.Error(t, err)
	require.NoError(t, c.Close())
	requireReturned(t, returned)
	require.Len(t, r.up.Exchanges(), 1)
	require.Len(t, r.allEnded(), 1)
}

// A request that was being received when the drain began is refused or, if it was
// taken just before, served; it is never cut.
func TestDrainCutsNoRequestItHasTaken(t *testing.T) {
	t.Parallel()
	const rounds = 40
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c := r.dial()
			require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: sluice.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(streamBody), streamBody)
			}()
			_, returned := r.shutdown()
			<-sent
			resp, err := http.ReadResponse(c.r, nil)
			if err == nil {
				p := read(resp)
				require.NoError(t, p.err)
				if p.status == 200 {
					p.requireWhole(t)
				} else {
					p.requireError(t, 503, "shutting_down")
				}
			}
			require.NoError(t, c.Close())
			requireReturned(t, returned)
			for _, rec := range r.ledger.Recent(0) {
				require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			}
			require.Equal(t, len(r.up.Exchanges()), r.ledger.Len())
		})
	}
}

// A second signal ends at once what a drain still waits for, in any number.
func TestShutdownNowEndsManyStreams(t *testing.T) {
	t.Parallel()
	const streams = 50
	r := newRig(t)
	r.up.Handle(streamThenSilence(firstChunks...))
	clients := make([]*client, streams)
	for i := range clients {
		clients[i] = r.dial()
		clients[i].send("POST", chatPath, streamBody)
	}
	r.until("not all streams run", func() bool { return r.srv.running.phases()[accounting.PhaseStreaming] == streams })
	now, returned := r.shutdown()
	requireStillRunning(t, returned)
	now()
	for _, c := range clients {
		read(c.response()).requireCut(t, "shutting_down", chatText(firstChunks))
		require.NoError(t, c.Close())
	}
	requireReturned(t, returned)

	records := r.ledger.Recent(0)
	require.Equal(t, streams, len(records))
	for _, rec := range records {
		requireEnded(t, rec, accounting.OutcomeShutdown, accounting.PhaseStreaming, "shutting_down")
	}
	r.requireUpstreamsClosed()
	r.srv.Shutdown(context.Background()) // once more does nothing
}

// A client that does not read does not hold the shutdown up beyond the deadline.
func TestDrainDeadlineDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(endless(new(atomic.Int64)))
	c := r.dialNarrow()
	c.send("POST", chatPath, streamBody)
	r.blocked()
	now, returned := r.shutdown()
	now()
	requireReturned(t, returned)
	rec := r.onlyRecord()
	requireEnded(t, rec, accounting.OutcomeShutdown, accounting.PhaseStreaming, "shutting_down")
	require.False(t, rec.Delivered)
	r.requireUpstreamsClosed()
}

// The probes of the admin listener tell a drain from death.
func TestReadinessEndsWithTheDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(silence)
	listener := admin.New(admin.Options{Registry: r.srv.metrics.Registry(), Ready: func() error {
		if !r.srv.Ready() {
			return errors.New("draining")
		}
		return nil
	}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ln) }()
	defer func() {
		require.NoError(t, listener.Close())
		require.NoError(t, <-served)
	}()
	probe := func(path string) int {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		all, err := io.ReadAll(c)
		require.NoError(t, err)
		var status int
		_, err = fmt.Sscanf(string(all), "HTTP/1.1 %d", &status)
		require.NoError(t, err)
		return status
	}
	require.Equal(t, 200, probe("/readyz"))
	require.Equal(t, 200, probe("/livez"))

	c := r.dial()
	c.send("POST", chatPath, wholeBody) // which the drain waits for
	r.inPhase(accounting.PhaseAwaitHeaders)
	now, returned := r.shutdown()
	require.Equal(t, 503, probe("/readyz"))
	require.Equal(t, 503, probe("/health/readiness"))
	require.Equal(t, 200, probe("/livez"))
	require.Equal(t, 200, probe("/healthz"))
	require.Equal(t, 200, probe("/metrics"))
	require.NoError(t, c.Close())
	now()
	requireReturned(t, returned)
}
