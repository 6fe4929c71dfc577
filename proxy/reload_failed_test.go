package proxy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// badConfigurations are changes that a reload must refuse, the last ones because they
// should never have come so far.
func badConfigurations(t testing.TB) map[string]func(*config.Config) {
	noCertificate := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(noCertificate, []byte(canaryProviderKey), 0o600))
	missing := filepath.Join(t.TempDir(), "missing")
	second := func(change func(*config.Provider)) func(*config.Config) {
		return func(c *config.Config) {
			p := c.Providers[0]
			p.Name = "second"
			change(&p)
			c.Providers = append(c.Providers, p)
		}
	}
	return map[string]func(*config.Config){
		"no CA file":        second(func(p *config.Provider) { p.CAFile = missing }),
		"no CA in the file": second(func(p *config.Provider) { p.CAFile = noCertificate }),
		"unknown quirk":     second(func(p *config.Provider) { p.Quirks = []string{"unknown"} }),
		"no URL":            second(func(p *config.Provider) { p.BaseURL = "ftp://" + canaryProviderKey }),
		"no model data":     func(c *config.Config) { c.ModelData = missing },
		"no prices":         func(c *config.Config) { c.Prices.File = missing },
		"a target of nobody": func(c *config.Config) {
			c.Models = append(c.Models, config.Model{Name: "z", Targets: []config.Target{{Provider: "nobody"}}})
		},
		"a target without one": func(c *config.Config) {
			c.Models = append(c.Models, config.Model{Name: "z", Targets: []config.Target{{Provider: ""}}})
		},
	}
}

// A reload that fails changes nothing at all, for requests that run as for those that come,
// and says why without a word of a secret.
// row D9
func TestFailedReloadChangesNothing(t *testing.T) {
	t.Parallel()
	for name, bad := range badConfigurations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, beforeReload())
			other := fakeprovider.New(t)
			require.Equal(t, 200, r.ask(fastWhole).status)
			r.allEnded()
			goOn := make(chan struct{})
			stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
			r.up.Handle(heldBack(goOn, stream))
			c := r.dial()
			resp := c.post(fastStream)
			r.inPhase(accounting.PhaseStreaming)
			before, memory, targets, series := r.srv.current(), r.srv.memory.Limit(), r.srv.Targets(), r.series()

			err := r.srv.Reload(r.next(movedTo(other, canaryProviderKey, one), fastAt("old-model", one), func(c *config.Config) {
				c.Limits.MaxBody, c.Limits.Bodies, c.Limits.ConnectionsPerIP = 64, 128, 1
				c.Breaker.Failures, c.Queue.Max = 1, 0
			}, bad), nil)
			require.Error(t, err)
			require.NotContains(t, err.Error(), canaryProviderKey)
			require.NotContains(t, r.logs.String(), canaryProviderKey)
			require.Same(t, before, r.srv.current())
			require.Equal(t, memory, r.srv.memory.Limit())
			require.Equal(t, targets, r.srv.Targets())
			require.Equal(t, series, r.series())

			// A second request is as large as ever, has a connection of its own, and need
			// not wait for the first.
			second := r.dial().post(fastStream)
			require.Len(t, readEvents(t, second.Body, 2), 2)
			close(goOn)
			read(resp).requireWhole(t)
			require.NoError(t, read(second).err)
			r.allEnded()
			require.Equal(t, 2, r.up.Conns(), "an idle connection was closed")
			for _, e := range r.up.Exchanges() {
				requireAsked(t, e, "old-key", "old-model")
			}
			require.Zero(t, other.Conns())

			r.reload(movedTo(other, "new-key"))
			require.Equal(t, 200, c.askOn(chatPath, fastWhole).status, "a good one counts after it")
			requireAsked(t, other.WaitExchange(1), "new-key", "new-model")
		})
	}
}

// A panic in a reload is the reload's alone.
// rows D8, D9
func TestPanicInAReloadIsContained(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload())
	before := r.srv.current()
	require.Error(t, r.srv.Reload(nil, nil))
	require.Same(t, before, r.srv.current())
	require.Contains(t, r.logs.String(), "panic in a reload")
	require.Equal(t, 200, r.ask(fastWhole).status)
	r.reload(fastAt("new-model"))
	require.Equal(t, 200, r.ask(fastWhole).status)
	requireAsked(t, r.up.WaitExchange(2), "old-key", "new-model")
}

// series are the names and labels of all metrics.
func (r *rig) series() []string {
	r.Helper()
	families, err := r.srv.metrics.Registry().Gather()
	require.NoError(r, err)
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "," + l.GetName() + "=" + l.GetValue()
			}
			out = append(out, name)
		}
	}
	return out
}
