package proxy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// next is the present configuration with changes. It shares nothing with it that a test
// changes.
func (r *rig) next(changes ...func(*config.Config)) *config.Config {
	cfg := *r.srv.current().cfg
	cfg.Providers, cfg.Keys = slices.Clone(cfg.Providers), slices.Clone(cfg.Keys)
	cfg.Models = slices.Clone(cfg.Models)
	for i := range cfg.Models {
		cfg.Models[i].Targets = slices.Clone(cfg.Models[i].Targets)
	}
	for _, change := range changes {
		change(&cfg)
	}
	return &cfg
}

// reload makes the present configuration with changes the one that counts.
func (r *rig) reload(changes ...func(*config.Config)) {
	r.Helper()
	require.NoError(r, r.srv.Reload(r.next(changes...), nil))
}

// fastAt is a change that makes fast the name of a model of the fake provider.
func fastAt(model string, changes ...func(*config.Model, *config.Target)) func(*config.Config) {
	return func(c *config.Config) {
		m := config.Model{Name: "fast", Balance: config.BalanceWeight}
		t := config.Target{Provider: "fake", Model: model, Weight: 1, Priority: 1}
		for _, change := range changes {
			change(&m, &t)
		}
		m.Targets = []config.Target{t}
		c.Models = []config.Model{m}
	}
}

// movedTo is a change of everything about where requests go: another address, with another
// key, to another model.
func movedTo(up *fakeprovider.Provider, key config.Secret, changes ...func(*config.Model, *config.Target)) func(*config.Config) {
	return func(c *config.Config) {
		c.Providers[0].BaseURL, c.Providers[0].APIKey = up.URL(), key
		fastAt("new-model", changes...)(c)
	}
}

// one lets the target have one request at a time.
func one(_ *config.Model, t *config.Target) { t.MaxConcurrent = 1 }

// beforeReload is where the tests begin: fast is old-model, asked for with a key of its own.
func beforeReload(changes ...func(*config.Model, *config.Target)) func(*config.Config) {
	return func(c *config.Config) {
		c.Providers[0].APIKey = "old-key"
		c.Providers[0].IdleConn = config.Duration(patience * 6)
		c.Retry.SameTarget = 1
		fastAt("old-model", changes...)(c)
	}
}

const (
	fastStream = `{"model":"fast","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Say hello to the world."}]}`
	fastWhole  = `{"model":"fast","messages":[{"role":"user","content":"Say hello to the world."}]}`
)

// requireAsked asserts how an upstream was asked.
func requireAsked(t testing.TB, e *fakeprovider.Exchange, key, model string) {
	t.Helper()
	require.Equal(t, "Bearer "+key, e.Request.Get("Authorization"))
	require.Equal(t, model, e.Asked().Model)
}

// heldBack answers the first events of a stream at once, and the others once it may go on.
func heldBack(goOn <-chan struct{}, payloads []string) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for i, p := range payloads {
			if i == 2 {
				<-goOn
			}
			e.Event(p)
		}
		e.EndChunks()
	}
}
