package accounting

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// contestedRecord is fullRecord with a first attempt that was refused, one that was abandoned
// for being slow, and the one that the client got.
func contestedRecord() *Record {
	r := fullRecord()
	cost, high, closed := int64(500), int64(900), int64(12)
	start := r.Start.Add(time.Millisecond)
	final := r.Attempts[0]
	final.ID, final.Kind, final.Final = "req-1.3", AttemptHedge, true
	r.Attempts = []Attempt{
		{
			ID: "req-1.1", Provider: "sim", Model: "a", Kind: AttemptFirst, Phase: PhaseAwaitHeaders, Outcome: OutcomeUpstreamError,
			Status: 429, Start: start, Code: "upstream_rate_limited", UsageSource: SourceNone, MayBill: MayBillNone,
		},
		{
			ID: "req-1.2", Provider: "sim", Model: "b", Kind: AttemptRetry, Phase: PhaseAwaitToken, Outcome: OutcomeUpstreamTimeout,
			Status: 200, Start: start, Duration: time.Second, Code: "upstream_timeout", UsageSource: SourceEstimated, MayBill: MayBillUnknown,
			Usage:       tokens.Usage{Input: tokens.Known(100), Output: tokens.Known(0)},
			CostNanoUSD: &cost, CostLowNanoUSD: new(int64), CostHighNanoUSD: &high, ServiceTier: "flex", CloseMicros: &closed,
		},
		final,
	}
	return r
}

func TestRecordWithSeveralAttemptsSurvivesJSON(t *testing.T) {
	b, err := json.Marshal(contestedRecord())
	require.NoError(t, err)
	var back Record
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, *contestedRecord(), back)

	var members struct{ Attempts []map[string]any }
	require.NoError(t, json.Unmarshal(b, &members))
	require.NotContains(t, members.Attempts[0], "usage", "what is absent is left out")
	require.NotContains(t, members.Attempts[0], "final")
	require.Equal(t, 100.0, members.Attempts[1]["usage"].(map[string]any)["input"])
	require.Equal(t, true, members.Attempts[2]["final"])
	require.Equal(t, "hedge", members.Attempts[2]["kind"])
}

func TestAttemptIsAbandonedWhenItMayHaveUsedWhatNobodyGot(t *testing.T) {
	f := func(want bool, a Attempt) {
		t.Helper()
		require.Equal(t, want, a.Abandoned())
	}
	used := tokens.Usage{Input: tokens.Known(0)}
	f(false, Attempt{})
	f(false, Attempt{MayBill: MayBillNone, UsageSource: SourceNone})
	f(true, Attempt{MayBill: MayBillUnknown})
	f(true, Attempt{MayBill: MayBillPartial, Usage: used})
	f(true, Attempt{MayBill: MayBillNone, Usage: used})
	f(false, Attempt{MayBill: MayBillPartial, Usage: used, Final: true})
}

func TestRecordKnowsWhatAllItsAttemptsHaveUsed(t *testing.T) {
	f := func(r *Record, tokens, nanos int64) {
		t.Helper()
		gotTokens, gotNanos := r.Used()
		require.Equal(t, [2]int64{tokens, nanos}, [2]int64{gotTokens, gotNanos})
	}
	f(&Record{}, 0, 0)
	f(fullRecord(), 46, 1_234_567)
	r := contestedRecord()
	f(r, 146, 1_235_067)
	require.EqualValues(t, 500, r.AbandonedCost())
	r.CostNanoUSD, r.Attempts[1].CostNanoUSD = nil, nil
	f(r, 146, 0)
	r.Attempts[1].Final = true // then it is in the record
	f(r, 46, 0)
}

func TestMemoryKeepsAllAttempts(t *testing.T) {
	m := NewMemory(4)
	r := contestedRecord()
	r.UID = NewUID()
	require.NoError(t, m.Finish(r).Err())
	got, found := m.Get(t.Context(), r.ID)
	require.True(t, found)
	require.Equal(t, contestedRecord().Attempts, got.Attempts)
}

func TestAbandonedAttemptsFeedTheMetricsOfTheirProvider(t *testing.T) {
	m := testMetrics()
	m.Exchange(contestedRecord(), 0)
	unpriced := contestedRecord()
	unpriced.Attempts[1].CostNanoUSD = nil
	m.Exchange(unpriced, 0)
	got := samples(t, m)
	require.Equal(t, map[string]float64{
		`sluice_attempts_total{kind="first",model="fast",outcome="upstream_error",provider="sim"}`:   2,
		`sluice_attempts_total{kind="retry",model="fast",outcome="upstream_timeout",provider="sim"}`: 2,
		`sluice_attempts_total{kind="hedge",model="fast",outcome="client_gone",provider="openai"}`:   2,
	}, family(got, "sluice_attempts_total"))
	require.Equal(t, map[string]float64{
		`sluice_requests_total{code="200",model="fast",outcome="client_gone",provider="openai"}`: 2,
	}, family(got, "sluice_requests_total"), "an exchange is one, however many attempts it has")
	require.InDelta(t, 200, got[`sluice_tokens_total{model="fast",provider="sim",source="estimated",type="input"}`], 0)
	require.InDelta(t, 24, got[`sluice_tokens_total{model="fast",provider="openai",source="running",type="input"}`], 0)
	require.InDelta(t, 500e-9, got[`sluice_cost_usd_total{model="fast",provider="sim"}`], 1e-15)
	require.InDelta(t, 1, got[`sluice_unpriced_total{model="fast",provider="sim"}`], 0)
	require.Empty(t, family(got, `sluice_unpriced_total{model="fast",provider="openai"}`))
}

func TestLogLineSaysWhatBecameOfEachAttempt(t *testing.T) {
	line := func(r *Record) map[string]any {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("exchange", "record", r)
		var line struct{ Record map[string]any }
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		return line.Record
	}
	r := contestedRecord()
	r.UID = NewUID()
	got := line(r)
	require.Equal(t, r.UID.String(), got["uid"])
	require.EqualValues(t, 3, got["attempts"])
	require.Equal(t, "first sim/a upstream_error upstream_rate_limited 429, retry sim/b upstream_timeout 200, "+
		"hedge openai/gpt-4o-mini client_gone 200", got["attempt_list"])
	require.EqualValues(t, 500, got["abandoned_cost_nano_usd"])

	r.Attempts = r.Attempts[2:]
	got = line(r)
	require.EqualValues(t, 1, got["attempts"])
	require.NotContains(t, got, "attempt_list")
	require.NotContains(t, got, "abandoned_cost_nano_usd")
}
