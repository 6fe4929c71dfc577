package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// usageRig is a configuration and its books, which are open as those of a sluice that runs.
type usageRig struct {
	*testing.T
	config, file string
	ledger       *ledger.Ledger
}

func newUsageRig(t *testing.T) *usageRig {
	t.Helper()
	t.Chdir(t.TempDir())
	r := &usageRig{T: t, file: filepath.Join(t.TempDir(), "ledger.db")}
	r.config = write(t, "config.yaml", "providers: [{name: sim, dialect: sim}]\nledger: 'sqlite://"+r.file+"'\n")
	books, err := ledger.OpenBooks(context.Background(), "sqlite://"+r.file)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, books.Close()) })
	r.ledger, err = ledger.New(context.Background(), ledger.Options{
		Books: books, Instance: "test", Recent: 10, Spool: 1 << 20, SpoolDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.ledger.Close()) })
	return r
}

func (r *usageRig) keep(key, model string, outcome accounting.Outcome, start time.Time, usage tokens.Usage, costs ...int64) {
	r.Helper()
	record := &accounting.Record{
		UID: accounting.NewUID(), ID: "r", Start: start, Key: key, ModelAsked: model, Provider: "sim",
		Outcome: outcome, UsageSource: accounting.SourceReported, Usage: usage,
	}
	for i, into := range []**int64{&record.CostNanoUSD, &record.CostLowNanoUSD, &record.CostHighNanoUSD} {
		if i < len(costs) {
			*into = &costs[i]
		}
	}
	require.NoError(r, r.ledger.Finish(record).Err())
}

func (r *usageRig) run(args ...string) result {
	r.Helper()
	return command{args: append([]string{"usage", "--config", r.config}, args...)}.run(r.Context())
}

// out is what a question that can be answered writes.
func (r *usageRig) out(args ...string) string {
	r.Helper()
	got := r.run(args...)
	require.Equal(r, exitOK, got.code, got.stderr)
	require.Empty(r, got.stderr)
	return got.stdout
}

func used(input, output int64) tokens.Usage {
	return tokens.Usage{Input: tokens.Known(input), Output: tokens.Known(output)}
}

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestUsageShowsATable(t *testing.T) {
	r := newUsageRig(t)
	require.Equal(t, "no exchanges\n", r.out())
	require.Equal(t, "[]\n", r.out("--json"))
	require.Equal(t, "EXCHANGES  INPUT  OUTPUT  COST USD\n        0      0       0      0.00\n", r.out("--by="))

	cached := used(1234567, 20)
	cached.InputCached = tokens.Known(1000000)
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear, cached, 2_500_000_000, 2_500_000_000, 2_500_000_000)
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear, used(1, 2), 1_250_000, 1_250_000, 1_250_000)
	require.Equal(t, `
KEY    MODEL  PROVIDER  EXCHANGES      INPUT     CACHED  OUTPUT  COST USD
alice  fast   sim               2  1,234,568  1,000,000      22   2.50125
`, "\n"+r.out())

	r.keep("alice", "fast", accounting.OutcomeClientGone, newYear, used(5, 6), 300, 200, 400)
	r.keep("bob", "\x1b[31mred", accounting.OutcomeCrash, newYear, used(10, 0), 7000, 0)
	r.keep("", "deep", accounting.OutcomeCompleted, newYear.Add(time.Hour), tokens.Usage{})
	r.keep("", "fast", accounting.OutcomeCompleted, newYear.Add(time.Hour), tokens.Usage{})
	r.keep("", "fast", accounting.OutcomeCompleted, newYear.Add(25*time.Hour), used(1, 1), 0, 0, 0)
	require.Equal(t, `
KEY     MODEL          PROVIDER  EXCHANGES      INPUT     CACHED  OUTPUT    COST USD                  MAY BE
(none)  deep           sim               1          0          0       0    unknown+
(none)  fast           sim               2          1          0       1  0.0000000+
alice   fast           sim               3  1,234,573  1,000,000      28  2.5012503   2.5012502 to 2.5012504
bob     "\x1b[31mred"  sim               1         10          0       0  0.0000070        0.0000000 or more
total                                    7  1,234,584  1,000,000      29  2.5012573+       2.5012502 or more

+ 2 exchanges without a known price, which are not in the cost
`, "\n"+r.out())
}

func TestUsageShowsWhatWasAbandoned(t *testing.T) {
	r := newUsageRig(t)
	abandoned := func(provider string, cost *int64) accounting.Attempt {
		return accounting.Attempt{
			ID: "a", Provider: provider, Start: newYear, Outcome: accounting.OutcomeUpstreamTimeout, Usage: used(100, 0),
			UsageSource: accounting.SourceEstimated, MayBill: accounting.MayBillPartial,
			CostNanoUSD: cost, CostLowNanoUSD: cost, CostHighNanoUSD: cost,
		}
	}
	cost, other := int64(5_000_000), int64(1_000_000)
	for _, attempts := range [][]accounting.Attempt{{abandoned("azure", &other)}, {abandoned("own", nil), abandoned("azure", &other)}, nil} {
		require.NoError(t, r.ledger.Finish(&accounting.Record{
			UID: accounting.NewUID(), ID: "r", Start: newYear, Provider: "openai", ModelAsked: "fast", Outcome: accounting.OutcomeCompleted,
			UsageSource: accounting.SourceReported, Usage: used(100, 10), CostNanoUSD: &cost, CostLowNanoUSD: &cost, CostHighNanoUSD: &cost,
			Attempts: append(attempts, accounting.Attempt{ID: "b", Provider: "openai", Start: newYear, Final: true}),
		}).Err())
	}
	require.Equal(t, `
PROVIDER  EXCHANGES  INPUT  OUTPUT  ABANDONED  COST USD  OF IT ABANDONED
azure             0    200       0          2    0.002             0.002
openai            3    300      30          0    0.015             0.000
own               0    100       0          1  unknown+            0.000
total             3    600      30          3    0.017+            0.002

+ 1 call without a known price, which are not in the cost
`, "\n"+r.out("--by", "provider"))
	require.Contains(t, r.out("--by=", "--json"), `"abandoned":3,"abandoned_cost_nano_usd":2000000}`)
	require.Contains(t, r.out("--by=outcome", "--csv"), ",3,2000000\n")
}

func TestUsageAnswersInJSONAndCSV(t *testing.T) {
	r := newUsageRig(t)
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear, used(10, 20), 5, 4, 6)
	r.keep("alice", "a,\"b\"", accounting.OutcomeClientGone, newYear.Add(time.Hour), used(1, 2), 7, 7)
	r.keep("bob", "fast", accounting.OutcomeCompleted, newYear.Add(36*time.Hour), used(3, 4))

	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.out("--by", "outcome", "--json")), &rows))
	require.Len(t, rows, 2)
	require.Equal(t, map[string]any{
		"outcome": "client_gone", "exchanges": 1.0, "input": 1.0, "input_cached": 0.0, "input_cache_write": 0.0, "input_audio": 0.0,
		"output": 2.0, "output_reasoning": 0.0, "output_audio": 0.0, "cost_nano_usd": 7.0, "cost_low_nano_usd": 7.0,
		"cost_high_nano_usd": 7.0, "unpriced": 0.0, "unbounded": 1.0, "abandoned": 0.0, "abandoned_cost_nano_usd": 0.0,
	}, rows[0])
	require.Equal(t, "completed", rows[1]["outcome"])
	require.Equal(t, 2.0, rows[1]["exchanges"])

	require.Equal(t, `day,model,exchanges,input,input_cached,input_cache_write,input_audio,output,output_reasoning,output_audio,cost_nano_usd,cost_low_nano_usd,cost_high_nano_usd,unpriced,unbounded,abandoned,abandoned_cost_nano_usd
2026-01-01,"a,""b""",1,1,0,0,0,2,0,0,7,7,7,0,1,0,0
2026-01-01,fast,1,10,0,0,0,20,0,0,5,4,6,0,0,0,0
2026-01-02,fast,1,3,0,0,0,4,0,0,0,0,0,1,0,0,0
`, r.out("--by", "day,model", "--csv"))
	require.Equal(t, r.out("--by", "day,model", "--csv"), r.out("--by", "day", "--by", "model", "--csv"))
}

func TestUsageKeepsToWhatWasAskedFor(t *testing.T) {
	r := newUsageRig(t)
	now := time.Now()
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear, used(1, 0), 0)
	r.keep("alice", "deep", accounting.OutcomeCrash, newYear.Add(12*time.Hour), used(2, 0), 0)
	r.keep("", "fast", accounting.OutcomeCompleted, newYear.Add(36*time.Hour), used(4, 0), 0)
	r.keep("bob", "fast", accounting.OutcomeCompleted, now.Add(-2*time.Hour), used(8, 0), 0)
	f := func(input int64, args ...string) {
		t.Helper()
		var rows []ledger.Usage
		require.NoError(t, json.Unmarshal([]byte(r.out(append(args, "--by=", "--json")...)), &rows))
		require.Len(t, rows, 1)
		require.Equal(t, input, rows[0].Input, "%v", args)
	}
	f(15)
	f(3, "--key", "alice")
	f(11, "--key", "alice", "--key", "bob")
	f(4, "--key", "")
	f(13, "--model", "fast")
	f(2, "--outcome", "crash")
	f(15, "--provider", "sim")
	f(0, "--provider", "openai")
	f(14, "--since", "2026-01-01T12:00:00Z")
	f(3, "--since", "2026-01-01", "--until", "2026-01-02")
	f(1, "--until", "2026-01-01T14:00:00+02:00")
	f(8, "--since", "24h")
	f(8, "--since", "1d")
	f(0, "--since", "60m")
	f(7, "--until", "3h")
}

func TestUsageRefusesWhatItDoesNotUnderstand(t *testing.T) {
	r := newUsageRig(t)
	f := func(want string, args ...string) {
		t.Helper()
		got := r.run(args...)
		require.Equal(t, exitUsage, got.code)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, "sluice: "+want)
	}
	f(`--by: "hour" is not one of day, key, model, provider, outcome, usage_source`, "--by", "key,hour")
	f("key is asked for twice", "--by", "key,key")
	f(`--outcome: "complete" is not one of completed, client_gone`, "--outcome", "complete")
	f(`--since: "yesterday" must be a time as`, "--since", "yesterday")
	f(`--until: "-7d" must be a time as`, "--until", "-7d")
	f("--until must be later than --since", "--since", "2026-01-02", "--until", "2026-01-02")
	f("if any flags in the group [json csv] are set none of the others can be", "--json", "--csv")
}

func TestUsageSaysThatThereAreNoBooksYet(t *testing.T) {
	t.Chdir(t.TempDir())
	folder := t.TempDir()
	file := filepath.Join(folder, "state", "ledger.db")
	config := write(t, "config.yaml", "providers: [{name: sim, dialect: sim}]\nledger: 'sqlite://"+file+"'\n")
	f := func(want string, args ...string) {
		t.Helper()
		got := command{args: append([]string{"usage", "--config", config}, args...)}.run(t.Context())
		require.Equal(t, exitUsage, got.code)
		require.Equal(t, want, got.stdout)
		require.Equal(t, "sluice: no books yet at "+file+": sluice makes them when it first serves with this configuration\n", got.stderr)
	}
	f("")
	f("[]\n", "--json")
	f(newUsageRig(t).out("--csv", "--by", "outcome"), "--csv", "--by", "outcome")
	_, err := os.Stat(filepath.Dir(file))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestUsageFindsTheBooksWithoutAConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	state := t.TempDir()
	c := command{args: []string{"usage"}, env: map[string]string{"STATE_DIRECTORY": state}}
	got := c.run(t.Context())
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "no books yet at "+state)
	books, err := ledger.OpenBooks(t.Context(), "sqlite://"+filepath.Join(state, "ledger.db"))
	require.NoError(t, err)
	require.NoError(t, books.Close())
	require.Equal(t, "no exchanges\n", c.run(t.Context()).stdout)
}

func TestUsageOfALedgerInMemoryCannotBeRead(t *testing.T) {
	got := execute(t, "usage", "--config", write(t, "config.yaml", "providers: [{name: sim, dialect: sim}]\nledger: memory\n"))
	require.Equal(t, exitUsage, got.code)
	require.Equal(t, "sluice: this configuration keeps its ledger in memory, which ends with the process: there are no books to read\n", got.stderr)
}

func TestUsageOfADatabaseThatDoesNotAnswerIsAFailure(t *testing.T) {
	const url = "postgres://sluice:CANARY@127.0.0.1:1/sluice?sslmode=disable"
	got := execute(t, "usage", "--config", write(t, "config.yaml", "providers: [{name: sim, dialect: sim}]\nledger: '"+url+"'\n"))
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.stderr, "sluice: opening the ledger: ")
	require.NotContains(t, got.stderr, "CANARY")
}

func TestUsageNotesWhatIsMissing(t *testing.T) {
	r := newUsageRig(t)
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear.Add(time.Hour), used(1, 0), 0)
	r.keep("alice", "fast", accounting.OutcomeCompleted, newYear.Add(5*time.Hour), used(1, 0), 0)
	books, err := ledger.OpenBooks(t.Context(), "sqlite://"+r.file)
	require.NoError(t, err)
	defer func() { require.NoError(t, books.Close()) }()
	_, err = books.Prune(t.Context(), ledger.Retention{Records: time.Hour, Now: newYear.Add(4 * time.Hour)})
	require.NoError(t, err)
	got := r.run("--since", "2026-01-01T00:30:00Z", "--json")
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.stderr, "only a part of 2026-01-01 was asked for, and not all of its records are left")
	require.Contains(t, got.stdout, `"exchanges":1`)
}

func TestAmountsAreWrittenInFull(t *testing.T) {
	f := func(want string, nanos int64, decimals int) {
		t.Helper()
		require.Equal(t, want, dollars(nanos, decimals))
	}
	f("0.00", 0, 2)
	f("0.000000001", 1, 9)
	f("-1,234.50", -1_234_500_000_000, 2)
	f("9,223,372,036.854775807", 1<<63-1, 9)
	require.Equal(t, "999", thousands(999))
	require.Equal(t, "-999", thousands(-999))
	require.Equal(t, "1,000,000", thousands(1_000_000))
	require.Equal(t, "1 exchange", plural(1, "exchange"))
	require.Equal(t, "1,000 exchanges", plural(1000, "exchange"))
	require.Equal(t, `"\u202egpj"`, readable("\u202egpj"))
	require.Equal(t, "模型 1", readable("模型 1"))
	require.True(t, strings.Contains(outcomeNames(), "crash"))
}
