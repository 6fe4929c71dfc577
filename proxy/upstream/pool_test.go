package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answers reads requests and answers each with the next of wires, then waits for the
// other side to close.
func answers(wires ...string) func(net.Conn) {
	return func(c net.Conn) {
		requests := bufio.NewReader(c)
		for _, wire := range wires {
			request, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			_, _ = io.WriteString(c, wire)
		}
		_, _ = io.Copy(io.Discard, requests)
	}
}

// ask makes one exchange on c and leaves the connection to the caller.
func ask(t testing.TB, c *Conn) *Reader {
	t.Helper()
	_, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: provider.test\r\n\r\n"))
	require.NoError(t, err)
	var r Reader
	var h Head
	r.Reset(c)
	body, err := readAll(&r, &h, "GET")
	require.NoError(t, err)
	require.Equal(t, "ok", string(body))
	return &r
}

func TestConnectionIsReusedAfterACleanEnd(t *testing.T) {
	ca := newAuthority(t)
	both := answers(okResponse, okResponse)
	plain := serve(t, both)
	secure := serveTLS(t, ca, nil, func(c *tls.Conn) { both(c) })
	for _, o := range []Options{{BaseURL: plain.url()}, {BaseURL: secure.secureURL(), CAFile: ca.file(t)}} {
		pool := openPool(t, o)
		require.Nil(t, pool.Idle())
		c := dial(t, pool)
		require.False(t, c.Reused())
		require.True(t, ask(t, c).Reusable())
		pool.Put(c)
		again := pool.Idle()
		require.Same(t, c, again)
		require.True(t, again.Reused())
		require.Nil(t, pool.Idle())
		require.True(t, ask(t, again).Reusable())
		pool.Put(again)
	}
}

func TestUnsolicitedBytesCloseAnIdleConnection(t *testing.T) {
	ca := newAuthority(t)
	late := make(chan struct{})
	sent := make(chan struct{})
	handle := func(c net.Conn) {
		answers(okResponse)(&once{Conn: c})
		<-late
		_, _ = io.WriteString(c, okResponse) // the answer to nothing
		sent <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	}
	plain := serve(t, handle)
	secure := serveTLS(t, ca, nil, func(c *tls.Conn) { handle(c) })
	for _, o := range []Options{{BaseURL: plain.url()}, {BaseURL: secure.secureURL(), CAFile: ca.file(t)}} {
		o.IdleConn = time.Minute
		pool := openPool(t, o)
		c := dial(t, pool)
		require.True(t, ask(t, c).Reusable())
		pool.Put(c)
		late <- struct{}{}
		<-sent
		require.Eventually(t, func() bool { return !c.quiet() }, patience, time.Millisecond)
		require.Nil(t, pool.Idle())
		require.True(t, c.closed.Load())
	}
}

// once ends after the first request has been read.
type once struct {
	net.Conn
	read bool
}

func (c *once) Read(p []byte) (int, error) {
	if c.read {
		return 0, io.EOF
	}
	c.read = true
	return c.Conn.Read(p)
}

func TestBytesHeldByTLSCloseTheConnection(t *testing.T) {
	f := func(name string, quiet bool, extra func(session *tls.Conn, raw net.Conn)) {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			p := serve(t, func(c net.Conn) {
				raw := &corked{Conn: c}
				session := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, serverTemplate())}, MinVersion: tls.VersionTLS12})
				if session.Handshake() != nil {
					return
				}
				raw.cork = true
				_, _ = io.WriteString(session, "x")
				extra(session, raw)
				_ = c.SetWriteDeadline(time.Time{}) // a goodbye forbids further writes
				_, _ = c.Write(raw.held)            // all at once, so that one read takes it
				_, _ = io.Copy(io.Discard, c)
			})
			pool := openPool(t, Options{BaseURL: p.secureURL(), CAFile: ca.file(t), IdleConn: time.Minute})
			c := dial(t, pool)
			b, n, err := c.receive()
			require.NoError(t, err)
			require.Equal(t, "x", string(b.room()[:n]))
			giveBlock(b)
			pool.Put(c)
			require.Equal(t, quiet, pool.Idle() != nil)
			require.Equal(t, !quiet, c.closed.Load())
		})
	}
	f("nothing", true, func(*tls.Conn, net.Conn) {})
	f("goodbye", false, func(s *tls.Conn, _ net.Conn) { _ = s.CloseWrite() })
	f("part of a record", false, func(_ *tls.Conn, raw net.Conn) { _, _ = raw.Write([]byte{23, 3, 3, 0, 40, 1, 2, 3}) })
	f("part of the head of a record", false, func(_ *tls.Conn, raw net.Conn) { _, _ = raw.Write([]byte{23, 3}) })
}

// corked holds back what is written once cork is set.
type corked struct {
	net.Conn
	cork bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if !c.cork {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func TestUpstreamThatClosedIsNotReused(t *testing.T) {
	p := serve(t, func(c net.Conn) { answers(okResponse)(&once{Conn: c}) })
	pool := openPool(t, Options{BaseURL: p.url(), IdleConn: time.Minute})
	c := dial(t, pool)
	require.True(t, ask(t, c).Reusable())
	pool.Put(c)
	require.Eventually(t, func() bool { return !c.quiet() }, patience, time.Millisecond)
	require.Nil(t, pool.Idle())
}

func TestClosedConnectionIsNotPooled(t *testing.T) {
	c, _ := pair(t)
	pool := openPool(t, Options{BaseURL: "http://provider.test"})
	c.Close()
	pool.Put(c)
	require.Nil(t, pool.Idle())
}

func TestInterruptOfAPooledConnectionIsForgotten(t *testing.T) {
	p := serve(t, answers(okResponse, okResponse))
	pool := openPool(t, Options{BaseURL: p.url(), IdleConn: time.Minute})
	c := dial(t, pool)
	ask(t, c)
	c.Interrupt()
	pool.Put(c)
	require.Same(t, c, pool.Idle())
	ask(t, c)
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	gone := make(chan struct{}, 2)
	p := serve(t, func(c net.Conn) {
		answers(okResponse)(c)
		gone <- struct{}{}
	})
	pool := openPool(t, Options{BaseURL: p.url(), IdleConn: 20 * time.Millisecond})
	for range 2 {
		c := dial(t, pool)
		ask(t, c)
		pool.Put(c)
	}
	for range 2 { // nobody asks the pool for anything
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatal("an idle connection stayed open")
		}
	}
	require.Nil(t, pool.Idle())
	require.Eventually(t, func() bool {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		return pool.timer == nil
	}, patience, time.Millisecond, "the timer runs with nothing idle")
}

func TestPoolKeepsTheNewest(t *testing.T) {
	p := serve(t, answers(okResponse))
	pool := openPool(t, Options{BaseURL: p.url(), IdleConn: time.Minute, MaxIdle: 2})
	var conns []*Conn
	for range 3 {
		c := dial(t, pool)
		ask(t, c)
		conns = append(conns, c)
	}
	for _, c := range conns {
		pool.Put(c)
	}
	require.True(t, conns[0].closed.Load())
	require.Same(t, conns[2], pool.Idle())
	pool.CloseIdle()
	require.True(t, conns[1].closed.Load())
	require.Nil(t, pool.Idle())
}

func TestPoolMayKeepNothing(t *testing.T) {
	p := serve(t, answers(okResponse))
	pool := openPool(t, Options{BaseURL: p.url(), IdleConn: -1})
	c := dial(t, pool)
	ask(t, c)
	pool.Put(c)
	require.Nil(t, pool.Idle())
	require.True(t, c.closed.Load())
}

// Every answer carries the nonce of its request. Exchanges are cut at random moments;
// whatever is reused must not bring an answer of someone else.
func TestAbortedExchangesDoNotPoisonThePool(t *testing.T) {
	p := serve(t, func(c net.Conn) {
		requests := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			nonce := request.URL.Path[1:]
			wire := chunkedHead + chunked(nonce, nonce) + "0\r\n\r\n"
			for _, piece := range []string{wire[:30], wire[30 : len(wire)-9], wire[len(wire)-9:]} {
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
			}
		}
	})
	pool := openPool(t, Options{BaseURL: p.url()})
	var nonces, reused atomic.Int64
	run := func() error {
		for range 300 {
			nonce := nonces.Add(1)
			c := pool.Idle()
			if c == nil {
				var err error
				if c, err = pool.Dial(context.Background()); err != nil {
					return err
				}
			} else {
				reused.Add(1)
			}
			if err := exchangeOnce(t, pool, c, nonce); err != nil {
				return err
			}
		}
		return nil
	}
	done := make(chan error, 4)
	for range cap(done) {
		go func() { done <- run() }()
	}
	for range cap(done) {
		require.NoError(t, await(t, done))
	}
	require.Positive(t, reused.Load())
}

type foreignAnswer struct{ want, got string }

func (e foreignAnswer) Error() string { return "asked " + e.want + ", got " + e.got }

func exchangeOnce(t testing.TB, pool *Pool, c *Conn, nonce int64) error {
	want := strconv.FormatInt(nonce, 10)
	if _, err := c.Write([]byte("GET /" + want + " HTTP/1.1\r\nHost: provider.test\r\n\r\n")); err != nil {
		return err
	}
	if nonce%3 == 0 { // the client leaves before, in or after the answer
		aborted := make(chan struct{})
		go func() {
			defer close(aborted)
			c.Close()
		}()
		defer func() { <-aborted }()
	}
	var r Reader
	var h Head
	r.Reset(c)
	defer r.Release()
	got, err := readAll(&r, &h, "GET")
	switch {
	case err == nil && string(got) != want+want:
		return foreignAnswer{want + want, string(got)}
	case err == nil && nonce%3 != 0:
		if !r.Reusable() {
			t.Error("a complete answer is not reusable")
		}
		pool.Put(c)
		return nil
	case nonce%3 != 0:
		return err
	}
	c.Close()
	return nil
}
