package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/servers"
	"github.com/sluicehq/sluice/proxy/access"
)

// keysConfig is a configuration with a ledger, and the URL of it.
func keysConfig(t *testing.T, url, keys string) string {
	t.Helper()
	return write(t, "config.yaml", "providers: [{name: sim, dialect: sim}]\nledger: '"+url+"'\n"+keys)
}

func sqliteURL(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "state", "ledger.db")
}

// ring is the keyring of a sluice that runs with the same ledger.
func ring(t *testing.T, url string) *access.Keyring {
	t.Helper()
	books, err := ledger.OpenBooks(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, books.Close()) })
	k, err := access.New(t.Context(), access.Options{Store: books})
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

func identify(k *access.Keyring, key string) string {
	if who, ok := k.Identify([]byte(key)); ok {
		return who.Alias
	}
	return "refused"
}

func TestStoredKeysOnSQLite(t *testing.T) { testStoredKeys(t, sqliteURL(t)) }

func TestStoredKeysOnPostgreSQL(t *testing.T) {
	testStoredKeys(t, servers.StartPostgres(t).Database(t))
}

func testStoredKeys(t *testing.T, url string) {
	running := ring(t, url)
	require.True(t, running.Open())
	file := keysConfig(t, url, "")
	keys := func(args ...string) result {
		t.Helper()
		got := execute(t, append(append([]string{"keys"}, args...), "--config", file)...)
		require.Equal(t, exitOK, got.code, got.stderr)
		return got
	}
	secret := func(got result) string {
		t.Helper()
		key, rest, _ := strings.Cut(got.stdout, "\n")
		require.Regexp(t, `^sk-sluice-[A-Za-z0-9_-]{43}$`, key)
		require.Contains(t, rest, "hand it over now. A sluice that runs knows it within 5s.")
		require.NotContains(t, rest, key)
		return key
	}

	made := keys("create", "--alias", "ops", "--admin")
	require.Contains(t, made.stderr, "this is the first key")
	ops := secret(made)
	made = keys("create", "--alias", "alice", "--model", "gpt-5*", "--model", "fast", "--metadata", "team=blue", "--metadata", "note=a=b",
		"--capture", "--on-ledger-failure", "allow", "--requests-per-minute", "60", "--tokens-per-minute", "9000", "--streams", "3",
		"--max-output-tokens", "100", "--max-duration", "90s", "--budget", "25.5usd/month", "--budget", "1000tokens/day")
	require.Empty(t, made.stderr)
	alice := secret(made)

	require.NoError(t, running.Refresh(t.Context()))
	who, ok := running.Identify([]byte(alice))
	require.True(t, ok)
	require.Equal(t, &access.Caller{
		Alias: "alice", Models: []string{"gpt-5*", "fast"}, Metadata: map[string]string{"team": "blue", "note": "a=b"},
		Capture: true, OnLedgerFailure: "allow", Stored: true,
		Limits: config.Quota{
			RequestsPerMinute: 60, TokensPerMinute: 9000, Streams: 3, MaxOutputTokens: 100, MaxDuration: 90e9, Fail: config.FailOpen,
			Budgets: []config.Budget{{USD: 25_500_000_000, Per: "month", Hard: true}, {Tokens: 1000, Per: "day", Hard: true}},
		},
	}, who)
	who, _ = running.Identify([]byte(ops))
	require.True(t, who.Admin)

	list := keys("list").stdout
	require.Regexp(t, `(?m)^ALIAS +SOURCE +STATE +ROLE +MODELS +CREATED +ROTATED$`, list)
	require.Regexp(t, `(?m)^alice +ledger +enabled +client +gpt-5\*,fast +20\S+Z +-$`, list)
	require.Regexp(t, `(?m)^ops +ledger +enabled +admin +all +20\S+Z +-$`, list)

	rotated := secret(keys("rotate", "alice"))
	require.Equal(t, "alice is disabled; a sluice that runs knows it within 5s\n", keys("disable", "alice").stdout)
	require.NoError(t, running.Refresh(t.Context()))
	require.Equal(t, "refused", identify(running, alice))
	require.Equal(t, "refused", identify(running, rotated))
	require.Regexp(t, `(?m)^alice +ledger +disabled +client .* 20\S+Z$`, keys("list").stdout)

	keys("enable", "alice")
	require.NoError(t, running.Refresh(t.Context()))
	require.Equal(t, "alice", identify(running, rotated))

	var shown []map[string]any
	require.NoError(t, json.Unmarshal([]byte(keys("list", "--json").stdout), &shown))
	require.Len(t, shown, 2)
	require.Equal(t, "alice", shown[0]["alias"])
	require.Equal(t, map[string]any{"team": "blue", "note": "a=b"}, shown[0]["metadata"])
	require.NotContains(t, shown[0], "key")
	for _, key := range []string{ops, alice, rotated} {
		require.NotContains(t, keys("list", "--json").stdout, key)
	}
}

func TestKeysOfTheConfigurationAreListedAndNotChanged(t *testing.T) {
	url := sqliteURL(t)
	file := keysConfig(t, url, "keys: [{alias: root, sha256: "+access.Hash("k")+", admin: true}]\n")
	list := execute(t, "keys", "list", "--config", file)
	require.Equal(t, exitOK, list.code, list.stderr)
	require.Regexp(t, `(?m)^root +config +enabled +admin +all +- +-$`, list.stdout)
	require.NoFileExists(t, strings.TrimPrefix(url, "sqlite://"), "a list makes nothing")

	for _, args := range [][]string{{"create", "--alias", "root"}, {"rotate", "root"}, {"disable", "root"}, {"enable", "root"}} {
		got := execute(t, append(append([]string{"keys"}, args...), "--config", file)...)
		require.Equal(t, result{exitUsage, "", "sluice: root is a key of the configuration: change it there\n"}, got)
	}
	got := execute(t, "keys", "create", "--alias", "alice", "--config", file)
	require.Equal(t, exitOK, got.code)
	require.Empty(t, got.stderr, "it is not the first")
}

func TestKeysThatCannotBeChanged(t *testing.T) {
	url := sqliteURL(t)
	file := keysConfig(t, url, "")
	f := func(want string, args ...string) {
		t.Helper()
		got := execute(t, append(append([]string{"keys"}, args...), "--config", file)...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, want)
		require.Empty(t, got.stdout)
	}
	require.Equal(t, exitOK, execute(t, "keys", "create", "--alias", "alice", "--config", file).code)
	f("there is a key alice already; sluice keys rotate makes a new one", "create", "--alias", "alice")
	f("there is no key bob at "+strings.TrimPrefix(url, "sqlite://"), "rotate", "bob")
	f("there is no key bob at", "disable", "bob")
	f(`required flag(s) "alias" not set`, "create")
	f("--alias: ", "create", "--alias", "a b")
	f("--metadata: ", "create", "--alias", "bob", "--metadata", "team")
	f("--metadata: ", "create", "--alias", "bob", "--metadata", "=blue")
	f("--max-duration: ", "create", "--alias", "bob", "--max-duration", "90")
	f("--on-ledger-failure: ", "create", "--alias", "bob", "--on-ledger-failure", "shrug")
	f("--streams: ", "create", "--alias", "bob", "--streams", "-1")
	f("--model: ", "create", "--alias", "bob", "--model", "")
	for _, budget := range []string{"", "25", "25usd", "25/month", "usd/month", "-1usd/day", "1eur/day", "manytokens/day", "5usd/week", "0usd/day"} {
		f("--budget: ", "create", "--alias", "bob", "--budget", budget)
	}
}

func TestKeysWithoutADatabase(t *testing.T) {
	file := keysConfig(t, config.LedgerMemory, "")
	for _, args := range [][]string{{"create", "--alias", "a"}, {"rotate", "a"}, {"disable", "a"}} {
		got := execute(t, append(append([]string{"keys"}, args...), "--config", file)...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, "set ledger to a database")
	}
	require.Equal(t, exitOK, execute(t, "keys", "list", "--config", file).code)
}

func TestKeysWithADatabaseThatFailsExitWithTwo(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "ledger.db"), []byte(strings.Repeat("not a database", 100)), 0o600))
	file := keysConfig(t, "sqlite://"+filepath.Join(folder, "ledger.db"), "")
	for _, args := range [][]string{{"create", "--alias", "a"}, {"list"}} {
		got := execute(t, append(append([]string{"keys"}, args...), "--config", file)...)
		require.Equal(t, exitFailure, got.code, got.stderr)
		require.Empty(t, got.stdout)
	}
}

// A sluice that runs beside the command sees the key without being told.
func TestRunningSluiceSeesAKeyThatACommandMade(t *testing.T) {
	url := sqliteURL(t)
	running := ring(t, url)
	got := execute(t, "keys", "create", "--alias", "first", "--config", keysConfig(t, url, ""))
	require.Equal(t, exitOK, got.code, got.stderr)
	key, _, _ := strings.Cut(got.stdout, "\n")
	require.Eventually(t, func() bool { return identify(running, key) == "first" }, 30*time.Second, 10*time.Millisecond)
}
