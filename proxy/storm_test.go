package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// echo answers with the nonce of the request in every piece of the answer.
func echo(e *fakeprovider.Exchange) {
	nonce := e.Request.Get("X-Nonce")
	if !e.Asked().Stream {
		e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{ID: nonce, Texts: []string{nonce, nonce}}))
		return
	}
	e.StreamHead()
	texts := make([]string, 12)
	for i := range texts {
		texts[i] = nonce
	}
	e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{ID: nonce, Texts: texts, IncludeUsage: true}))
}

const nonceMark = "nonce-"

// foreign returns the first nonce in text that is not the given one.
func foreign(text, nonce string) string {
	for _, part := range strings.Split(text, nonceMark)[1:] {
		end := strings.IndexFunc(part, func(c rune) bool { return (c < '0' || c > '9') && c != '-' })
		if end < 0 {
			continue // cut off in the middle
		}
		if nonceMark+part[:end] != nonce {
			return nonceMark + part[:end]
		}
	}
	return ""
}

// storm is a crowd of clients on kept connections, of whom many leave in mid-answer.
type storm struct {
	*rig
	clients, rounds int
	abort           float64
	whole, aborted  atomic.Int64
	foreign         atomic.Int64
	broken          atomic.Int64
}

func (s *storm) run() {
	var wg sync.WaitGroup
	for n := range s.clients {
		wg.Go(func() { s.client(n) })
	}
	wg.Wait()
}

func (s *storm) client(n int) {
	rng := rand.New(rand.NewPCG(uint64(n), 42))
	var c *client
	for i := range s.rounds {
		if c == nil {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				s.broken.Add(1)
				return
			}
			_ = conn.SetDeadline(time.Now().Add(2 * patience))
			c = &client{TB: s.TB, Conn: conn, r: bufio.NewReader(conn)}
		}
		if !s.ask(c, rng, fmt.Sprintf("%s%d-%d", nonceMark, n, i)) {
			_ = c.Close()
			c = nil
		}
	}
	if c != nil {
		_ = c.Close()
	}
}

// ask makes one request and reports whether the connection may make another.
func (s *storm) ask(c *client, rng *rand.Rand, nonce string) bool {
	body := streamBody
	if rng.IntN(3) == 0 {
		body = wholeBody
	}
	connection, leaves := "keep-alive", rng.Float64() < s.abort
	if leaves {
		connection = "close" // so that reading a short answer ends
	}
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: sluice.test\r\nConnection: %s\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nX-Nonce: %s\r\nContent-Length: %d\r\n\r\n%s",
		chatPath, connection, nonce, nonce, len(body), body)
	if leaves {
		s.aborted.Add(1)
		s.leaveWithin(c, rng, request, nonce)
		return false
	}
	if _, err := io.WriteString(c, request); err != nil {
		s.broken.Add(1)
		return false
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		s.broken.Add(1)
		return false
	}
	p := read(resp)
	if p.err != nil || p.status != 200 || !strings.Contains(string(p.body), nonce) {
		s.broken.Add(1)
		return false
	}
	if other := foreign(string(p.body), nonce); other != "" {
		s.foreign.Add(1)
	}
	s.whole.Add(1)
	return true
}

// leaveWithin leaves at a random point: within the request, right after it, or at any
// byte of the answer.
func (s *storm) leaveWithin(c *client, rng *rand.Rand, request, nonce string) {
	switch rng.IntN(4) {
	case 0:
		_, _ = io.WriteString(c, request[:rng.IntN(len(request))])
	case 1:
		_, _ = io.WriteString(c, request)
	default:
		_, _ = io.WriteString(c, request)
		got, _ := io.ReadAll(io.LimitReader(c.r, 1+rng.Int64N(3<<10)))
		if other := foreign(string(got), nonce); other != "" {
			s.foreign.Add(1)
		}
	}
	if rng.IntN(2) == 0 {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	}
}

// Clients that leave at random points never make the answer of one request, or a part
// of it, reach another.
// row A18
func TestAbortsNeverMixUpAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(echo)
	s := &storm{rig: r, clients: 8, rounds: 500, abort: 0.3}
	s.run()

	records := s.recordsOfAll()
	require.Zero(t, s.foreign.Load())
	require.Zero(t, s.broken.Load(), "a client that stayed got no whole answer")
	t.Logf("%d whole, %d aborted, %d upstream connections", s.whole.Load(), s.aborted.Load(), r.up.Conns())

	byID := map[string]*accounting.Record{}
	for _, rec := range records {
		require.Contains(t, []accounting.Outcome{accounting.OutcomeCompleted, accounting.OutcomeClientGone}, rec.Outcome, "code %q", rec.Code)
		byID[rec.ID] = rec
	}
	require.Equal(t, len(records), len(byID), "an exchange has two records")
	require.NotContains(t, r.logs.String(), "the ledger refused")
}

// recordsOfAll waits until every request that went upstream has its record. The last
// clients left without waiting to be served, so some of their requests may yet have to
// be accepted when the crowd is gone.
func (s *storm) recordsOfAll() []*accounting.Record {
	s.Helper()
	s.allEnded()
	s.until("a request went upstream and has no record", func() bool {
		for _, e := range s.up.Exchanges() {
			if _, ok := s.ledger.Get(context.Background(), e.Request.Get("X-Nonce")); !ok {
				return false
			}
		}
		return true
	})
	for _, e := range s.up.Exchanges() {
		require.Equal(s, e.Request.Get("X-Nonce"), e.Request.Get("X-Request-Id"))
	}
	return s.allEnded()
}

// After a storm of aborts nothing of it is left: no goroutine, no descriptor, no
// upstream connection in use, no exchange without a record.
// row A19
func TestAbortStormLeavesNothingBehind(t *testing.T) { // not parallel: it counts what the process holds
	r := newRig(t)
	r.up.Handle(echo)
	(&storm{rig: r, clients: 4, rounds: 20, abort: 0.5}).run() // whatever is made once
	r.settled()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)

	s := &storm{rig: r, clients: 8, rounds: 250, abort: 0.8}
	s.run()
	r.settled()
	require.Zero(t, s.foreign.Load())
	require.Zero(t, s.broken.Load())

	const tolerance = 2
	r.until("goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines+tolerance })
	if descriptors > 0 {
		r.until("descriptors are left", func() bool { return openDescriptors(t) <= descriptors+tolerance })
	}
}

// settled waits until all records are written and the idle connections are closed.
func (r *rig) settled() {
	r.Helper()
	r.allEnded()
	for _, p := range r.srv.routes().providers {
		p.pool.CloseIdle()
	}
	r.requireUpstreamsClosed()
}

// openDescriptors counts the process's file descriptors, 0 where it cannot.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
