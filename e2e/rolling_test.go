//go:build e2e

package e2e

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// balancer spreads TCP connections over replicas: it gives them to one that is ready by its
// probe, and to the next where nobody listens.
type balancer struct {
	tb       testing.TB
	listener net.Listener
	replicas []*backend
	next     atomic.Int64
	wg       sync.WaitGroup
	stopped  chan struct{}

	mu    sync.Mutex
	conns []net.Conn
}

// backend is a replica as the balancer knows it.
type backend struct {
	address, admin string
	ready          atomic.Bool
}

// probeEvery is how often the balancer looks whether a replica is ready.
const probeEvery = 50 * time.Millisecond

func startBalancer(tb testing.TB, replicas ...*backend) *balancer {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	b := &balancer{tb: tb, listener: listener, replicas: replicas, stopped: make(chan struct{})}
	for _, r := range replicas {
		r.ready.Store(true)
		b.wg.Go(func() { b.probe(r) })
	}
	b.wg.Go(b.accept)
	tb.Cleanup(b.stop)
	return b
}

func (b *balancer) stop() {
	close(b.stopped)
	_ = b.listener.Close()
	b.mu.Lock()
	for _, conn := range b.conns {
		_ = conn.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *balancer) probe(r *backend) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for {
		select {
		case <-b.stopped:
			return
		case <-tick.C:
		}
		response, err := client.Get(r.admin + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		r.ready.Store(err == nil && response.StatusCode == http.StatusOK)
	}
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.serve(conn.(*net.TCPConn)) })
	}
}

func (b *balancer) serve(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	server := b.dial()
	if server == nil {
		return
	}
	defer func() { _ = server.Close() }()
	b.mu.Lock()
	b.conns = append(b.conns, client, server)
	b.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { pass(server, client) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}

// pass copies what comes until its end, and passes that on.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0) // a reset for a reset
		_ = to.Close()
		return
	}
	_ = to.CloseWrite()
}

// dial connects to a replica, those that are ready first.
func (b *balancer) dial() *net.TCPConn {
	first := int(b.next.Add(1))
	for _, ready := range []bool{true, false} {
		for i := range b.replicas {
			r := b.replicas[(first+i)%len(b.replicas)]
			if r.ready.Load() != ready {
				continue
			}
			if conn, err := net.DialTimeout("tcp", r.address, patience); err == nil {
				return conn.(*net.TCPConn)
			}
		}
	}
	return nil
}

// A replica leaves in good order if it goes on taking connections until the balancer has
// seen that it is not ready any more: that is what the call of a preStop hook is for. With
// a signal alone, connections that come in the moment at which the listener closes find
// nobody; such a client knows that nothing of its request was taken, and asks again.
// row D1
func TestRollingRestartLosesNoStream(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(s *sluice){
		"by the hook": func(s *sluice) {
			response, err := http.Post(s.admin+"/-/drain?settle=1s", "", nil)
			require.NoError(s.tb, err)
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			require.NoError(s.tb, err)
			require.Equal(s.tb, http.StatusOK, response.StatusCode)
			require.Contains(s.tb, string(body), "drained")
			s.terminate()
		},
		"by a signal": func(s *sluice) { s.terminate() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rollingRestart(t, leave, name == "by a signal")
		})
	}
}

// rollingRestart restarts two replicas in turn under load.
func rollingRestart(t *testing.T, leave func(*sluice), mayAskAgain bool) {
	upstream := fakeprovider.New(t)
	upstream.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, payload := range fakeprovider.ChatStream(fakeprovider.ChatOptions{Texts: strings.Split("one two three four five six", " ")}) {
			if !e.Pause(50*time.Millisecond) || !e.Event(payload) {
				return
			}
		}
		e.EndChunks()
	})
	var replicas []*backend
	var files []string
	var running []*sluice
	begin := func(i int) *sluice {
		return launch(t, launching{args: []string{"--config", files[i]}, api: "http://" + replicas[i].address, admin: replicas[i].admin})
	}
	for range 2 {
		listen, admin := freeAddress(t), freeAddress(t)
		files = append(files, writeConfig(t, settings{upstream: upstream.URL(), listen: listen, extra: "timeouts: {drain: 20s}"}, admin))
		replicas = append(replicas, &backend{address: listen, admin: "http://" + admin})
		running = append(running, begin(len(files)-1))
	}
	b := startBalancer(t, replicas...)
	through := &sluice{tb: t, api: "http://" + b.listener.Addr().String()}
	l := through.loadWith(16, &http.Transport{DisableKeepAlives: true}, func(wrong string) bool { return mayAskAgain && foundNobody(wrong) })
	l.requireFlow(t, 32)
	for round := range 4 {
		i := round % 2
		leave(running[i])
		require.Zero(t, running[i].awaitExit())
		running[i] = begin(i)
		require.Eventually(t, replicas[i].ready.Load, patience, pollEvery)
		l.requireFlow(t, 32)
	}
	l.stop()
	l.requireFlow(t, 0)

	ids := map[string]int{}
	for _, e := range upstream.Exchanges() {
		ids[e.Request.Get("X-Request-Id")]++
	}
	require.EqualValues(t, l.asked.Load(), len(ids))
	twice := slices.Collect(func(yield func(string) bool) {
		for id, n := range ids {
			if n > 1 && !yield(id) {
				return
			}
		}
	})
	require.Empty(t, twice, "no request may run twice")
}

// foundNobody tells that a request failed before anything of an answer came.
func foundNobody(wrong string) bool {
	return strings.HasSuffix(wrong, "EOF") || strings.HasSuffix(wrong, "connection reset by peer") || strings.Contains(wrong, "shutting_down")
}
