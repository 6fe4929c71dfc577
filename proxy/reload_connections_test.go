package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A reload leaves the connections of the providers that it does not change alone, closes the
// idle ones of the others, and none of those is kept afterwards.
// row D10
func TestConnectionsOutliveAReloadWithTheirProvider(t *testing.T) {
	t.Parallel()
	changed := fakeprovider.New(t)
	r := newRig(t, func(c *config.Config) {
		c.Providers[0].IdleConn = config.Duration(6 * patience)
		second := c.Providers[0]
		second.Name, second.BaseURL = "second", changed.URL()
		c.Providers = append(c.Providers, second)
	})
	goOn := make(chan struct{})
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	ask := func(model string) {
		t.Helper()
		require.Equal(t, 200, r.ask(`{"model":"`+model+`","messages":[]}`).status)
		r.allEnded()
	}
	ask("fake/x")
	changed.Handle(heldBack(goOn, stream))
	resp := r.dial().post(`{"model":"second/x","stream":true,"messages":[]}`)
	r.inPhase(accounting.PhaseStreaming)
	changed.Handle(fakeprovider.DefaultScript)
	require.Equal(t, 200, r.ask(`{"model":"second/x","messages":[]}`).status)
	r.until("no connection is idle", func() bool { return changed.Conns() == 2 && len(r.srv.running.all()) == 1 })
	busy, idle := changed.WaitConn(1), changed.WaitConn(2)
	require.False(t, idle.IsGone())

	r.reload(func(c *config.Config) { c.Providers[1].APIKey = "another" })
	requireClosed(t, idle)
	require.False(t, busy.IsGone(), "a stream was cut")
	close(goOn)
	read(resp).requireWhole(t)
	requireClosed(t, busy)

	ask("fake/x")
	require.Equal(t, 1, r.up.Conns(), "an unchanged provider was dialled again")
	ask("second/x")
	ask("second/x")
	require.Equal(t, 3, changed.Conns(), "the changed provider has a connection again, and keeps it")
	require.Equal(t, "Bearer another", changed.WaitExchange(4).Request.Get("Authorization"))

	r.reload(func(c *config.Config) { c.Providers = c.Providers[:1] })
	requireClosed(t, changed.WaitConn(3))
	r.ask(`{"model":"m","messages":[]}`)
	r.allEnded()
	require.Equal(t, 1, r.up.Conns())
}

// What is idle goes by the settings of its provider alone: a reload that changes everything
// else closes nothing.
// row D10
func TestConnectionsOutliveAChangeOfEverythingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload())
	require.Equal(t, 200, r.ask(fastWhole).status)
	r.allEnded()
	r.reload(fastAt("new-model"), func(c *config.Config) {
		c.Timeouts.FirstToken, c.Timeouts.Idle = short, short
		c.Limits.MaxBody, c.ResponseModel, c.Extensions = 1<<20, config.ResponseModelUpstream, false
		c.Retry, c.Queue.Max, c.Breaker.Failures = config.Retry{Attempts: 1}, 1, 1
	})
	require.Equal(t, 200, r.ask(fastWhole).status)
	require.Equal(t, 1, r.up.Conns())
	requireAsked(t, r.up.WaitExchange(2), "old-key", "new-model")
	r.allEnded()

	r.reload(func(c *config.Config) { c.Timeouts.Connect = long })
	requireClosed(t, r.up.WaitConn(1)) // a provider is also how it is connected to
}
