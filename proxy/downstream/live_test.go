package downstream

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// headOf makes a request whose head has n bytes.
func headOf(n int) string {
	head := "GET /x HTTP/1.1\r\nHost: h\r\nA: "
	return head + strings.Repeat("a", n-len(head)-4) + "\r\n\r\n"
}

func TestRaisedLimitsHoldForOpenConnectionsToo(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) { cfg.MaxHeaderBytes, cfg.MaxBodyBytes = 8<<10, 1000 }))
	idle := r.servedClients(t, 3)
	fresh := r.dial(t)
	expect := func(c *client, raw string, want int) {
		t.Helper()
		c.send(raw)
		status, body := c.receive()
		require.Equal(t, want, status, body)
	}
	expect(r.dial(t), headOf(8<<10+1), 431)
	expect(r.dial(t), sized("/x", 1001), 413)

	r.Configure(Live{MaxHeaderBytes: 200 << 10, MaxBodyBytes: 10 << 20})
	expect(idle[0], headOf(200<<10), 200)
	expect(idle[0], headOf(200<<10+1), 431)
	expect(idle[1], sized("/x", 10<<20), 200)
	expect(idle[1], sized("/x", 10<<20+1), 413)
	expect(fresh, get("/x")+headOf(100<<10), 200)
	status, _ := fresh.receive()
	require.Equal(t, 200, status, "the second of two that came together")
	expect(fresh, chunkedBody("/x", 5<<20, 5<<20)+"0\r\n\r\n", 200)
	expect(fresh, chunkedBody("/x", 5<<20, 5<<20)+"1\r\n", 413)
	expect(r.dial(t), headOf(150<<10), 200)

	r.Configure(Live{MaxHeaderBytes: 8 << 10, MaxBodyBytes: 1000})
	expect(idle[2], headOf(8<<10), 200)
	expect(idle[2], sized("/x", 1000), 200)
	expect(idle[2], headOf(8<<10+1), 431)
	expect(r.dial(t), sized("/x", 1001), 413)
	engine := r.live.Load().engine
	r.Configure(Live{MaxHeaderBytes: 100 << 10})
	require.Same(t, engine, r.live.Load().engine, "it has read larger heads before")
	expect(r.dial(t), headOf(100<<10), 200)
}

func TestConfiguringWithNothingRestoresTheDefaults(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) { cfg.HeaderTimeout, cfg.MaxBodyBytes = time.Hour, 5 }))
	r.Configure(Live{})
	require.Equal(t, Live{}.withDefaults(), r.live.Load().Live)
	require.Equal(t, 32<<10, r.live.Load().MaxHeaderBytes)
}

func TestRequestUnderWayKeepsTheLimitsItBeganWith(t *testing.T) {
	r := newRig(t)
	c := r.dial(t)
	raw := sized("/x", 5000)
	c.send(raw[:20])
	require.Eventually(t, func() bool {
		for c := range everyConn(r) {
			return !c.idle.Load() && !c.wire.unread()
		}
		return false
	}, wait, 1e6)
	r.Configure(Live{MaxHeaderBytes: 1 << 20, MaxBodyBytes: 10})
	c.send(raw[20:])
	status, _ := c.receive()
	require.Equal(t, 200, status)
	c.send(raw)
	status, _ = c.receive()
	require.Equal(t, 413, status)
}

func TestChangedTimeoutsHoldForTheNextRequest(t *testing.T) {
	r := newRig(t)
	r.Configure(Live{HeaderTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	for _, raw := range []string{"GET /x HT", post("/x", "he", "Content-Length: 5")} {
		c := r.dial(t)
		c.send(raw)
		status, _ := c.receive()
		require.Equal(t, 408, status)
	}
	require.Empty(t, r.dial(t).expectEnd(), "idle")
}

func TestChangedCapsHoldForTheNextConnection(t *testing.T) {
	var refused refusals
	r := newRig(t, withCaps(0, 2, &refused))
	inside := r.servedClients(t, 2)
	r.dial(t).expectClosed()
	r.Configure(Live{MaxConnsPerIP: 4})
	inside = append(inside, r.servedClients(t, 2)...)
	r.dial(t).expectClosed()
	r.Configure(Live{MaxConns: 1})
	r.dial(t).expectClosed()
	for _, c := range inside {
		c.send(get("/x"))
		status, _ := c.receive()
		require.Equal(t, 200, status, "those inside stay")
	}
	require.Equal(t, 2, refused.of(refusedConnsPerIP))
	require.Equal(t, 1, refused.of(refusedConns))
}

func TestSettingsOfTheServerSurviveALargerEngine(t *testing.T) {
	handler := func(*fasthttp.RequestCtx) {}
	old := &fasthttp.Server{Name: "n", Handler: handler, ErrorHandler: explain, NoDefaultDate: true, MaxRequestsPerConn: 3}
	fresh := copyOf(old)
	require.Equal(t, "n", fresh.Name)
	require.True(t, fresh.NoDefaultDate)
	require.Equal(t, 3, fresh.MaxRequestsPerConn)
	require.NotNil(t, fresh.Handler)
}

func TestLimitsChangeUnderLoad(t *testing.T) {
	r := newRig(t)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			c := r.dial(t)
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				path := fmt.Sprintf("/%d/%d", i, n)
				if n%3 == 0 {
					path = "/run"
				}
				c.send(post(path, "hello", "Content-Length: 5"))
				status, body := c.receive()
				if status != 200 || n%3 != 0 && body != path+" hello" {
					t.Errorf("%d %s", status, body)
					return
				}
			}
		})
	}
	for n := range 200 {
		r.Configure(Live{MaxHeaderBytes: 8<<10 + n*100, MaxBodyBytes: int64(1000 + n)})
	}
	close(done)
	clients.Wait()
}
