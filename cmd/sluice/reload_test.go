package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/admin"
)

// reloads is a reloader of a file, with what has been applied.
type reloads struct {
	*reloader
	t        *testing.T
	file     string
	registry *prometheus.Registry
	logs     *bytes.Buffer // of a test that reads it when nothing runs

	mu      sync.Mutex
	applied []*config.Config
	refuse  error
}

const goodConfig = `listen: 127.0.0.1:8080
ledger: memory
providers:
  - {name: one, dialect: openai, base_url: "https://one.example", api_key: sk-CANARY}
models:
  - {name: fast, targets: [{provider: one}]}
`

func newReloads(t *testing.T, src string) *reloads {
	t.Helper()
	r := &reloads{t: t, file: write(t, "config.yaml", src), registry: prometheus.NewRegistry(), logs: new(bytes.Buffer)}
	p := &program{getenv: command{}.getenv}
	cfg, err := p.loadFrom(r.file)
	require.NoError(t, err)
	r.reloader = newReloader(cfg, func() (*config.Config, error) { return p.loadAgain(r.file) },
		slog.New(slog.NewJSONHandler(r.logs, nil)), r.registry)
	r.apply = func(next *config.Config) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil {
			return r.refuse
		}
		r.applied = append(r.applied, next)
		return nil
	}
	return r
}

func (r *reloads) write(src string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.file, []byte(src), 0o600))
}

// metric is the value of a metric, with the value of its label behind a space.
func (r *reloads) metric(name string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	require.NoError(r.t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			full := family.GetName()
			for _, label := range m.GetLabel() {
				full += " " + label.GetValue()
			}
			if full == name {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	require.FailNow(r.t, "no such metric", name)
	return 0
}

func TestReloadReplacesTheConfiguration(t *testing.T) {
	r := newReloads(t, goodConfig)
	require.EqualValues(t, 1, r.metric("sluice_config_last_reload_successful"), "the start counts")
	require.InDelta(t, time.Now().Unix(), r.metric("sluice_config_last_reload_success_timestamp_seconds"), 600)
	first := r.current.Load()
	r.write(strings.Replace(goodConfig, "name: fast", "name: quick", 1) + "log: {level: debug}\n")
	require.NoError(t, r.reload(t.Context(), "SIGHUP"))
	require.Len(t, r.applied, 1)
	require.Equal(t, "quick", r.applied[0].Models[0].Name)
	require.Same(t, r.applied[0], r.current.Load())
	require.Equal(t, "fast", first.Models[0].Name, "what is in use stays as it is")
	require.Contains(t, r.logs.String(), `"msg":"the configuration was reloaded","by":"SIGHUP"`)
	require.NoError(t, r.reload(t.Context(), "SIGHUP"), "the same again may name files that have changed")
	require.Len(t, r.applied, 2)
	require.EqualValues(t, 2, r.metric("sluice_config_reloads_total ok"))
}

// row D9
func TestHundredBrokenFilesKeepTheConfigurationThatIs(t *testing.T) {
	r := newReloads(t, goodConfig)
	first := r.current.Load()
	breaks := []string{
		"nonsense: 1\n", "listen: 80\n", "\t\n", "providers: []\n", "models: 3\n", "models: [{name: m}]\n", "keys: [{alias: a}]\n",
		"keys: [{alias: a, sha256: short}]\n", "timeouts: {total: -1s}\n", "timeouts: {nonsense: 1s}\n", "limits: {max_body: 0}\n",
		"log: {level: loud}\n", "admin: {listen: 127.0.0.1:8080}\n", "admin: {auth: maybe}\n", "retry: {attempts: 0}\n",
		"prices: {file: /nowhere/prices.json}\nprices: {}\n", "tls: {cert_file: a}\n", "half_close: perhaps\n", "keep_alive: soon\n", "}\n",
	}
	at := make([]string, 0, 100)
	for _, b := range breaks {
		at = append(at, goodConfig+b, b+goodConfig, strings.ReplaceAll(goodConfig, "dialect: openai", "dialect: none")+b,
			strings.Replace(goodConfig, "provider: one", "provider: two", 1)+b, goodConfig+strings.Repeat(b, 2))
	}
	require.Len(t, at, 100)
	for i, src := range at {
		r.write(src)
		err := r.reload(t.Context(), "SIGHUP")
		require.Error(t, err, "%s", src)
		var problems *config.Problems
		require.ErrorAs(t, err, &problems, "%s", src)
		require.Contains(t, err.Error(), r.file+":", "it says where")
		require.Empty(t, r.applied)
		require.Same(t, first, r.current.Load())
		require.EqualValues(t, i+1, r.metric("sluice_config_reloads_total failed"))
		require.Zero(t, r.metric("sluice_config_last_reload_successful"))
		require.NotContains(t, err.Error(), "CANARY")
	}
	require.NoError(t, os.Remove(r.file))
	require.ErrorContains(t, r.reload(t.Context(), "SIGHUP"), "cannot be read")
	require.Equal(t, 101, strings.Count(r.logs.String(), "the configuration was not reloaded"))
	require.NotContains(t, r.logs.String(), "CANARY")

	r.write(goodConfig)
	require.NoError(t, r.reload(t.Context(), "SIGHUP"))
	require.EqualValues(t, 1, r.metric("sluice_config_last_reload_successful"))
}

func TestFixedSettingsAreRefusedByName(t *testing.T) {
	r := newReloads(t, goodConfig)
	f := func(src string, want ...string) {
		t.Helper()
		r.write(src)
		var fixed *admin.FixedError
		require.ErrorAs(t, r.reload(t.Context(), "SIGHUP"), &fixed)
		require.Equal(t, want, fixed.Settings)
		require.Empty(t, r.applied, "all or nothing")
	}
	f(strings.Replace(goodConfig, "8080", "8081", 1)+"keep_alive: 3s\n", "listen")
	f(strings.Replace(goodConfig, "8080", "8081", 1)+"redis: redis://:CANARY@cache:6379\n", "listen", "redis")
	f(goodConfig+"keys: [{alias: a, sha256: "+strings.Repeat("ab", 32)+", admin: true}]\nadmin: {listen: 127.0.0.1:9999, auth: always}\n",
		"admin.auth", "admin.listen")
	f(strings.Replace(goodConfig, "models:", "  - {name: sim, dialect: sim}\nmodels:", 1), "providers: a first one with dialect sim")
	require.EqualValues(t, 4, r.metric("sluice_config_reloads_total fixed"))
	require.Zero(t, r.metric("sluice_config_last_reload_successful"))
	require.NotContains(t, r.logs.String(), "CANARY")
}

func TestConfigurationThatTheServerRefusesIsNotTheCurrentOne(t *testing.T) {
	r := newReloads(t, goodConfig)
	first := r.current.Load()
	r.refuse = errors.New("the file of certificate authorities holds none")
	require.ErrorIs(t, r.reload(t.Context(), "SIGHUP"), r.refuse)
	require.Same(t, first, r.current.Load())

	r.apply = func(*config.Config) error { panic("CANARY") }
	require.ErrorIs(t, r.reload(t.Context(), "SIGHUP"), errReloadPanic)
	require.Same(t, first, r.current.Load())
	require.Contains(t, r.logs.String(), "panic in a reload")
	require.NotContains(t, r.logs.String(), "CANARY")
	require.EqualValues(t, 2, r.metric("sluice_config_reloads_total failed"))
}

func TestReloadsRunOneAfterAnother(t *testing.T) {
	r := newReloads(t, goodConfig)
	r.logger = slog.New(slog.DiscardHandler)
	var inside atomic.Int32
	entered, proceed := make(chan struct{}), make(chan struct{})
	r.apply = func(*config.Config) error {
		if inside.Add(1) != 1 {
			t.Error("two reloads ran at once")
		}
		entered <- struct{}{}
		<-proceed
		inside.Add(-1)
		return nil
	}
	const all = 5
	var group sync.WaitGroup
	for range all {
		group.Go(func() {
			if err := r.reload(context.Background(), "test"); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.reload(impatient, "test"), context.Canceled)
	for i := range all {
		proceed <- struct{}{}
		if i < all-1 {
			<-entered
		}
	}
	group.Wait()
	require.EqualValues(t, all, r.metric("sluice_config_reloads_total ok"))
	r.close()
	require.ErrorIs(t, r.reload(t.Context(), "test"), errStopping)
}

func TestStandardInputCannotBeReadAgain(t *testing.T) {
	p := &program{getenv: command{}.getenv}
	_, err := p.loadAgain(standardInput)
	require.ErrorIs(t, err, errReadOnce)
}

func TestConfigurationOfTheEnvironmentIsReadAgain(t *testing.T) {
	env := map[string]string{"OPENAI_API_KEY": "sk-1", "STATE_DIRECTORY": t.TempDir()}
	p := &program{getenv: command{env: env}.getenv}
	first, err := p.loadFrom("")
	require.NoError(t, err)
	again, err := p.loadAgain("")
	require.NoError(t, err)
	require.Equal(t, first.Digest(), again.Digest())
	require.Empty(t, fixedChanges(first, again))
}

func TestHangupReloads(t *testing.T) {
	signals, reloaded := make(chan os.Signal), make(chan string)
	stop := reloadOnHangup(signals, func(_ context.Context, by string) error {
		reloaded <- by
		return fmt.Errorf("it goes on")
	})
	for range 3 {
		signals <- os.Interrupt
		require.Equal(t, "SIGHUP", <-reloaded)
	}
	stop()
}

func TestUnusualSettingsAreLogged(t *testing.T) {
	r := newReloads(t, goodConfig)
	r.write(goodConfig + "admin: {cors: ['*']}\n")
	require.Error(t, r.reload(t.Context(), "SIGHUP")) // fixed
	require.NotContains(t, r.logs.String(), "unusual")
	fresh := newReloads(t, goodConfig+"admin: {cors: ['*']}\n")
	warn(fresh.logger, fresh.current.Load())
	require.Contains(t, fresh.logs.String(), `"setting":"admin.cors: `)
}
