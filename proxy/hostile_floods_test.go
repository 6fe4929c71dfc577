package proxy

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A key has so many streams at a time: one more is refused with a time to come back, others
// are served meanwhile, and a place is free when a stream ends, however it ends.
// row C23
func TestKeyHasSoManyStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{Streams: 2}))
	r.up.Handle(streamThenSilence(firstChunks...))
	var open []*client
	for range 2 {
		c := r.dial()
		require.Equal(t, 200, c.post(streamBody, asAlice).StatusCode)
		open = append(open, c)
	}
	for range 20 {
		p := r.ask(streamBody, asAlice)
		p.requireError(t, 429, "too_many_streams")
		require.NotEmpty(t, p.header.Get("Retry-After"))
	}
	require.Len(t, r.up.Exchanges(), 2)
	require.EqualValues(t, 20, r.rejected("too_many_streams"))
	other := r.dial()
	require.Equal(t, 200, other.post(streamBody, asBob).StatusCode, "another key is not concerned")

	open[0].reset()
	r.until("the place of a stream that ended is taken", func() bool {
		c := r.dial()
		if c.post(streamBody, asAlice).StatusCode != 200 {
			require.NoError(t, c.Close())
			return false
		}
		open[0] = c
		return true
	})
	for _, c := range append(open, other) {
		require.NoError(t, c.Close())
	}
	for _, rec := range r.allEnded() {
		require.Equal(t, accounting.OutcomeClientGone, rec.Outcome)
	}
	require.Zero(t, r.srv.limiter.Held())
}

// Connections beyond the number that an address may have are closed as soon as they are
// there, and counted; those inside are served.
// row C23
func TestAddressHasSoManyConnections(t *testing.T) {
	t.Parallel()
	const inside, flood = 3, 500
	r := newRig(t, func(c *config.Config) { c.Limits.ConnectionsPerIP = inside })
	clients := make([]*client, inside)
	for i := range clients {
		clients[i] = r.dial()
		require.Equal(t, 200, clients[i].askOn(chatPath, wholeBody).status)
	}
	for range flood {
		c, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		var timeout net.Error
		require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it was left open")
		require.NoError(t, c.Close())
	}
	for _, c := range clients {
		require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
	}
	require.EqualValues(t, flood, r.rejected("connections_per_ip"))
	require.Len(t, r.up.Exchanges(), 2*inside)
}

// A flood of large bodies is refused with a time to come back, before the bodies are read,
// and when it is over nothing of the memory for bodies is taken.
// row D7
func TestFloodOfBodiesIsRefused(t *testing.T) {
	t.Parallel()
	const size, budget = 512 << 10, 3 << 20 // room for three bodies
	r := newRig(t, func(c *config.Config) { c.Limits.MaxBody, c.Limits.Bodies = 1<<20, budget })
	goOn := make(chan struct{})
	r.up.HoldBody() // nobody reads what is sent upstream
	r.up.ReceiveBuffer(8 << 10)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		<-goOn
		if _, err := e.ReadBody(); err == nil {
			fakeprovider.DefaultScript(e)
		}
	})
	body := picture(size, false)
	var taken, refused atomic.Int64
	var most atomic.Int64
	var group sync.WaitGroup
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	for range 24 {
		group.Go(func() {
			p := read(r.dial().post(body))
			most.Store(max(most.Load(), r.srv.memory.Used()))
			switch {
			case p.status == 200:
				taken.Add(1)
			case p.status == 503 && strings.Contains(string(p.body), `"overloaded"`) && p.header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("status %d: %s", p.status, p.body)
			}
		})
	}
	r.until("nobody is refused", func() bool { return refused.Load() >= 20 })
	require.LessOrEqual(t, most.Load(), int64(budget))
	release()
	group.Wait()
	require.EqualValues(t, 24, taken.Load()+refused.Load())
	require.Positive(t, taken.Load())
	require.EqualValues(t, refused.Load(), r.rejected("overloaded"))
	require.EqualValues(t, taken.Load(), len(r.allEnded()), "who is refused has a record")
	r.until("memory stays taken", func() bool { return r.srv.memory.Used() == 0 })
	require.Equal(t, 200, r.ask(wholeBody).status)
}

// A stream holds the share of its body until the body is sent, and not as long as it runs:
// long streams do not keep others from sending theirs.
// row D7
func TestRunningStreamHoldsNoMemoryForItsBody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.Config){
		"one target": fastAt("x"),
		"more could follow": fastAt("x", func(m *config.Model, _ *config.Target) {
			m.FirstTokenFailover, m.RetryMaybeRan = true, true
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, change, func(c *config.Config) {
				c.Limits.MaxBody, c.Limits.Bodies, c.Retry.SameTarget = 1<<20, 4<<20, 1
			})
			r.up.Handle(streamThenSilence(firstChunks...))
			body := strings.Replace(picture(900<<10, true), `"m"`, `"fast"`, 1)
			const streams = 12 // six times as many as there is room for
			var clients []*client
			for range streams {
				c := r.dial()
				resp := c.post(body)
				require.Equal(t, 200, resp.StatusCode)
				readEvents(t, resp.Body, len(firstChunks))
				clients = append(clients, c)
			}
			r.until("running streams hold memory", func() bool { return r.srv.memory.Used() == 0 })
			require.Len(t, r.srv.running.all(), streams)
			for _, c := range clients {
				require.NoError(t, c.Close())
			}
			r.allEnded()
			require.Zero(t, r.srv.memory.Used())
		})
	}
}

// Memory is given back whatever the end: an error, a cancel, a departure, a refusal, a panic.
// row D7
func TestEveryEndGivesTheMemoryOfItsBodyBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.Limits.Bodies = 64 << 20 })
	r.srv.onPhase = func(x *exchange, p accounting.Phase) {
		if x.id == "panic" && p == accounting.PhaseQueued {
			panic(secret)
		}
	}
	body := picture(100<<10, true)
	for name, script := range map[string]func(*fakeprovider.Exchange){
		"fine": fakeprovider.DefaultScript, "error": func(e *fakeprovider.Exchange) { e.JSON(500, "{}") }, "reset": func(e *fakeprovider.Exchange) { e.Reset() },
		"page": fakeprovider.Page, "cut": streamThenCut, "panic": fakeprovider.DefaultScript,
	} {
		r.up.Handle(script)
		r.ask(body, "X-Request-Id: "+name)
		r.until(name+" holds memory", func() bool { return r.srv.memory.Used() == 0 })
	}
	r.up.Handle(silence)
	for i, leave := range []func(c *client, id string){
		func(c *client, _ string) { c.reset() },
		func(_ *client, id string) { r.cancel(id) },
	} {
		c, id := r.dial(), fmt.Sprint("silent-", i)
		c.send("POST", chatPath, body, "X-Request-Id: "+id)
		r.until("it does not run", func() bool { return r.srv.running.get(id) != nil })
		leave(c, id)
		r.until("memory is held", func() bool { return r.srv.memory.Used() == 0 })
	}
	refused := r.dial()
	refused.askOn(chatPath, strings.Replace(body, `"model":"m"`, `"model":7`, 1)).requireError(t, 400, "invalid_type")
	r.until("memory is held", func() bool { return r.srv.memory.Used() == 0 })
	r.allEnded()
}

// streamThenCut begins an answer and drops the connection.
func streamThenCut(e *fakeprovider.Exchange) {
	e.StreamHead()
	e.Event(firstChunks[0])
	e.Cut()
}
