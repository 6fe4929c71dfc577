package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds waits that end at once unless something is broken.
const patience = 10 * time.Second

// provider is a listener whose connections are handled by the test.
type provider struct {
	net.Listener
	wg sync.WaitGroup
}

// serve accepts connections and runs handle for each; the connection is closed when
// handle returns. The test does not end before all of them have.
func serve(t testing.TB, handle func(net.Conn)) *provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, l, handle)
}

func serveOn(t testing.TB, l net.Listener, handle func(net.Conn)) *provider {
	t.Helper()
	p := &provider{Listener: l}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *provider) url() string { return "http://" + p.Addr().String() }

func openPool(t testing.TB, o Options) *Pool {
	t.Helper()
	pool, err := NewPool(o)
	require.NoError(t, err)
	t.Cleanup(pool.CloseIdle)
	return pool
}

func dial(t testing.TB, pool *Pool) *Conn {
	t.Helper()
	c, err := pool.Dial(context.Background())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// pair returns a connection and the upstream's end of it.
func pair(t testing.TB) (*Conn, *net.TCPConn) {
	t.Helper()
	return byReadBody.pair(t)
}

func (w way) pair(t testing.TB) (*Conn, *net.TCPConn) {
	t.Helper()
	o := w.options(t, Options{})
	accepted := make(chan net.Conn, 1)
	closed := make(chan struct{})
	p := serve(t, func(c net.Conn) {
		accepted <- c
		<-closed
	})
	t.Cleanup(func() { close(closed) })
	o.BaseURL = p.url()
	c := dial(t, openPool(t, o))
	select {
	case up := <-accepted:
		return c, up.(*net.TCPConn)
	case <-time.After(patience):
		t.Fatal("nothing was accepted")
		return nil, nil
	}
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(c, s)
	require.NoError(t, err)
}

// readAll reads a response to its end.
func readAll(r *Reader, h *Head, method string) (body []byte, err error) {
	if err := r.ReadHead(h, method); err != nil {
		return nil, err
	}
	return whole(r)
}

// failure requires err to be an *Error with the code.
func failure(t testing.TB, code string, err error) *Error {
	t.Helper()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, code, failed.Code, failed.Error())
	return failed
}

func requireCode(t testing.TB, code string, err error) {
	t.Helper()
	_ = failure(t, code, err)
}

// drained waits until the other side has closed.
func drained(t testing.TB, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	if errors.As(err, &timeout) {
		require.False(t, timeout.Timeout(), "the connection stayed open")
	}
}
