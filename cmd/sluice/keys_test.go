package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
)

func TestNewKeyComesWithTheLinesThatConfigureIt(t *testing.T) {
	got := execute(t, "keys", "new", "--alias", "alice", "--admin")
	require.Equal(t, exitOK, got.code)
	key, rest, _ := strings.Cut(got.stdout, "\n")
	require.Regexp(t, `^sk-sluice-[A-Za-z0-9_-]{43}$`, key)
	require.NotContains(t, rest, key)

	lines := rest[strings.Index(rest, "keys:"):]
	c, err := config.Parse([]byte("providers: [{name: sim, dialect: sim}]\n"+lines), "", command{}.getenv)
	require.NoError(t, err)
	require.Equal(t, []config.Key{{Alias: "alice", SHA256: access.Hash(key), Admin: true, Limits: config.Quota{Fail: config.FailOpen}}}, c.Keys)

	again := execute(t, "keys", "new")
	require.NotContains(t, again.stdout, key)
	require.Contains(t, again.stdout, `alias: "client"`)
	require.NotContains(t, again.stdout, "admin")
}

func TestNewKeyNeedsAnAliasThatTheConfigurationAccepts(t *testing.T) {
	for _, alias := range []string{"", "al ice", "a\"b", "other", "a\nb", "a${b", "a/b"} {
		got := execute(t, "keys", "new", "--alias", alias)
		require.Equal(t, exitUsage, got.code, alias)
		require.Contains(t, got.stderr, "sluice: --alias: ")
		require.Empty(t, got.stdout)
	}
}

func TestHashOfAKeyFromStandardInput(t *testing.T) {
	f := func(stdin, want string) {
		t.Helper()
		got := command{args: []string{"keys", "hash"}, stdin: stdin}.run(t.Context())
		require.Equal(t, result{exitOK, want + "\n", ""}, got)
	}
	// SHA-256 of "abc", FIPS 180-2 appendix B.1.
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	f("abc", abc)
	f("abc\n", abc)
	f("  abc\r\nmore\n", abc)

	got := command{args: []string{"keys", "hash"}, stdin: "\n"}.run(t.Context())
	require.Equal(t, result{exitUsage, "", "sluice: no key on standard input\n"}, got)
}

func TestKeysAloneShowsItsCommands(t *testing.T) {
	got := execute(t, "keys")
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.stdout, "hash")
}
