package downstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestDrainClosesIdleConnectionsAndLetsExchangesEnd(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	r := newRig(t, withRun(func(c *Conn) {
		entered <- struct{}{}
		<-proceed
		answerOK(c)
	}))
	fresh, idle, busy := r.dial(t), r.dial(t), r.dial(t)
	idle.send(get("/x"))
	idle.receive()
	busy.send(get("/run"))
	receiveFrom(t, entered)
	require.Eventually(t, func() bool { return len(r.open()) == 3 }, wait, 1e6)

	require.False(t, r.Draining())
	r.Drain()
	r.Drain()
	require.True(t, r.Draining())
	require.Empty(t, fresh.expectEnd())
	require.Empty(t, idle.expectEnd())
	require.NoError(t, receiveFrom(t, r.served))
	r.served <- nil // for the cleanup
	_, err := net.Dial("tcp", r.addr)
	require.Error(t, err)

	for c := range everyConn(r) {
		require.False(t, c.KeepAlive())
	}
	busy.send(get("/never"))
	close(proceed)
	status, _ := busy.receive()
	require.Equal(t, 200, status)
	require.Empty(t, busy.expectEnd())
	require.EqualValues(t, 2, r.handled.Load())
}

func TestRequestUnderWayWhenDrainingStartsIsAnswered(t *testing.T) {
	r := newRig(t)
	c := r.dial(t)
	c.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
	require.Eventually(t, func() bool {
		for c := range everyConn(r) {
			return !c.idle.Load() && !c.wire.unread() && c.persistent.Load()
		}
		return false
	}, wait, 1e6)
	r.Drain()
	c.send("lo")
	res, body := c.response()
	require.Equal(t, "/x hello", body)
	require.True(t, res.Close)
	require.Empty(t, c.expectEnd())
}

func TestCloseForcesWhatDoesNotEndInTime(t *testing.T) {
	entered := make(chan struct{})
	r := newRig(t, withRun(func(c *Conn) {
		close(entered)
		_, err := c.Write(make([]byte, 64<<20))
		if err != nil {
			c.Close()
		}
	}))
	c := r.dial(t)
	c.send(get("/run"))
	receiveFrom(t, entered)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, r.Close(ctx), context.Canceled)
	require.Empty(t, r.open())
	require.NoError(t, r.Close(context.Background()))
}

func TestForcedCloseIsToldToAnExchangeThatOnlyWaits(t *testing.T) {
	r, entered, left := watchRig(t, nil)
	c := r.dial(t)
	c.send(get("/run"))
	receiveFrom(t, entered)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, r.Close(ctx), context.Canceled)
	require.Equal(t, Gone{}, receiveFrom(t, left))
}

func TestCloseWaitsForExchanges(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	booked := atomic.Bool{}
	r := newRig(t, withRun(func(c *Conn) {
		close(entered)
		<-proceed
		answerOK(c)
		booked.Store(true)
	}))
	c := r.dial(t)
	c.send(get("/run"))
	receiveFrom(t, entered)
	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.Background()) }()
	require.Eventually(t, r.Draining, wait, 1e6)
	close(proceed)
	c.receive()
	_ = c.Close()
	require.NoError(t, receiveFrom(t, closed))
	require.True(t, booked.Load())
}

func TestServeAfterCloseReturnsAtOnce(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.Close(context.Background()))
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, r.Serve(ln))
	_, err = ln.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// failingListener fails the given number of times before each connection.
type failingListener struct {
	net.Listener
	failures atomic.Int64
	err      error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", l.err)}
	}
	return l.Listener.Accept()
}

// row D6
func TestAcceptSurvivesPassingFailures(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, errors.New("odd")} {
		t.Run(errno.Error(), func(t *testing.T) {
			ln, err := Listen("127.0.0.1:0")
			require.NoError(t, err)
			failing := &failingListener{Listener: ln, err: errno}
			failing.failures.Store(4)
			r := newRigOn(t, failing)
			c := r.dial(t)
			c.send(get("/x"))
			status, _ := c.receive()
			require.Equal(t, 200, status)
		})
	}
}

func TestDrainEndsAPauseOfAccept(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	failing := &failingListener{Listener: ln, err: syscall.EMFILE}
	failing.failures.Store(1 << 40)
	r := newRigOn(t, failing)
	require.Eventually(t, func() bool { return failing.failures.Load() < 1<<40-2 }, wait, 1e6)
	r.Drain()
	require.NoError(t, receiveFrom(t, r.served))
	r.served <- nil
}

func TestListenerClosedByOthersEndsServe(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	r := newRigOn(t, ln)
	require.NoError(t, ln.Close())
	require.ErrorIs(t, receiveFrom(t, r.served), net.ErrClosed)
	r.served <- nil
}

// pipeListener yields something that has no file descriptor.
type pipeListener struct{ net.Listener }

func (l pipeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}

func TestConnectionThatCannotBeWatchedIsClosed(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	r := newRigOn(t, pipeListener{ln})
	require.Empty(t, r.dial(t).expectEnd())
}

func TestServerNeedsItsHandlers(t *testing.T) {
	handler := func(*fasthttp.RequestCtx) {}
	for _, http := range []*fasthttp.Server{
		{},
		{Handler: handler},
		{ErrorHandler: explain},
		{Handler: handler, ErrorHandler: explain, MaxConnsPerIP: 1},
	} {
		_, err := NewServer(Config{}, http)
		require.Error(t, err)
	}
}

func TestUnixListenerReplacesOnlyAStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen("unix:" + path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(unixMode), info.Mode().Perm())

	_, err = Listen("unix:" + path)
	require.Error(t, err, "somebody listens there")

	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
	ln, err = Listen("unix:" + path)
	require.NoError(t, err)
	require.NoError(t, ln.Close())

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = Listen("unix:" + path)
	require.Error(t, err)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(kept))
}

func TestUploadCutAtAnyByteReachesNoHandler(t *testing.T) {
	raw := map[string]string{
		"length":  post("/run", "0123456789abcdef", "Content-Length: 16"),
		"chunked": post("/run", "6\r\n012345\r\na;x=y\r\n6789abcdef\r\n0\r\nT: v\r\n\r\n", "Transfer-Encoding: chunked"),
	}
	for name, raw := range raw {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			cuts := 0
			for end := 1; end < len(raw); end++ {
				c := r.dial(t)
				c.send(raw[:end])
				if end%2 == 0 {
					require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
					require.Empty(t, c.expectEnd(), "cut at %d", end)
				} else {
					require.NoError(t, c.Close())
				}
				cuts++
			}
			require.Eventually(t, func() bool { return r.aborted.Load() == int64(cuts) }, wait, 1e6)
			require.Zero(t, r.handled.Load())
		})
	}
}

func TestConnectionThatSendsNothingIsNoAbortedUpload(t *testing.T) {
	r := newRig(t)
	for _, raw := range []string{"", "\r\n"} {
		c := r.dial(t)
		c.send(raw)
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		require.Empty(t, c.expectEnd())
	}
	require.Zero(t, r.aborted.Load())
}

// row C6
func TestSlowRequestsTimeOut(t *testing.T) {
	short := withConfig(func(cfg *Config) {
		cfg.HeaderTimeout = 50 * time.Millisecond
		cfg.BodyTimeout = 50 * time.Millisecond
		cfg.IdleTimeout = 50 * time.Millisecond
	})
	for name, raw := range map[string]string{
		"head":         "GET /x HTTP/1.1\r\nHo",
		"body":         post("/x", "he", "Content-Length: 5"),
		"chunked body": post("/x", "5\r\nhe", "Transfer-Encoding: chunked"),
		"chunk size":   post("/x", "5", "Transfer-Encoding: chunked"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, short)
			c := r.dial(t)
			c.send(raw)
			res, body := c.response()
			require.Equal(t, 408, res.StatusCode)
			require.Equal(t, codeRequestTimeout, body)
			require.True(t, res.Close)
			require.Empty(t, c.expectEnd())
			require.Zero(t, r.handled.Load())
			require.Zero(t, r.aborted.Load())
		})
	}
	t.Run("idle from the start", func(t *testing.T) {
		require.Empty(t, newRig(t, short).dial(t).expectEnd())
	})
	t.Run("idle after a request", func(t *testing.T) {
		c := newRig(t, short).dial(t)
		c.send(get("/x"))
		c.receive()
		require.Empty(t, c.expectEnd())
	})
}

func TestTimeoutsOfReadingDoNotReachIntoAnExchange(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) {
		cfg.HeaderTimeout = 200 * time.Millisecond
		cfg.IdleTimeout = 200 * time.Millisecond
		cfg.BodyTimeout = 200 * time.Millisecond
	}), withRun(func(c *Conn) {
		told := make(chan Gone, 1)
		c.Watch(func(g Gone) { told <- g })
		select { // longer than all of them
		case <-told:
			c.Close()
		case <-time.After(500 * time.Millisecond):
			c.Unwatch()
			answerOK(c)
		}
	}))
	c := r.dial(t)
	c.send(post("/run", "hello", "Content-Length: 5"))
	_, body := c.receive()
	require.Equal(t, "run", body)
}

func TestBodyPaceAllowsASecondPerKiB(t *testing.T) {
	start := time.Now()
	p := bodyPace{timeout: 30 * time.Second, start: start}
	require.Equal(t, start.Add(30*time.Second), p.deadline())
	p.received = 10 << 10
	require.Equal(t, start.Add(40*time.Second), p.deadline())
	p.timeout = -1
	require.Zero(t, p.deadline())
}

// row C12
func TestRefusalIsReadableWhileTheClientStillSends(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) { cfg.MaxBodyBytes = 1000 }))
	for range 20 {
		c := r.dial(t)
		go func() {
			_, _ = io.WriteString(c, post("/x", "", "Content-Length: 4000000"))
			_, _ = c.Write(make([]byte, 4_000_000)) // the server may close first
		}()
		status, _ := c.receive()
		require.Equal(t, 413, status)
	}
}
