package ledger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// patience bounds what a test waits for.
const patience = 60 * time.Second

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// rig is a database with ledgers on it.
type rig struct {
	testing.TB
	url  string
	dir  string // of the spools
	book *Books // to look at what is kept
}

func newRig(tb testing.TB, url string) *rig {
	tb.Helper()
	r := &rig{TB: tb, url: url, dir: tb.TempDir()}
	r.book = r.open()
	return r
}

func (r *rig) open() *Books {
	r.Helper()
	b, err := OpenBooks(context.Background(), r.url)
	require.NoError(r, err)
	r.Cleanup(func() { require.NoError(r, b.Close()) })
	return b
}

func (r *rig) options() Options {
	return Options{
		Books: r.open(), Instance: "test", Recent: 1000, Spool: 64 << 20, SpoolDir: r.dir, Logger: quiet,
		CommitTimeout: patience, // a busy machine is no outage
	}
}

// ledger returns one that is closed at the end of the test.
func (r *rig) ledger(change ...func(*Options)) *Ledger {
	r.Helper()
	options := r.options()
	for _, f := range change {
		f(&options)
	}
	l, err := New(context.Background(), options)
	require.NoError(r, err)
	r.Cleanup(func() { _ = l.Close() })
	return l
}

func sqliteURL(tb testing.TB) string { return "sqlite://" + tb.TempDir() + "/ledger.db" }

// settledWith waits for a receipt and returns what came of it.
func settledWith(tb testing.TB, r *accounting.Receipt) error {
	tb.Helper()
	select {
	case <-r.Done():
		return r.Err()
	case <-time.After(patience):
		require.Fail(tb, "a receipt is not settled")
		return nil
	}
}

func kept(tb testing.TB, r *accounting.Receipt) {
	tb.Helper()
	require.NoError(tb, settledWith(tb, r))
}

var started = time.Date(2026, 3, 4, 23, 59, 59, 123456000, time.UTC)

func intentOf(uid accounting.UID, attempt int) accounting.Intent {
	id := uid.String()
	return accounting.Intent{
		UID: uid, ID: id, AttemptID: fmt.Sprintf("%s.%d", id, attempt), Start: started,
		Key: "team", ModelAsked: "fast", Model: "gpt-4o-mini", Provider: "openai", Target: "openai/gpt-4o-mini",
		DialectIn: "openai", DialectOut: "openai", Endpoint: "/v1/chat/completions", Stream: true,
		PromptBytes: 4000, MayBill: accounting.MayBillPartial,
	}
}

func recordOf(uid accounting.UID) *accounting.Record {
	cost := int64(1_234_567)
	id := uid.String()
	return &accounting.Record{
		UID: uid, ID: id, Start: started, ToHeaders: 80 * time.Millisecond, ToFirstToken: 120 * time.Millisecond, Total: 3 * time.Second,
		Key: "team", ModelAsked: "fast", ModelServed: "gpt-4o-mini-2024-07-18", Provider: "openai", Target: "openai/gpt-4o-mini",
		DialectIn: "openai", DialectOut: "openai", Endpoint: "/v1/chat/completions", Stream: true,
		Phase: accounting.PhaseTail, Outcome: accounting.OutcomeCompleted, StatusDownstream: 200, StatusUpstream: 200,
		Chunks: 257, BytesDelivered: 64 << 10, Delivered: true,
		Usage:       tokens.Usage{Input: tokens.Known(1024), InputCached: tokens.Known(0), Output: tokens.Known(256)},
		UsageSource: accounting.SourceReported, RawUsage: []byte(`{"prompt_tokens":1024,"completion_tokens":256,"total_tokens":1280}`),
		MayBill: accounting.MayBillFull, CostNanoUSD: &cost, CostLowNanoUSD: &cost, CostHighNanoUSD: &cost,
		FinishReasons: []string{"stop"}, UpstreamRequestID: "req_" + id,
		Attempts: []accounting.Attempt{{
			ID: id + ".1", Provider: "openai", Model: "gpt-4o-mini", Phase: accounting.PhaseTail,
			Outcome: accounting.OutcomeCompleted, Status: 200, Start: started, Duration: 3 * time.Second, Reused: true,
			Kind: accounting.AttemptFirst, Final: true,
		}},
	}
}

// number is the answer to a query that has one.
func (r *rig) number(query string, args ...any) (n int64) {
	r.Helper()
	require.NoError(r, r.book.db.QueryRow(r.book.rebind(query), args...).Scan(&n))
	return n
}

func (r *rig) outcomes() map[string]int64 {
	r.Helper()
	rows, err := r.book.db.Query("SELECT outcome, COUNT(*) FROM exchanges GROUP BY outcome")
	require.NoError(r, err)
	defer func() { _ = rows.Close() }()
	out := make(map[string]int64)
	for rows.Next() {
		var outcome string
		var n int64
		require.NoError(r, rows.Scan(&outcome, &n))
		out[outcome] = n
	}
	require.NoError(r, rows.Err())
	return out
}

// balanced checks what must hold at any time: the sums of the days are those of the
// exchanges, and no exchange with a record is open.
func (r *rig) balanced() {
	r.Helper()
	sum := func(query string) string {
		rows, err := r.book.db.Query(query)
		require.NoError(r, err)
		defer func() { _ = rows.Close() }()
		var out strings.Builder
		for rows.Next() {
			values := make([]any, 6+len(sumColumns))
			into := make([]any, len(values))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(r, rows.Scan(into...))
			_, _ = fmt.Fprintln(&out, values...)
		}
		require.NoError(r, rows.Err())
		return out.String()
	}
	require.Equal(r,
		sum(recountedSums+" ORDER BY "+groupColumns),
		sum("SELECT * FROM usage_daily ORDER BY "+groupColumns))
	require.Zero(r, r.number("SELECT COUNT(*) FROM intents WHERE EXISTS (SELECT 1 FROM exchanges WHERE exchanges.uid = intents.uid)"), "open and closed at once")
	require.Zero(r, r.number("SELECT COUNT(*) FROM attempts WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE exchanges.uid = attempts.uid)"), "calls without an exchange")
}

// metricOf is the value of a counter.
func metricOf(tb testing.TB, c prometheus.Collector) int {
	tb.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(tb, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(tb, err)
	return int(metric(tb, registry, families[0].GetName()))
}
