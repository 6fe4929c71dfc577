package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// keepExchanges puts exchanges of 1,000 tokens in and 100 out into new books, each without
// a cost and with some attempts, and returns a configuration that has them.
func keepExchanges(t *testing.T, attempts []accounting.Attempt, starts ...time.Time) (config string) {
	t.Helper()
	folder := t.TempDir()
	url := "sqlite://" + filepath.Join(folder, "ledger.db")
	books, err := ledger.OpenBooks(t.Context(), url)
	require.NoError(t, err)
	kept, err := ledger.New(t.Context(), ledger.Options{
		Books: books, Instance: "test", Recent: 10, Spool: 1 << 20, SpoolDir: folder, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(t, err)
	for _, start := range starts {
		require.NoError(t, kept.Finish(&accounting.Record{
			UID: accounting.NewUID(), ID: "x", Start: start, Provider: "openai", ModelAsked: "fast", ModelServed: "gpt-4o-mini",
			Outcome: accounting.OutcomeCompleted, UsageSource: accounting.SourceReported,
			Usage:    tokens.Usage{Input: tokens.Known(1000), Output: tokens.Known(100)},
			Attempts: attempts,
		}).Err())
	}
	require.NoError(t, kept.Close())
	require.NoError(t, books.Close())
	return write(t, "config.yaml", pricedConfig+"ledger: "+url+"\n")
}

func TestRepricingTheBooks(t *testing.T) {
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	config := keepExchanges(t, nil, day, day.Add(24*time.Hour), day.Add(48*time.Hour))
	f := func(want string, args ...string) {
		t.Helper()
		got := execute(t, append([]string{"reprice", "--config", config}, args...)...)
		require.Equal(t, result{exitOK, want, ""}, got)
	}
	// Each is 1,000 * 150 + 100 * 600 = 210,000 nano-USD.
	f("3 exchanges looked at, 3 would be given another cost\nnow:  0 USD, and 3 exchanges without a price\nthen: 0.00063 USD\n", "--dry-run")
	f("1 exchange looked at, 1 given another cost\n", "--since", "2026-11-21", "--until", "2026-11-22")
	f("3 exchanges looked at, 2 would be given another cost\nnow:  0.00021 USD, and 2 exchanges without a price\nthen: 0.00063 USD\n", "--dry-run")
	f("3 exchanges looked at, 2 given another cost\n")
	f("3 exchanges looked at, 0 given another cost\n")
	f("0 exchanges looked at, 0 given another cost\n", "--until", "2026-11-20T00:00:00Z")
}

func TestRepricingAbandonedAttempts(t *testing.T) {
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	config := keepExchanges(t, []accounting.Attempt{{
		ID: "x-1", Provider: "openai", Model: "gpt-4o-mini", Start: day, UsageSource: accounting.SourceEstimated,
		Usage: tokens.Usage{Input: tokens.Known(1000), Output: tokens.Known(0)}, MayBill: accounting.MayBillPartial,
	}, {ID: "x-2", Provider: "openai", Start: day, Final: true}}, day, day.Add(time.Hour))
	f := func(want string, args ...string) {
		t.Helper()
		require.Equal(t, result{exitOK, want, ""}, execute(t, append(args, "--config", config)...))
	}
	// Each is 210,000 nano-USD and 1,000 * 150 for the attempt.
	f("2 exchanges looked at, 2 would be given another cost\nnow:  0 USD, and 2 exchanges and 2 abandoned attempts without a price\nthen: 0.00072 USD\n",
		"reprice", "--dry-run")
	f("2 exchanges looked at, 2 given another cost\n", "reprice")
	f("2 exchanges looked at, 0 given another cost\n", "reprice")
	f("EXCHANGES  INPUT  OUTPUT  ABANDONED  COST USD  OF IT ABANDONED\n        2  4,000     200          2   0.00072          0.00030\n", "usage", "--by=")
}

func TestRepricingNeedsBooks(t *testing.T) {
	f := func(config, want string, args ...string) {
		t.Helper()
		got := execute(t, append([]string{"reprice", "--config", write(t, "config.yaml", config)}, args...)...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, want)
		require.Empty(t, got.stdout)
	}
	absent := filepath.Join(t.TempDir(), "ledger.db")
	f(pricedConfig+"ledger: sqlite://"+absent+"\n", "no books yet at "+absent)
	require.NoFileExists(t, absent)
	f(pricedConfig+"ledger: 'memory:'\n", "in memory")
	f(pricedConfig, `--since: "yesterday" must be a time`, "--since", "yesterday")
	f(pricedConfig, `--until: "7x" must be a time`, "--until", "7x")
	f(pricedConfig, "--until must be later than --since", "--since", "2026-01-02", "--until", "2026-01-01")
}
