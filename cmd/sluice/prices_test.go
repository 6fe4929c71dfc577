package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/prices"
)

const pricedConfig = `
providers:
  - {name: openai, dialect: openai, base_url: "https://api.openai.com/v1", api_key: k}
  - {name: own, dialect: openai, base_url: "http://127.0.0.1:8000"}
models:
  - {name: fast, targets: [{provider: openai, model: gpt-4o-mini}, {provider: own, model: llama}]}
`

// lines are those of an output, with one space where there were several.
func lines(output string) []string {
	var all []string
	for line := range strings.Lines(output) {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return all
}

func TestShowingPrices(t *testing.T) {
	const header = "PROVIDER VENDOR MODEL TIER ABOVE SINCE INPUT CACHED WRITTEN OUTPUT TABLE DATE SOURCE"
	const openAI = " built-in 2026-11-21 https://developers.openai.com/api/docs/pricing"
	config := write(t, "config.yaml", pricedConfig)
	f := func(args []string, want ...string) {
		t.Helper()
		got := execute(t, append([]string{"prices", "show", "--config", config}, args...)...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Equal(t, append([]string{header}, want...), lines(got.stdout))
	}
	f([]string{"fast"},
		"openai openai gpt-4o-mini - - - 0.15 0.075 - 0.6"+openAI,
		"own - llama - - - - - - - no price - -")
	f([]string{"fast", "--tier", "priority"},
		"openai openai gpt-4o-mini priority - - 0.25 0.125 - 1"+openAI,
		"own - llama - - - - - - - no price - -")
	f([]string{"openai/gpt-6-sol"},
		"openai openai gpt-6-sol - 272000 - 4 0.4 5 15"+openAI,
		"openai openai gpt-6-sol - - - 2 0.2 2.5 10"+openAI)
	f([]string{"gpt-4o"},
		"openai openai gpt-4o - - - 2.5 1.25 - 10"+openAI,
		"own - gpt-4o - - - - - - - no price - -")
}

func TestShowingWhereAPriceIsFrom(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "prices.json")
	write(t, file, `{"openai": {"models": {"gpt-4o": {"last_updated": "2026-01-02", "cost": {"input": 3, "output": 4}}}}}`)
	config := write(t, "config.yaml", pricedConfig+"prices: {file: "+file+", overrides: [{model: llama, provider: own, input: 0.05, output: 0.1}]}\n")
	got := execute(t, "prices", "show", "fast", "--config", config, "--json")
	require.Equal(t, exitOK, got.code, got.stderr)
	var shown []shownPrice
	require.NoError(t, json.Unmarshal([]byte(replaceRates(got.stdout)), &shown))
	require.Equal(t, []string{"built-in", "overrides"}, []string{shown[0].Layer, shown[1].Layer})
	require.Contains(t, got.stdout, `"input": 0.05,`)

	all := execute(t, "prices", "show", "--config", config)
	require.Equal(t, exitOK, all.code)
	require.Contains(t, lines(all.stdout), "own - llama - - - 0.05 - - 0.1 overrides - the configuration")
	require.Contains(t, lines(all.stdout), "- openai gpt-4o - - - 3 - - 4 file 2026-01-02 models.dev")
	require.Contains(t, lines(all.stdout), "- google gemini-4-argon - - 2026-12-01 4 0.2 - 20 built-in 2026-11-21 https://ai.google.dev/gemini-api/docs/pricing")
	require.Contains(t, lines(all.stdout), "- sim * - - - 1 0.5 - 2 built-in 2026-11-21 docs/prices.md")

	unknown := execute(t, "prices", "show", "own/nothing", "--config", config, "--json")
	require.JSONEq(t, `[{"provider": "own", "model": "nothing"}]`, unknown.stdout)
}

// replaceRates makes the amounts of an output whole numbers, as a Rate has them.
func replaceRates(output string) string {
	return strings.NewReplacer("0.15", "150000000", "0.075", "75000000", "0.6", "600000000", "0.05", "50000000", "0.1", "100000000").Replace(output)
}

func TestPricesAreFetchedCheckedAndCompared(t *testing.T) {
	const table = `{"m1": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
		"m2": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}}`
	table2 := strings.NewReplacer("m1", "m3", `"m2": {"litellm_provider": "openai", "input_cost_per_token": 1e-06`,
		`"m2": {"litellm_provider": "openai", "input_cost_per_token": 5e-06`).Replace(table)
	served := table
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.True(t, strings.HasPrefix(r.UserAgent(), "sluice/"))
		_, _ = w.Write([]byte(served))
	}))
	defer server.Close()
	out := filepath.Join(t.TempDir(), "prices.json")
	f := func(from, want string) {
		t.Helper()
		got := execute(t, "prices", "fetch", "--from", from, "--out", out)
		require.Equal(t, result{exitOK, out + ": " + want + "\n", ""}, got)
	}
	f(server.URL, "2 models")
	written, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, table, string(written))
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode().Perm())
	f(server.URL, "2 models; prices: 0 new, 0 changed, 0 gone")
	served = table2
	f(server.URL, "2 models; prices: 1 new, 1 changed, 1 gone")
	f(write(t, "table.json", table), "2 models; prices: 1 new, 1 changed, 1 gone")
	require.NoError(t, os.WriteFile(out, []byte("nonsense"), 0o600))
	f(server.URL, "2 models; the file held no prices before")

	entries, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestATableThatCannotBeUsedLeavesTheFileAsItIs(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"a": {"litellm_provider": "x", "input_cost_per_token": -1, "output_cost_per_token": 1}}`))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		piece := []byte(strings.Repeat(" ", 1<<20))
		for range maxPriceTable/len(piece) + 1 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	stalled := make(chan struct{})
	mux.HandleFunc("/stall", func(http.ResponseWriter, *http.Request) { <-stalled })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(stalled)
	out := write(t, "prices.json", "before")
	f := func(from, want string, args ...string) {
		t.Helper()
		got := execute(t, append([]string{"prices", "fetch", "--from", from, "--out", out}, args...)...)
		require.Equal(t, exitFailure, got.code)
		require.Contains(t, got.stderr, want)
		require.NotContains(t, got.stderr, "secret")
		require.Empty(t, got.stdout)
		content, err := os.ReadFile(out)
		require.NoError(t, err)
		require.Equal(t, "before", string(content))
	}
	f(server.URL+"/bad", `"a": "input_cost_per_token" is negative`)
	f(server.URL+"/large", "there are more than")
	f(server.URL+"/absent?token=secret", "status 404")
	f(server.URL+"/loop?token=secret", "redirected too often")
	f(server.URL+"/stall?token=secret", "context deadline exceeded", "--timeout", "50ms")
	f("http://127.0.0.1:1/?token=secret", "getting the prices from 127.0.0.1:1")
	f("http://[::1/secret", "that is not a URL")
	f(filepath.Join(t.TempDir(), "absent.json"), "no such file")

	elsewhere := filepath.Join(t.TempDir(), "absent", "prices.json")
	got := execute(t, "prices", "fetch", "--from", write(t, "table.json", `{"a": {"models": {"m": {"cost": {"input": 1, "output": 1}}}}}`), "--out", elsewhere)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.stderr, "writing the prices")
}

func TestFetchingNeedsToKnowFromWhereAndWhereTo(t *testing.T) {
	for _, args := range [][]string{{}, {"--from", "litellm"}, {"--out", "prices.json"}} {
		got := execute(t, append([]string{"prices", "fetch"}, args...)...)
		require.Equal(t, result{exitUsage, "", "sluice: --from and --out are required\n"}, got)
	}
	require.Equal(t, exitOK, execute(t, "prices").code)
	require.Len(t, priceTables, 2)
}

func TestFetchedPricesApply(t *testing.T) {
	out := filepath.Join(t.TempDir(), "prices.json")
	table := write(t, "table.json", `{"openai": {"models": {"gpt-99": {"cost": {"input": 1, "output": 2}}}}}`)
	require.Equal(t, exitOK, execute(t, "prices", "fetch", "--from", table, "--out", out).code)
	config := write(t, "config.yaml", pricedConfig+"prices: {file: "+out+"}\n")
	require.Contains(t, execute(t, "prices", "show", "openai/gpt-99", "--config", config).stdout, " file ")
	require.Equal(t, "0.15", prices.Rate(150_000_000).String())
}
