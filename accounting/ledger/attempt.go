package ledger

import (
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// attemptTable has the upstream calls, in the order of attemptRow and scanAttempt.
var attemptTable = &table{name: "attempts", columns: []column{
	{"uid", "bytea"},
	{"n", "integer"},
	{"id", "text"},
	{"provider", "text"},
	{"model", "text"},
	{"phase", "text"},
	{"outcome", "text"},
	{"code", "text"},
	{"status", "integer"},
	{"started_at", "bigint"},
	{"duration_us", "bigint"},
	{"reused", "boolean"},
	{"kind", "text"},
	{"final", "boolean"},
	{"usage_source", "text"},
	{"input", "bigint"},
	{"input_cached", "bigint"},
	{"input_cache_write", "bigint"},
	{"input_audio", "bigint"},
	{"output", "bigint"},
	{"output_reasoning", "bigint"},
	{"output_audio", "bigint"},
	{"service_tier", "text"},
	{"may_bill", "text"},
	{"cost_nano_usd", "bigint"},
	{"cost_low_nano_usd", "bigint"},
	{"cost_high_nano_usd", "bigint"},
	{"close_us", "bigint"},
	{"counts_at", "bigint"},
}}

// attemptColumns are the columns that scanAttempt reads.
var attemptColumns = attemptTable.names()

// attemptRows are the calls of an exchange as rows of attempts, counted from 1.
func attemptRows(r *accounting.Record) [][]any {
	rows := make([][]any, len(r.Attempts))
	for i := range r.Attempts {
		rows[i] = attemptRow(r, i)
	}
	return rows
}

func attemptRow(r *accounting.Record, i int) []any {
	a := &r.Attempts[i]
	u := &a.Usage
	var counts any
	if a.Abandoned() {
		counts = micros(r.Start)
	}
	return []any{
		r.UID[:], int64(i + 1), name(a.ID), name(a.Provider), name(a.Model),
		a.Phase.String(), name(string(a.Outcome)), name(a.Code), small(a.Status),
		micros(a.Start), max(a.Duration, 0).Microseconds(), a.Reused,
		name(a.Kind), a.Final, name(string(a.UsageSource)),
		count(u.Input), count(u.InputCached), count(u.InputCacheWrite), count(u.InputAudio),
		count(u.Output), count(u.OutputReasoning), count(u.OutputAudio),
		name(a.ServiceTier), name(a.MayBill),
		cost(a.CostNanoUSD), cost(a.CostLowNanoUSD), cost(a.CostHighNanoUSD), optional(a.CloseMicros), counts,
	}
}

// attemptKey names a row of attempts.
type attemptKey struct {
	uid accounting.UID
	n   int64
}

// scanAttempt reads a row of attemptColumns.
func scanAttempt(row scanner) (key attemptKey, a accounting.Attempt, err error) {
	var (
		id                      []byte
		started, spent          int64
		phase, outcome, source  string
		in, cached, written     *int64
		inAudio, out, reasoning *int64
		outAudio, countsAt      *int64
	)
	err = row.Scan(
		&id, &key.n, &a.ID, &a.Provider, &a.Model, &phase, &outcome, &a.Code, &a.Status, &started, &spent, &a.Reused,
		&a.Kind, &a.Final, &source, &in, &cached, &written, &inAudio, &out, &reasoning, &outAudio,
		&a.ServiceTier, &a.MayBill, &a.CostNanoUSD, &a.CostLowNanoUSD, &a.CostHighNanoUSD, &a.CloseMicros, &countsAt,
	)
	if err != nil {
		return key, a, err
	}
	copy(key.uid[:], id)
	if err := a.Phase.UnmarshalText([]byte(phase)); err != nil {
		return key, a, err
	}
	a.Outcome, a.UsageSource = accounting.Outcome(outcome), accounting.Source(source)
	a.Start, a.Duration = fromMicros(started), time.Duration(spent)*time.Microsecond
	a.Usage = tokens.Usage{
		Input: counted(in), InputCached: counted(cached), InputCacheWrite: counted(written), InputAudio: counted(inAudio),
		Output: counted(out), OutputReasoning: counted(reasoning), OutputAudio: counted(outAudio),
	}
	return key, a, nil
}
