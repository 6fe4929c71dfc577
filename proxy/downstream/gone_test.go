package downstream

import (
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// watchRig runs exchanges that report how their client left and then close.
func watchRig(t *testing.T, ln net.Listener, options ...option) (r *rig, entered chan *Conn, left chan Gone) {
	t.Helper()
	entered, left = make(chan *Conn, 16), make(chan Gone, 16)
	options = append(options, withRun(func(c *Conn) {
		gone := make(chan Gone, 1)
		c.Watch(func(g Gone) { gone <- g })
		entered <- c
		g := <-gone
		c.Unwatch()
		c.Close()
		left <- g
	}))
	if ln == nil {
		return newRig(t, options...), entered, left
	}
	return newRigOn(t, ln, options...), entered, left
}

func TestLeavingClientIsNoticedWithoutReadingOrWriting(t *testing.T) {
	pipelined := get("/run") + get("/never")
	cases := []struct {
		name  string
		raw   string
		leave func(c *client)
		half  bool
	}{
		{"FIN", get("/run"), func(c *client) { _ = c.Close() }, true},
		{"half-close", get("/run"), func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() }, true},
		{"RST", get("/run"), reset, false},
		{"FIN behind pipelined bytes", pipelined, func(c *client) { _ = c.Close() }, true},
		{"RST behind pipelined bytes", pipelined, reset, false},
		{"FIN behind bytes still in the kernel", get("/run"), func(c *client) {
			c.send(get("/never"))
			_ = c.Close()
		}, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			needsWatcher(t)
			r, entered, left := watchRig(t, nil)
			c := r.dial(t)
			c.send(tc.raw)
			receiveFrom(t, entered)
			tc.leave(c)
			require.Equal(t, Gone{HalfClose: tc.half}, receiveFrom(t, left))
			require.EqualValues(t, 1, r.handled.Load())
		})
	}
}

func needsWatcher(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("departures are fully visible on Linux only")
	}
}

func reset(c *client) {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func TestClientGoneBeforeWatchIsReportedAtOnce(t *testing.T) {
	needsWatcher(t)
	for name, leave := range map[string]func(*client){"FIN": func(c *client) { _ = c.Close() }, "RST": reset} {
		t.Run(name, func(t *testing.T) {
			entered, left := make(chan *Conn), make(chan struct{})
			seen := make(chan bool, 1)
			r := newRig(t, withRun(func(c *Conn) {
				entered <- c
				<-left
				told := false // the callback comes on this goroutine
				c.Watch(func(Gone) { told = true })
				c.Unwatch()
				seen <- told
				c.Close()
			}))
			c := r.dial(t)
			c.send(get("/run"))
			conn := receiveFrom(t, entered)
			leave(c)
			require.Eventually(t, conn.Gone, wait, 1e6)
			close(left)
			require.True(t, receiveFrom(t, seen))
		})
	}
}

func TestHalfClosedClientIsServedWhenConfigured(t *testing.T) {
	needsWatcher(t)
	t.Run("it gets its answer", func(t *testing.T) {
		entered, proceed := make(chan struct{}), make(chan struct{})
		told := atomic.Bool{}
		r := newRig(t, withConfig(func(cfg *Config) { cfg.HalfCloseFinish = true }), withRun(func(c *Conn) {
			c.Watch(func(Gone) { told.Store(true) })
			entered <- struct{}{}
			<-proceed
			c.Unwatch()
			answerOK(c)
		}))
		c := r.dial(t)
		c.send(get("/run"))
		receiveFrom(t, entered)
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		for c := range everyConn(r) {
			require.Eventually(t, func() bool {
				c.presence.mu.Lock()
				defer c.presence.mu.Unlock()
				return c.presence.left == halfClosed
			}, wait, 1e6)
			require.False(t, c.Gone())
		}
		close(proceed)
		status, body := c.receive()
		require.Equal(t, 200, status)
		require.Equal(t, "run", body)
		require.Empty(t, c.expectEnd())
		require.False(t, told.Load())
	})
	t.Run("its reset is noticed", func(t *testing.T) {
		r, entered, left := watchRig(t, nil, withConfig(func(cfg *Config) { cfg.HalfCloseFinish = true }))
		c := r.dial(t)
		c.send(get("/run"))
		receiveFrom(t, entered)
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		reset(c)
		require.Equal(t, Gone{}, receiveFrom(t, left))
	})
}

func everyConn(r *rig) map[*Conn]struct{} {
	all := make(map[*Conn]struct{})
	for _, c := range r.open() {
		all[c] = struct{}{}
	}
	return all
}

func TestLeavingClientOfAUnixSocketIsNoticed(t *testing.T) {
	needsWatcher(t)
	ln, err := Listen("unix:" + filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	r, entered, left := watchRig(t, ln)
	conn, err := net.Dial("unix", r.addr)
	require.NoError(t, err)
	c := newClient(t, conn)
	c.send(get("/run"))
	receiveFrom(t, entered)
	require.NoError(t, c.Close())
	require.Equal(t, Gone{}, receiveFrom(t, left))
}

func TestDepartureIsNoticedWhileAWriteIsBlocked(t *testing.T) {
	needsWatcher(t)
	entered, failed := make(chan struct{}), make(chan error, 1)
	r := newRig(t, withRun(func(c *Conn) {
		c.Watch(func(Gone) { c.Close() })
		close(entered)
		_, err := c.Write(make([]byte, 64<<20))
		c.Unwatch()
		c.Close()
		failed <- err
	}))
	c := r.dial(t)
	c.send(get("/run"))
	receiveFrom(t, entered)
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	require.Error(t, receiveFrom(t, failed))
}

func TestProgressTellsASlowReaderFromOneThatStopped(t *testing.T) {
	entered, ended := make(chan *Conn, 1), make(chan error, 1)
	const total = 8 << 20
	r := newRig(t, withRun(func(c *Conn) {
		entered <- c
		_, err := c.Write(make([]byte, total))
		ended <- err
		c.Close()
	}))
	c := r.dial(t)
	c.send(get("/run"))
	conn := receiveFrom(t, entered)
	still := func() bool { // two looks around several scheduler turns
		before := conn.Progress()
		for range 1000 {
			runtime.Gosched()
		}
		return before > 0 && conn.Progress() == before
	}
	require.Eventually(t, still, wait, 50e6)
	before := conn.Progress()
	require.Less(t, before, int64(total))
	buf := make([]byte, 64<<10)
	read := 0
	require.Eventually(t, func() bool {
		n, err := c.Read(buf)
		read += n
		return err == nil && conn.Progress() > before
	}, wait, 1e6)
	for read < total {
		n, err := c.Read(buf)
		require.NoError(t, err)
		read += n
	}
	require.NoError(t, receiveFrom(t, ended))
	if runtime.GOOS == "linux" {
		require.Equal(t, total, read)
	}
}

func TestNothingIsToldAfterUnwatch(t *testing.T) {
	needsWatcher(t)
	const rounds = 300
	late := atomic.Int64{}
	r := newRig(t, withRun(func(c *Conn) {
		over := atomic.Bool{}
		c.Watch(func(Gone) {
			if over.Load() {
				late.Add(1)
			}
		})
		runtime.Gosched()
		c.Unwatch()
		over.Store(true)
		c.Close()
	}))
	var clients sync.WaitGroup
	for range rounds {
		c := r.dial(t)
		c.send(get("/run"))
		clients.Go(func() { _ = c.Close() })
	}
	clients.Wait()
	require.Eventually(t, func() bool { return len(r.open()) == 0 }, wait, 1e6)
	require.Zero(t, late.Load())
}

func TestReusedDescriptorIsNotToldOfItsPredecessorsDeparture(t *testing.T) {
	needsWatcher(t)
	mistaken := atomic.Int64{}
	entered := make(chan struct{})
	proceed := make(chan struct{})
	r := newRig(t, withRun(func(c *Conn) {
		c.Watch(func(Gone) { mistaken.Add(1) })
		entered <- struct{}{}
		<-proceed
		c.Unwatch()
		answerOK(c)
	}))
	for range 200 {
		gone := r.dial(t)
		gone.send(get("/x"))
		gone.receive()
		reset(gone)
		stays := r.dial(t)
		stays.send(get("/run"))
		receiveFrom(t, entered)
		proceed <- struct{}{}
		_, body := stays.receive()
		require.Equal(t, "run", body)
		require.NoError(t, stays.Close())
	}
	require.Zero(t, mistaken.Load())
}

func TestPanicInADepartureCallbackDoesNotBlindTheWatcher(t *testing.T) {
	needsWatcher(t)
	entered, gone := make(chan struct{}, 2), make(chan struct{}, 2)
	r := newRig(t, withRun(func(c *Conn) {
		closed := make(chan struct{})
		c.Watch(func(Gone) {
			close(closed)
			panic("secret")
		})
		entered <- struct{}{}
		<-closed
		c.Unwatch()
		c.Close()
		gone <- struct{}{}
	}))
	for range 2 {
		c := r.dial(t)
		c.send(get("/run"))
		receiveFrom(t, entered)
		require.NoError(t, c.Close())
		receiveFrom(t, gone)
	}
}
