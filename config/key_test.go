package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

const keyJSON = `{
	"alias": "alice", "admin": true, "capture": true, "on_ledger_failure": "refuse",
	"models": ["fast", "openai/*"],
	"metadata": {"team": "s\u00fc\ud83d\ude00", "centre": "42"},
	"limits": {
		"requests_per_minute": 60, "tokens_per_minute": 200000, "streams": 10, "max_output_tokens": 4096, "max_duration": "10m", "fail": "closed",
		"budgets": [{"usd": 0.000000001, "per": "month"}, {"tokens": 1000000, "per": "day", "hard": false, "fail": "open"}]
	}
}`

func TestParseKey(t *testing.T) {
	key, err := config.ParseKey([]byte(keyJSON))
	require.NoError(t, err)
	require.Equal(t, config.Key{
		Alias: "alice", Admin: true, Capture: true, OnLedgerFailure: config.OnLedgerFailureRefuse,
		Models: []string{"fast", "openai/*"}, Metadata: map[string]string{"team": "sü😀", "centre": "42"},
		Limits: config.Quota{
			RequestsPerMinute: 60, TokensPerMinute: 200_000, Streams: 10, MaxOutputTokens: 4096, MaxDuration: seconds(600), Fail: config.FailClosed,
			Budgets: []config.Budget{{USD: 1, Per: "month", Hard: true}, {Tokens: 1_000_000, Per: "day", Fail: config.FailOpen}},
		},
	}, key)
	require.NoError(t, config.ValidateKey(key))

	settings, err := key.SettingsJSON()
	require.NoError(t, err)
	require.NotContains(t, string(settings), "alice")
	again, err := config.ParseKey(settings)
	require.NoError(t, err)
	again.Alias = key.Alias
	require.Equal(t, key, again)
}

func TestKeyWithoutSettings(t *testing.T) {
	key, err := config.ParseKey([]byte(`{}`))
	require.NoError(t, err)
	settings, err := key.SettingsJSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"admin": false, "capture": false}`, string(settings))

	nulls, err := config.ParseKey([]byte(`{"models": null, "limits": null, "metadata": null, "admin": null}`))
	require.NoError(t, err)
	require.Equal(t, key, nulls)

	// One that was not parsed lacks the defaults and is written the same.
	settings, err = config.Key{Alias: "a"}.SettingsJSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"admin": false, "capture": false}`, string(settings))
	require.NoError(t, config.ValidateKey(config.Key{Alias: "a"}))
}

// The settings of a key that the file of the configuration has can be stored elsewhere.
func TestSettingsOfAConfiguredKey(t *testing.T) {
	c, err := config.Load("testdata/full.good.yaml", testEnvironment)
	require.NoError(t, err)
	settings, err := c.Keys[0].SettingsJSON()
	require.NoError(t, err)
	require.NotContains(t, string(settings), c.Keys[0].SHA256)
	key, err := config.ParseKey(settings)
	require.NoError(t, err)
	key.Alias, key.SHA256 = c.Keys[0].Alias, c.Keys[0].SHA256
	require.Equal(t, c.Keys[0], key)
	require.NoError(t, config.ValidateKey(key))
}

func TestKeysThatAreRefused(t *testing.T) {
	f := func(src string, want ...string) {
		t.Helper()
		key, err := config.ParseKey([]byte(src))
		require.EqualError(t, err, strings.Join(want, "\n"), src)
		require.Zero(t, key)
		var problems *config.Problems
		require.ErrorAs(t, err, &problems)
		require.Zero(t, problems.List[0].Line)
	}
	f(`{"alias": "al ice"}`, `alias: "al ice" must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit`)
	f(`{"alias": ""}`, `alias: the value must not be empty`)
	f(`{"alias": "other"}`, `alias: "other" is reserved: metrics use it for whatever is not configured`)
	f(`{"sha256": "secret-key"}`, `sha256: must be 64 hex digits: the SHA-256 of the key, as printed by sluice keys hash`)
	f(`{"limit": {}}`, `limit: unknown key; did you mean limits?`)
	f(`{"limits": {"streams": -1}}`, `limits.streams: "-1" is less than 0`)
	f(`{"limits": {"streams": "many"}}`, `limits.streams: "many" must be a whole number`)
	f(`{"limits": {"max_duration": 5}}`, `limits.max_duration: "5" needs a unit, as in 30s, 500ms, 1m30s or 90d`)
	f(`{"limits": {"budgets": [{"usd": 1e-10, "per": "day"}]}}`, `limits.budgets[0].usd: "1e-10" has more than nine decimals; amounts are whole numbers of 0.000000001 USD`)
	f(`{"limits": {"budgets": [{"usd": 1, "tokens": 1, "per": "day"}]}}`, `limits.budgets[0]: holds both usd and tokens; make it two budgets`)
	f(`{"limits": {"budgets": [{"per": "day"}]}}`, `limits.budgets[0]: needs usd or tokens`)
	f(`{"limits": {"budgets": [{"usd": 1}]}}`, `limits.budgets[0].per: is required`)
	f(`{"limits": {"budgets": {}}}`, `limits.budgets: must be a list, not a mapping`)
	f(`{"models": [""]}`, `models[0]: "" must be 1 to 256 bytes without control characters`)
	f(`{"models": [null]}`, `models[0]: is empty`)
	f(`{"metadata": {"a\u0000": "b"}}`, `metadata: the name "a\x00" must be 1 to 256 bytes without control characters`)
	f(`{"metadata": {"a": "b\n"}}`, `metadata.a: must be at most 256 bytes without control characters`)
	f(`{"metadata": {"a": ["b"]}}`, `metadata.a: must be text, not a list`)
	f(`{"admin": 1}`, `admin: "1" must be true or false`)
	f(`{"on_ledger_failure": "auto"}`, `on_ledger_failure: "auto" is not one of refuse, allow`)
	f("{\"admin\": true,\n\"admin\": false}", `admin: is set twice; first on line 1`)
	f(`{"<<": {"admin": true}}`, `<<: unknown key; known at the top level: alias, sha256, admin, models, metadata, limits, capture, on_ledger_failure`)
	f(`{"x": 1, "limits": {"streams": -1}, "alias": "-"}`,
		`x: unknown key; known at the top level: alias, sha256, admin, models, metadata, limits, capture, on_ledger_failure`,
		`limits.streams: "-1" is less than 0`,
		`alias: "-" must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit`)

	const form = `the settings of a key must be one JSON object`
	f(``, form)
	f(`[]`, form)
	f(`null`, form)
	f(`"alias"`, form)
	f(`{} {}`, form)
	f(`{}x`, form)
	f(`{"alias": "a",}`, form)
	f(`{alias: a}`, form)
	f(`{"alias": "a"`, form)
	f(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000), form)
	f(strings.Repeat(`[`, 10_000), form)
	f(`{"metadata": {"a": "`+strings.Repeat("x", 256<<10)+`"}}`, `the settings of a key are larger than 256KiB`)
}

// Whoever may manage keys must not read the environment and the files of the server.
func TestReferencesInAKeyAreText(t *testing.T) {
	t.Setenv("CANARY", "secret")
	key, err := config.ParseKey([]byte(`{"metadata": {"a": "${CANARY}", "b": "${file:/etc/passwd}", "c": "$${", "d": "${"}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "${CANARY}", "b": "${file:/etc/passwd}", "c": "$${", "d": "${"}, key.Metadata)
	settings, err := key.SettingsJSON()
	require.NoError(t, err)
	again, err := config.ParseKey(settings)
	require.NoError(t, err)
	require.Equal(t, key, again)
}

func TestValidateKey(t *testing.T) {
	hash := strings.Repeat("a1", 32)
	require.NoError(t, config.ValidateKey(config.Key{Alias: "a", SHA256: hash}))
	f := func(key config.Key, want string) {
		t.Helper()
		require.EqualError(t, config.ValidateKey(key), want)
	}
	f(config.Key{SHA256: hash}, `alias: the value must not be empty`)
	f(config.Key{Alias: "a b"}, `alias: "a b" must be 1 to 64 letters, digits, dots, dashes or underscores and begin with a letter or digit`)
	f(config.Key{Alias: "a", SHA256: hash[1:]}, `sha256: must be 64 hex digits: the SHA-256 of the key, as printed by sluice keys hash`)
	f(config.Key{Alias: "a", Limits: config.Quota{Streams: -1}}, `limits.streams: "-1" is less than 0`)
	f(config.Key{Alias: "a", Limits: config.Quota{MaxDuration: -1}}, `limits.max_duration: "-1ns" must not be negative`)
	f(config.Key{Alias: "a", Limits: config.Quota{Streams: 1, Fail: "maybe"}}, `limits.fail: "maybe" is not one of open, closed`)
	f(config.Key{Alias: "a", Limits: config.Quota{Budgets: []config.Budget{{USD: 1}}}}, `limits.budgets[0].per: the value must not be empty`)
	f(config.Key{Alias: "a", Limits: config.Quota{Budgets: []config.Budget{{Per: "day"}}}}, `limits.budgets[0]: needs usd or tokens`)
	f(config.Key{Alias: "a", Limits: config.Quota{Budgets: []config.Budget{{USD: -1, Per: "day"}}}}, `limits.budgets[0].usd: "-0.000000001" must not be negative`)
}

func TestAllows(t *testing.T) {
	f := func(model string, want bool, patterns ...string) {
		t.Helper()
		require.Equal(t, want, config.Key{Models: patterns}.Allows(model), "%v %s", patterns, model)
	}
	f("anything", true)
	f("fast", true, "slow", "fast")
	f("fast", false, "slow", "faster")
	f("", true, "*")
	f("fast", true, "*")
	f("fast", true, "f*t")
	f("ft", true, "f*t")
	f("f", false, "f*f")
	f("openai/gpt-4", true, "openai/*")
	f("openai", false, "openai/*")
	f("abcabc", true, "*abc")
	f("abcab", false, "*abc")
	f("a.b.c", true, "a*b*c")
	f("acb", false, "a*b*c")
	f("aXbYbZc", true, "a*b*b*c")
	f("abc", false, "a*b*b*c")
	f("x", true, "**x**")
	f("Fast", false, "fast")
	f("gpt[1]?", true, "gpt[1]?")
}

func FuzzParseKey(f *testing.F) {
	f.Add(keyJSON)
	f.Add(`{}`)
	f.Add(`{"metadata": {"\ud800": "\u0000"}}`)
	f.Add(`{"limits": {"budgets": [{"usd": 1e2, "per": "day"}], "max_duration": "1d"}}`)
	f.Fuzz(func(t *testing.T, src string) {
		key, err := config.ParseKey([]byte(src))
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a problem")
			}
			return
		}
		if !json.Valid([]byte(src)) {
			t.Fatal("this is not JSON")
		}
		settings, err := key.SettingsJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.ParseKey(settings)
		if err != nil {
			t.Fatalf("%s: %v", settings, err)
		}
		second, err := again.SettingsJSON()
		if err != nil || string(second) != string(settings) {
			t.Fatalf("%s became %s: %v", settings, second, err)
		}
	})
}
