package downstream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const slowClients = 300

// drip opens many connections that begin with opening and then send piece again and
// again, and returns what each of them was told when all have been closed.
func drip(t *testing.T, addr, opening, piece string) <-chan []string {
	t.Helper()
	conns := make([]net.Conn, slowClients)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(3*wait)))
		conns[i] = conn
	}
	told := make([]string, slowClients)
	var readers sync.WaitGroup
	for i, conn := range conns {
		readers.Go(func() {
			b, _ := io.ReadAll(conn) // ends with a reset where there is no answer
			told[i] = string(b)
			_ = conn.Close() // lets a server end that waits for it
		})
	}
	closed, all := make(chan struct{}), make(chan []string, 1)
	go func() {
		readers.Wait()
		close(closed)
		all <- told
	}()
	go func() {
		for _, conn := range conns {
			_, _ = io.WriteString(conn, opening)
		}
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-closed:
				return
			case <-tick.C:
			}
			for _, conn := range conns {
				_, _ = io.WriteString(conn, piece) // some are closed already
			}
		}
	}()
	return all
}

// row C6
func TestSlowClientsAreCutInEveryPhaseWhileOthersAreServed(t *testing.T) {
	const limit = time.Second
	cases := map[string]struct {
		opening, piece string
		tls            bool
		told           string // how the answer begins
	}{
		"nothing is sent":    {},
		"an empty line":      {opening: "\r\n", told: "HTTP/1.1 408 "},
		"request line":       {opening: "GET /", piece: "a", told: "HTTP/1.1 408 "},
		"head":               {opening: "GET / HTTP/1.1\r\nHost: h\r\nA: ", piece: "a", told: "HTTP/1.1 408 "},
		"fields":             {opening: "GET / HTTP/1.1\r\nHost: h\r\n", piece: "A: b\r\n", told: "HTTP/1.1 408 "},
		"body":               {opening: post("/slow", "", "Content-Length: 100000"), piece: "x", told: "HTTP/1.1 408 "},
		"body that stops":    {opening: post("/slow", "xxx", "Content-Length: 100000"), told: "HTTP/1.1 408 "},
		"chunked body":       {opening: post("/slow", "", "Transfer-Encoding: chunked"), piece: "1\r\nx\r\n", told: "HTTP/1.1 408 "},
		"chunk extension":    {opening: post("/slow", "1;", "Transfer-Encoding: chunked"), piece: "a", told: "HTTP/1.1 408 "},
		"trailers":           {opening: post("/slow", "0\r\nA: ", "Transfer-Encoding: chunked"), piece: "a", told: "HTTP/1.1 408 "},
		"idle after request": {opening: get("/fast"), told: "HTTP/1.1 200 "},
		"TLS handshake":      {opening: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", piece: "\x00", tls: true},
		"no TLS handshake":   {tls: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := []option{withConfig(func(cfg *Config) {
				cfg.HeaderTimeout, cfg.BodyTimeout, cfg.IdleTimeout = limit, limit, limit
				cfg.MaxConns = -1
			})}
			if tc.tls {
				options = append(options, withTLS(t))
			}
			r := newRig(t, options...)
			ended := drip(t, r.addr, tc.opening, tc.piece)
			good := 0
			for all := []string(nil); all == nil; good++ {
				c := r.dialAny(t, tc.tls)
				c.send(get("/good"))
				status, _ := c.receive()
				require.Equal(t, 200, status)
				_ = c.Close()
				select {
				case all = <-ended:
					for _, told := range all {
						require.True(t, strings.HasPrefix(told, tc.told), told)
						require.Equal(t, tc.told == "", told == "")
						require.LessOrEqual(t, strings.Count(told, "HTTP/1.1"), 1)
					}
				default:
				}
			}
			want := good
			if strings.Contains(tc.opening, "/fast") {
				want += slowClients
			}
			require.EqualValues(t, want, r.handled.Load(), "no slow request reached its handler")
			require.Zero(t, r.aborted.Load())
			require.Eventually(t, func() bool { return len(r.open()) == 0 }, wait, 1e6)
		})
	}
}

func (r *rig) dialAny(t *testing.T, secure bool) *client {
	if secure {
		return r.dialTLS(t)
	}
	return r.dial(t)
}

// row C6
func TestBodyThatKeepsThePaceMayTakeLongerThanItsTimeout(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) { cfg.BodyTimeout = 500 * time.Millisecond }))
	const piece, pieces = 16 << 10, 30
	c := r.dial(t)
	c.send(post("/x", "", fmt.Sprintf("Content-Length: %d", piece*pieces)))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range pieces { // three times the timeout in all
		c.send(strings.Repeat("x", piece))
		<-tick.C
	}
	status, body := c.receive()
	require.Equal(t, 200, status)
	require.Len(t, body, len("/x ")+piece*pieces)
}
