package proxy

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// onlyFor answers requests that came with a key and ask for a model, and counts all others.
func onlyFor(key, model string, wrong *atomic.Int64) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		if e.Request.Get("Authorization") != "Bearer "+key || e.Asked().Model != model {
			wrong.Add(1)
		}
		fakeprovider.DefaultScript(e)
	}
}

// Hundreds of reloads under traffic, a third of them failures, cut nothing, mix nothing up
// and leave nothing behind.
// rows D9, D10, D11
func TestReloadsUnderTraffic(t *testing.T) { // not parallel: it counts what the process holds
	const reloads, clients = 300, 6
	r := newRig(t, beforeReload())
	other := fakeprovider.New(t)
	var wrong atomic.Int64
	r.up.Handle(onlyFor("old-key", "old-model", &wrong))
	other.Handle(onlyFor("new-key", "new-model", &wrong))
	old, moved := r.next(), r.next(movedTo(other, "new-key"))
	bad := r.next(movedTo(other, "bad-key"), func(c *config.Config) { c.Providers[0].CAFile = "missing" })
	r.ask(fastWhole) // whatever is made once
	require.NoError(t, r.srv.Reload(moved, nil))
	r.ask(fastWhole)
	r.settled()
	r.until("the other upstream is in use", func() bool { return other.OpenConns() == 0 })
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)

	done := make(chan struct{})
	var served, broken atomic.Int64
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			c := r.dial()
			defer func() { _ = c.Close() }()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				body := fastStream
				if i%3 == 0 {
					body = fastWhole
				}
				if p := c.askOn(chatPath, body, fmt.Sprintf("X-Request-Id: %d-%d", n, i)); p.status != 200 || p.err != nil {
					broken.Add(1)
				}
				served.Add(1)
			}
		})
	}
	var failed, reloaded int
	for i := range reloads {
		next := []*config.Config{old, moved, bad}[i%3]
		if err := r.srv.Reload(next, nil); err != nil {
			failed++
		} else {
			reloaded++
		}
		before := served.Load()
		r.until("nobody is served", func() bool { return served.Load() > before })
	}
	close(done)
	group.Wait()
	require.Equal(t, reloads/3, failed)
	require.Equal(t, reloads-failed, reloaded)
	require.Zero(t, broken.Load(), "of %d requests", served.Load())
	require.Zero(t, wrong.Load(), "a request went to one upstream in the terms of the other")

	records := r.allEnded()
	require.EqualValues(t, served.Load()+2, len(records))
	for _, rec := range records {
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome, rec.Code)
	}
	require.EqualValues(t, len(records), len(r.up.Exchanges())+len(other.Exchanges()))

	require.NoError(t, r.srv.Reload(moved, nil))
	r.requireUpstreamsClosed() // nothing is idle at a provider that is gone
	r.settled()
	r.until("the other upstream is in use", func() bool { return other.OpenConns() == 0 })
	const tolerance = 2
	r.until("goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines+tolerance })
	if descriptors > 0 {
		r.until("descriptors are left", func() bool { return openDescriptors(t) <= descriptors+tolerance })
	}
	for _, target := range r.srv.Targets() {
		require.Zero(t, target.Running)
	}
	t.Logf("%d requests through %d reloads", served.Load(), reloads)
}

// A reload that comes with the end of the server does nothing.
// row D9
func TestReloadAfterTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload())
	now, cancel := context.WithCancel(context.Background())
	cancel()
	r.srv.Shutdown(now)
	before := r.srv.current()
	require.Error(t, r.srv.Reload(r.next(fastAt("new-model")), nil))
	require.Same(t, before, r.srv.current())
}
