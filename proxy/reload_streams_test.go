package proxy

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// A stream that runs through a reload keeps its provider, its key, the names of its model
// and its limits of time; the next request has the new ones.
// rows D9, D10
func TestRunningStreamKeepsWhatItBeganWith(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload(), limitedTo(func(t *config.Timeouts) { t.FirstToken, t.Idle, t.Total = long, long, 0 }))
	other := fakeprovider.New(t)
	goOn := make(chan struct{})
	r.up.Handle(heldBack(goOn, fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "old-model", IncludeUsage: true})))
	c := r.dial()
	resp := c.post(fastStream, "X-Request-Id: old")
	began := readEvents(t, resp.Body, 2)

	r.reload(movedTo(other, "new-key"), func(c *config.Config) {
		c.ResponseModel = config.ResponseModelUpstream
		c.Timeouts.Idle = short
	})
	other.Handle(streamThenSilence(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "new-model"})[:3]...))
	p, rec := r.askAs("new", fastStream)
	p.requireCut(t, "upstream_timeout", chatText(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "new-model"})[:3]))
	requireEnded(t, rec, accounting.OutcomeUpstreamTimeout, accounting.PhaseStreaming, "upstream_timeout")
	require.Equal(t, "fake/new-model", rec.Target)
	requireAsked(t, other.WaitExchange(1), "new-key", "new-model")

	// By now the new limit has passed for the old stream too.
	close(goOn)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "fast", IncludeUsage: true})
	require.Equal(t, want, append(began, payloads(string(rest))...))
	rec = r.record("old")
	requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
	require.Equal(t, "fake/old-model", rec.Target)
	requireAsked(t, r.up.WaitExchange(1), "old-key", "old-model")
	require.Len(t, r.up.Exchanges(), 1)

	other.Handle(fakeprovider.DefaultScript)
	require.Equal(t, 200, c.askOn(chatPath, fastWhole).status, "the client's connection serves on")
	require.Len(t, other.Exchanges(), 2)
}

// A request that waits for its target when the configuration changes goes where it was to go.
// rows D9, D10
func TestQueuedRequestKeepsItsConfiguration(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func(*config.Config){
		"still bounded":   fastAt("old-model", one),
		"no bound":        fastAt("old-model"),
		"the target left": fastAt("new-model"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, beforeReload(one))
			other := fakeprovider.New(t)
			goOn := make(chan struct{})
			r.up.Handle(heldBack(goOn, fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})))
			first := r.dial()
			resp := first.post(fastStream, "X-Request-Id: first")
			r.inPhase(accounting.PhaseStreaming)
			second := r.dial()
			second.send("POST", chatPath, fastStream, "X-Request-Id: second")
			r.inPhase(accounting.PhaseQueued)

			r.reload(func(c *config.Config) {
				c.Providers[0].BaseURL, c.Providers[0].APIKey = other.URL(), "new-key"
			}, after)
			close(goOn)
			read(resp).requireWhole(t)
			read(second.response()).requireWhole(t)
			for i := range 2 {
				requireAsked(t, r.up.WaitExchange(i+1), "old-key", "old-model")
			}
			require.Empty(t, other.Exchanges())
			require.Equal(t, "fake/old-model", r.record("second").Target)
			require.Equal(t, 200, r.ask(fastWhole).status)
			require.Equal(t, "Bearer new-key", other.WaitExchange(1).Request.Get("Authorization"))
			r.allEnded()
			for _, target := range r.srv.Targets() {
				require.Zero(t, target.Running)
				require.Zero(t, target.Queued)
			}
		})
	}
}

// A request in the pause before it is made again is made again where it was made before.
// rows D9, D10
func TestRequestInAPauseKeepsItsConfiguration(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload(), func(c *config.Config) { c.Retry.Backoff = config.Duration(400 * time.Millisecond) })
	other := fakeprovider.New(t)
	reloaded := make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Seq == 1 {
			e.JSON(429, fakeprovider.ErrorBody("busy", "rate_limit", ""), "Retry-After: 1")
			return
		}
		<-reloaded
		fakeprovider.DefaultScript(e)
	})
	c := r.dial()
	c.send("POST", chatPath, fastStream, "X-Request-Id: a")
	r.up.WaitExchange(1)
	r.inPhase(accounting.PhaseQueued)
	r.reload(movedTo(other, "new-key"), func(c *config.Config) { c.Retry.SameTarget = 0 })
	close(reloaded)

	read(c.response()).requireWhole(t)
	rec := r.record("a")
	require.Len(t, rec.Attempts, 2)
	requireAsked(t, r.up.WaitExchange(2), "old-key", "old-model")
	require.Empty(t, other.Exchanges())
}

// The key that a client came with stays between it and sluice, also when no key is asked
// for any more by the time that its request is made.
// row D10
func TestKeyOfSluiceIsNotPassedOnAfterAReloadWithoutKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, fastAt("old-model", one), func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "anna", SHA256: hashOf(canaryClientKey)}}
	})
	goOn := make(chan struct{})
	r.up.Handle(heldBack(goOn, fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})))
	asAnna := "Authorization: Bearer " + canaryClientKey
	resp := r.dial().post(fastStream, asAnna)
	r.inPhase(accounting.PhaseStreaming)
	second := r.dial()
	second.send("POST", chatPath, fastStream, asAnna)
	r.inPhase(accounting.PhaseQueued)

	require.NoError(t, r.srv.keys.SetConfigured(nil))
	r.reload(func(c *config.Config) { c.Keys = nil })
	close(goOn)
	read(resp).requireWhole(t)
	read(second.response()).requireWhole(t)
	require.NotContains(t, string(r.up.WaitExchange(2).Request.Head), canaryClientKey)

	read(r.dial().post(fastStream, asAnna)).requireWhole(t) // now the key is one of the provider's
	require.Contains(t, string(r.up.WaitExchange(3).Request.Head), canaryClientKey)
}
