package downstream

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withTLS borrows the certificate of the standard library's test server.
func withTLS(t *testing.T) option {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	cfg := lender.TLS.Clone()
	lender.Close()
	return withConfig(func(c *Config) { c.TLS = cfg })
}

func (r *rig) dialTLS(t *testing.T) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, //nolint:gosec // a test's own server
	})
	require.NoError(t, err)
	return newClient(t, conn)
}

func TestTLSConnectionServesRequestsAndExchanges(t *testing.T) {
	secure := make(chan bool, 8)
	r := newRig(t, withTLS(t), withRun(func(c *Conn) {
		secure <- c.IsTLS()
		answerOK(c)
	}))
	c := r.dialTLS(t)
	require.Equal(t, "http/1.1", c.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol)
	for range 3 {
		c.send(get("/run") + get("/x"))
		_, body := c.receive()
		require.Equal(t, "run", body)
		require.True(t, receiveFrom(t, secure))
		_, body = c.receive()
		require.Equal(t, "/x ", body)
	}
	c.send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	c.receive()
	require.Empty(t, c.expectEnd(), "a close_notify ends it")
}

func TestLeavingClientIsNoticedBelowTLS(t *testing.T) {
	needsWatcher(t)
	cases := map[string]struct {
		leave func(c *client)
		half  bool
	}{
		"close_notify and FIN": {func(c *client) { _ = c.Close() }, true},
		"FIN without close_notify": {func(c *client) {
			_ = c.Conn.(*tls.Conn).NetConn().Close()
		}, true},
		"RST": {func(c *client) {
			raw := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
			_ = raw.SetLinger(0)
			_ = raw.Close()
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, entered, left := watchRig(t, nil, withTLS(t))
			c := r.dialTLS(t)
			c.send(get("/run"))
			receiveFrom(t, entered)
			tc.leave(c)
			require.Equal(t, Gone{HalfClose: tc.half}, receiveFrom(t, left))
		})
	}
}

func TestCloseUnderTLSDoesNotWaitForABlockedWrite(t *testing.T) {
	entered, failed := make(chan *Conn, 1), make(chan error, 1)
	r := newRig(t, withTLS(t), withRun(func(c *Conn) {
		entered <- c
		_, err := c.Write(make([]byte, 64<<20))
		failed <- err
		c.Close()
	}))
	c := r.dialTLS(t)
	c.send(get("/run"))
	conn := receiveFrom(t, entered)
	require.Eventually(t, func() bool { return conn.wire.accepted.Load() > 1<<20 || conn.wire.unread() || conn.Progress() > 0 }, wait, 1e6)
	conn.Close()
	conn.Close()
	require.Error(t, receiveFrom(t, failed))
}

func TestTLSHandshakeTimesOut(t *testing.T) {
	r := newRig(t, withTLS(t), withConfig(func(cfg *Config) { cfg.HeaderTimeout = 50 * time.Millisecond }))
	require.Empty(t, r.dial(t).expectEnd())
}

func TestRefusedRequestIsAnsweredThroughTLS(t *testing.T) {
	r := newRig(t, withTLS(t))
	c := r.dialTLS(t)
	c.send("GET /x HTTP/1.1\r\nHost : h\r\n\r\n" + smuggled)
	status, _ := c.receive()
	require.Equal(t, 400, status)
	require.Empty(t, c.expectEnd())
	require.Zero(t, r.handled.Load())
}
