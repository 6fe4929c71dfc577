package access

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/servers"
)

// patience bounds every wait of these tests for something that must happen.
const patience = 10 * time.Second

// never is a refresh that does not come while a test runs.
const never = time.Hour

// logs is a log that a test reads while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func openBooks(tb testing.TB, url string) *ledger.Books {
	tb.Helper()
	b, err := ledger.OpenBooks(context.Background(), url)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

func sqlite(tb testing.TB) string {
	tb.Helper()
	return "sqlite://" + filepath.Join(tb.TempDir(), "ledger.db")
}

func newRing(tb testing.TB, o Options) *Keyring {
	tb.Helper()
	k, err := New(context.Background(), o)
	require.NoError(tb, err)
	tb.Cleanup(k.Close)
	return k
}

// store puts a key into the books and returns it.
func store(tb testing.TB, b *ledger.Books, alias, settings string) string {
	tb.Helper()
	key, hash := NewKey()
	_, err := b.CreateKey(context.Background(), ledger.StoredKey{Alias: alias, SHA256: hash, Settings: json.RawMessage(settings)})
	require.NoError(tb, err)
	return key
}

func configured(alias, key string, admin bool) config.Key {
	return config.Key{Alias: alias, SHA256: Hash(key), Admin: admin}
}

func alias(k *Keyring, key string) string {
	if c, ok := k.Identify([]byte(key)); ok {
		return c.Alias
	}
	return "refused"
}

func TestWithoutKeysEverybodyMayComeInAndDoEverything(t *testing.T) {
	f := func(k *Keyring) {
		t.Helper()
		require.True(t, k.Open())
		c, ok := k.Identify([]byte("any"))
		require.True(t, ok)
		require.Equal(t, &Caller{Admin: true}, c)
		require.Empty(t, k.Aliases())
		require.False(t, k.HasAdmin())
		require.NoError(t, k.Refresh(t.Context()))
	}
	f(newRing(t, Options{}))
	f(newRing(t, Options{Store: openBooks(t, sqlite(t))}))
}

func TestConfiguredKeys(t *testing.T) {
	k := newRing(t, Options{Configured: []config.Key{configured("root", "k1", true), {
		Alias: "alice", SHA256: Hash("k2"), Models: []string{"a*"}, Metadata: map[string]string{"team": "blue"},
		Limits: config.Quota{Streams: 2}, Capture: true, OnLedgerFailure: "allow",
	}}})
	require.False(t, k.Open())
	c, ok := k.Identify([]byte("k2"))
	require.True(t, ok)
	require.Equal(t, &Caller{
		Alias: "alice", Models: []string{"a*"}, Metadata: map[string]string{"team": "blue"},
		Limits: config.Quota{Streams: 2}, Capture: true, OnLedgerFailure: "allow",
	}, c)
	for _, key := range []string{"", "k3", "K2", "k2 ", Hash("k2")} {
		c, ok := k.Identify([]byte(key))
		require.False(t, ok)
		require.Nil(t, c)
	}
	require.True(t, k.Knows("alice"))
	require.False(t, k.Knows("bob"))
	require.Equal(t, []string{"alice", "root"}, k.Aliases())
	require.True(t, k.HasAdmin())
	require.Len(t, k.Configured(), 2)
}

func TestHashThatIsNoneIsRefused(t *testing.T) {
	for _, hash := range []string{"", "ab", strings.Repeat("x", 64)} {
		_, err := New(t.Context(), Options{Configured: []config.Key{{Alias: "a", SHA256: hash}}})
		require.ErrorContains(t, err, "the key a has no SHA-256")
	}
}

func TestStoredKeysLiveAndDie(t *testing.T) {
	ctx := t.Context()
	books := openBooks(t, sqlite(t))
	k := newRing(t, Options{Store: books, Refresh: never})
	require.True(t, k.Open())
	refreshed := func() {
		t.Helper()
		require.NoError(t, k.Refresh(ctx))
	}

	key := store(t, books, "alice", `{"admin":true,"models":["fast"],"metadata":{"team":"blue"},"limits":{"streams":3}}`)
	require.True(t, k.Open(), "the snapshot holds until the next")
	refreshed()
	require.False(t, k.Open())
	c, ok := k.Identify([]byte(key))
	require.True(t, ok)
	require.Equal(t, &Caller{
		Alias: "alice", Admin: true, Models: []string{"fast"}, Metadata: map[string]string{"team": "blue"},
		Limits: config.Quota{Streams: 3, Fail: config.FailOpen}, Stored: true,
	}, c)
	require.True(t, k.HasAdmin())

	_, err := books.DisableKey(ctx, "alice", true)
	require.NoError(t, err)
	refreshed()
	require.Equal(t, "refused", alias(k, key))
	require.False(t, k.Open(), "a disabled key closes the door as well")
	require.False(t, k.HasAdmin())
	require.True(t, k.Knows("alice"))
	disabled, ok := k.Caller("alice")
	require.True(t, ok)
	require.Same(t, c, disabled)

	_, err = books.DisableKey(ctx, "alice", false)
	require.NoError(t, err)
	refreshed()
	require.Equal(t, "alice", alias(k, key))
	again, _ := k.Identify([]byte(key))
	require.Same(t, c, again, "settings that did not change are not read again")

	second, hash := NewKey()
	_, err = books.RotateKey(ctx, "alice", hash)
	require.NoError(t, err)
	_, err = books.UpdateKey(ctx, "alice", func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{}`), nil })
	require.NoError(t, err)
	refreshed()
	require.Equal(t, "refused", alias(k, key))
	require.Equal(t, "alice", alias(k, second))
	require.False(t, k.HasAdmin())
	require.True(t, c.Admin, "a caller that is in use does not change")
}

func TestConfiguredKeysGoBeforeStoredOnes(t *testing.T) {
	books := openBooks(t, sqlite(t))
	sameAlias := store(t, books, "alice", `{"admin":true}`)
	sameKey := store(t, books, "bob", `{"admin":true}`)
	log := &logs{}
	k := newRing(t, Options{
		Configured: []config.Key{configured("alice", "k1", false), configured("carol", sameKey, false)},
		Store:      books, Refresh: never, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, k.Refresh(t.Context()))
	require.Equal(t, "alice", alias(k, "k1"))
	require.Equal(t, "refused", alias(k, sameAlias))
	require.Equal(t, "carol", alias(k, sameKey))
	require.False(t, k.HasAdmin())
	require.Equal(t, 2, log.count("gives way"), "once for each alias: %s", &log.buf)
}

func TestKeyWithSettingsOfAnotherVersionIsRefused(t *testing.T) {
	books := openBooks(t, sqlite(t))
	odd := store(t, books, "odd", `{"limits":{"bananas":3}}`)
	fine := store(t, books, "fine", `{}`)
	_, err := books.CreateKey(t.Context(), ledger.StoredKey{Alias: "broken", SHA256: "no hash", Settings: []byte(`{}`)})
	require.NoError(t, err)
	log := &logs{}
	k := newRing(t, Options{Store: books, Refresh: never, Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, k.Refresh(t.Context()))
	require.Equal(t, "refused", alias(k, odd))
	require.Equal(t, "fine", alias(k, fine))
	require.True(t, k.Knows("broken"))
	_, ok := k.Caller("odd")
	require.False(t, ok)
	_, ok = k.Caller("nobody")
	require.False(t, ok)
	require.Equal(t, 1, log.count("is refused"))
	require.Zero(t, log.count(Hash(odd)))

	_, err = books.UpdateKey(t.Context(), "odd", func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"capture":true}`), nil })
	require.NoError(t, err)
	require.NoError(t, k.Refresh(t.Context()))
	require.Equal(t, "odd", alias(k, odd))
}

// A key that another process made works within a moment, however seldom the store is read.
func TestUnknownKeyAsksForARefresh(t *testing.T) {
	books := openBooks(t, sqlite(t))
	k := newRing(t, Options{Configured: []config.Key{configured("root", "k1", true)}, Store: books, Refresh: never})
	key := store(t, books, "alice", `{}`)
	require.Eventually(t, func() bool { return alias(k, key) == "alice" }, patience, time.Millisecond)
}

func TestStoreIsReadEverySoOften(t *testing.T) {
	books := openBooks(t, sqlite(t))
	k := newRing(t, Options{Store: books, Refresh: time.Millisecond})
	require.True(t, k.Open())
	store(t, books, "alice", `{}`)
	require.Eventually(t, func() bool { return !k.Open() && k.Knows("alice") }, patience, time.Millisecond)
}

// While the database is down, what was known holds on: nobody is locked out, nobody comes in.
func TestDatabaseThatIsDown(t *testing.T) {
	server := servers.StartPostgres(t)
	books := openBooks(t, server.Database(t))
	key := store(t, books, "alice", `{}`)
	log := &logs{}
	registry := prometheus.NewRegistry()
	k := newRing(t, Options{Store: books, Refresh: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry})
	require.Equal(t, "alice", alias(k, key))

	server.Kill()
	require.Eventually(t, func() bool { return gathered(t, registry)["sluice_keys_refresh_failures_total"] >= 3 }, patience, time.Millisecond)
	require.Equal(t, 1, log.count("what was known of them holds on"))
	require.Equal(t, "alice", alias(k, key))
	require.Equal(t, "refused", alias(k, "other"))
	require.Error(t, k.Refresh(t.Context()))

	// One that starts now knows nothing, and lets nobody in whom it does not know.
	blind := newRing(t, Options{Store: books, Refresh: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.False(t, blind.Open())
	require.Equal(t, "refused", alias(blind, key))
	require.GreaterOrEqual(t, log.count("only those of the configuration are known"), 1)

	server.Start(t)
	require.Eventually(t, func() bool { return alias(blind, key) == "alice" }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return log.count("can be read again") >= 2 }, patience, time.Millisecond)

	stalled := openBooks(t, server.Database(t))
	deaf := newRing(t, Options{Store: stalled, Refresh: never})
	require.True(t, deaf.Open())
	server.Stall()
	limited, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, deaf.Refresh(limited))
	require.True(t, deaf.Open())
	require.Equal(t, "alice", alias(k, key), "nobody waits for the database")
	server.Resume()
}

// gathered returns the series of the metrics of a keyring.
func gathered(tb testing.TB, registry *prometheus.Registry) map[string]float64 {
	tb.Helper()
	families, err := registry.Gather()
	require.NoError(tb, err)
	series := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			series[name] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return series
}

func TestMetricsOfTheKeys(t *testing.T) {
	books := openBooks(t, sqlite(t))
	store(t, books, "a", `{}`)
	store(t, books, "b", `{}`)
	store(t, books, "c", `{"nonsense":1}`)
	_, err := books.DisableKey(t.Context(), "b", true)
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	o := Options{Configured: []config.Key{configured("root", "k", true)}, Store: books, Refresh: never, Registerer: registry}
	k := newRing(t, o)
	series := gathered(t, registry)
	require.Contains(t, series, "sluice_keys_age_seconds")
	delete(series, "sluice_keys_age_seconds")
	require.Equal(t, map[string]float64{
		"sluice_keys config enabled":         1,
		"sluice_keys ledger enabled":         1,
		"sluice_keys ledger disabled":        2,
		"sluice_keys_refresh_failures_total": 0,
	}, series)
	_, err = New(t.Context(), o)
	require.ErrorContains(t, err, "registering the metrics")
	k.Close()
	k.Close()
	newRing(t, o) // the metrics are free again
}

func TestKeysAreIdentifiedWhileTheyChange(t *testing.T) {
	books := openBooks(t, sqlite(t))
	keep := store(t, books, "keep", `{"models":["a"]}`)
	k := newRing(t, Options{Store: books, Refresh: time.Millisecond})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if c, ok := k.Identify([]byte(keep)); !ok || !c.MayAsk("a") || c.MayAsk("b") {
					t.Error("the key that is kept was refused")
					return
				}
				k.Identify([]byte("unknown"))
				k.Knows("keep")
				k.Aliases()
			}
		})
	}
	for i := range 50 {
		store(t, books, fmt.Sprintf("key-%d", i), `{}`)
		require.NoError(t, k.Refresh(t.Context()))
	}
	close(done)
	readers.Wait()
	require.Len(t, k.Aliases(), 51)
}

func TestIdentifyingAllocatesNothing(t *testing.T) {
	k := newRing(t, Options{Configured: []config.Key{configured("alice", "k", false)}})
	known, unknown := []byte("k"), []byte("x")
	require.Zero(t, testing.AllocsPerRun(100, func() { k.Identify(known) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { k.Identify(unknown) }))
}

func BenchmarkIdentify(b *testing.B) {
	keys := make([]config.Key, 1000)
	for i := range keys {
		keys[i] = configured(fmt.Sprintf("key-%d", i), fmt.Sprintf("secret-%d", i), false)
	}
	k := newRing(b, Options{Configured: keys})
	for _, key := range []string{"secret-500", "unknown"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Identify([]byte(key))
			}
		})
	}
}

// BenchmarkRefresh reads ten thousand stored keys, which did not change.
func BenchmarkRefresh(b *testing.B) {
	books := openBooks(b, sqlite(b))
	for i := range 10_000 {
		store(b, books, fmt.Sprintf("key-%d", i), `{"models":["gpt-5*"],"limits":{"streams":3}}`)
	}
	k := newRing(b, Options{Store: books, Refresh: never})
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, k.Refresh(b.Context()))
	}
}
