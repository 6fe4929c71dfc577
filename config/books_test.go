package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func parseLine(format string, args ...any) (*config.Config, error) {
	return config.Parse([]byte(simulatorOnly+fmt.Sprintf(format, args...)), "", noEnvironment)
}

func TestLedgersThatAreAccepted(t *testing.T) {
	dir := t.TempDir()
	f := func(ledger string, want config.SecretURL) {
		t.Helper()
		c, err := parseLine("ledger: %q", ledger)
		require.NoError(t, err)
		require.Equal(t, want, c.Ledger)
		again, err := config.Parse(c.Redacted(), "", noEnvironment)
		require.NoError(t, err, "what is shown can be read")
		require.Equal(t, c.Ledger.Redacted(), again.Ledger.Redacted())
	}
	same := func(ledger string) {
		t.Helper()
		f(ledger, config.SecretURL(ledger))
	}
	f("memory", config.LedgerMemory)
	same("memory:")
	same("sqlite://ledger.db")
	same("sqlite://" + filepath.Join(dir, "new", "folders", "ledger.db"))
	same("sqlite://" + filepath.Join(dir, "a@b.db"))
	same("postgres://user:pa%40ss@host:5432/db?sslmode=disable")
	same("postgresql://host/db")
	same("postgres:///db?host=/run/postgresql")

	c, err := parseLine("ledger: memory")
	require.NoError(t, err)
	require.Equal(t, config.SecretURL(config.LedgerMemory), c.Ledger, "no quotes are needed")
}

func TestLedgersThatAreRefused(t *testing.T) {
	f := func(ledger, want string) {
		t.Helper()
		_, err := parseLine("ledger: %q", ledger)
		require.ErrorContains(t, err, want, ledger)
	}
	f("ledger.db", "must be a URL")
	f("file:ledger.db", "must be a URL")
	f("mysql://host/db", "must be a URL")
	f("sqlite:ledger.db", "must be a URL")
	f("sqlite://user@host/ledger.db", "must be a URL")
	f("sqlite:///a%00.db", "no file name can have")
	f("sqlite://", "names no file")
	f("sqlite:///folder/", "names no file")
	f("sqlite:///a.db?mode=ro", "must not hold a query")
	f("sqlite:///a#1.db", "must not hold a query or a fragment")
	f("postgres:///db", "names no host")
	f("postgres://host/", "names no database")
	f("postgres://host?dbname=db", "names no database")
	f("postgres://host:99999/db", "has a port")
	f("postgres://u:p#q@host/db", "in a password write")
	f("postgres:host/db", "must be a URL")
	f("memory:1", "must be a URL")
}

func TestRedisURLs(t *testing.T) {
	for _, good := range []string{"redis://host", "redis://host:6379", "redis://host/", "redis://host/15", "rediss://user:pa%23ss@host:6380/0", "redis://[::1]:6379/0", "redis://host/0?dial_timeout=1s"} {
		c, err := parseLine("redis: %q", good)
		require.NoError(t, err, good)
		require.Equal(t, good, string(c.Redis))
	}
	f := func(redis, want string) {
		t.Helper()
		_, err := parseLine("redis: %q", redis)
		require.ErrorContains(t, err, want, redis)
	}
	f("host:6379", "must be a URL")
	f("http://host:6379", "must be a URL")
	f("redis:6379", "must be a URL")
	f("redis://", "names no host")
	f("redis://:6379/0", "names no host")
	f("redis://host:0", "has a port")
	f("redis://host/-1", "the number of a database")
	f("redis://host/+1", "the number of a database")
	f("redis://host/0/1", "the number of a database")
	f("redis://host/99999", "the number of a database")
	f("redis://:a#b@host", "in a password write")
}

func TestKeepingForEverAndReplicasWithoutPostgreSQL(t *testing.T) {
	c, err := parseLine("keep: 0\nredis: redis://host\nledger: sqlite://a.db")
	require.NoError(t, err)
	require.Zero(t, c.Keep)
	c, err = parseLine("keep: 1h")
	require.NoError(t, err)
	require.Equal(t, "1h", c.Keep.String())
}

// A budget and a quota that are written in part keep their other defaults.
func TestQuotaDefaults(t *testing.T) {
	c, err := parseLine("models: [{name: m, targets: [{provider: sim}], limits: {budgets: [{usd: 1, per: day}, {tokens: 5, per: total, hard: false}]}}]")
	require.NoError(t, err)
	q := c.Models[0].Limits
	require.Equal(t, config.FailOpen, q.Fail)
	require.True(t, q.Budgets[0].Hard)
	require.False(t, q.Budgets[1].Hard)
	require.Empty(t, q.Budgets[0].Fail)
	require.True(t, q.HasHardBudget())
	require.False(t, q.Zero())
	require.False(t, config.Quota{Budgets: q.Budgets[1:]}.HasHardBudget())
	require.True(t, config.Quota{Fail: config.FailClosed}.Zero())
	require.False(t, config.Quota{Fail: config.FailClosed}.IsZero())

	c, err = parseLine("")
	require.NoError(t, err)
	require.NotContains(t, string(c.Redacted()), "fail:", "limits that bound nothing are not shown")
}

func TestOnFailure(t *testing.T) {
	f := func(global, own string, hard bool, want string) {
		t.Helper()
		require.Equal(t, want, config.OnFailure(global, own, hard))
	}
	f("auto", "", false, "allow")
	f("auto", "", true, "refuse")
	f("refuse", "", false, "refuse")
	f("allow", "", true, "allow")
	f("auto", "allow", true, "allow")
	f("allow", "refuse", false, "refuse")
}

func TestMetadataIsTextWhateverItLooksLike(t *testing.T) {
	c, err := parseLine("keys: [{alias: a, sha256: %s, metadata: {centre: 0042, active: true, since: 2024-01-02, note: }}]", strings.Repeat("a", 64))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"centre": "0042", "active": "true", "since": "2024-01-02", "note": ""}, c.Keys[0].Metadata)

	var notes []string
	for i := range 65 {
		notes = append(notes, fmt.Sprintf("n%d: x", i))
	}
	_, err = parseLine("keys: [{alias: a, sha256: %s, metadata: {%s}}]", strings.Repeat("a", 64), strings.Join(notes, ", "))
	require.ErrorContains(t, err, "keys[0].metadata: holds 65 notes; at most 64 are kept")
}

func TestModelPatternsOfKeys(t *testing.T) {
	f := func(pattern string, good bool) {
		t.Helper()
		_, err := parseLine("models: [{name: fast, targets: [{provider: sim}]}, {name: smart-2, targets: [{provider: sim}]}]\n"+
			"keys: [{alias: a, sha256: %s, models: [%q]}]", strings.Repeat("a", 64), pattern)
		if good {
			require.NoError(t, err, pattern)
		} else {
			require.ErrorContains(t, err, "is the name of no model", pattern)
		}
	}
	f("fast", true)
	f("*", true)
	f("f*", true)
	f("*a*t", true)
	f("smart-*", true)
	f("sim/gpt-4", true) // a provider and any of its models
	f("sim/*", true)
	f("si*", true)
	f("s*/x", true)
	f("sim", false)
	f("sim/", false)
	f("Fast", false)
	f("gpt-4", false)
	f("slow*", false)
	f("other/*", false)

	_, err := parseLine("keys: [{alias: a, sha256: %s, models: [anything]}]", strings.Repeat("a", 64))
	require.NoError(t, err, "without models, every name is possible")
}
