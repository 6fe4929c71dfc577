package ledger

import (
	"time"

	"github.com/sluicehq/sluice/accounting"
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
}}

// attemptColumns are the columns that scanAttempt reads.
var attemptColumns = attemptTable.names()

// attemptRow is the n-th call of an exchange, counted from 1, as a row of attempts.
func attemptRow(uid accounting.UID, n int, a *accounting.Attempt) []any {
	return []any{
		uid[:], int64(n), name(a.ID), name(a.Provider), name(a.Model),
		a.Phase.String(), name(string(a.Outcome)), name(a.Code), small(a.Status),
		micros(a.Start), max(a.Duration, 0).Microseconds(), a.Reused,
	}
}

// scanAttempt reads a row of attemptColumns.
func scanAttempt(row scanner) (uid accounting.UID, a accounting.Attempt, err error) {
	var (
		id                []byte
		n, started, spent int64
		phase, outcome    string
	)
	if err := row.Scan(&id, &n, &a.ID, &a.Provider, &a.Model, &phase, &outcome, &a.Code, &a.Status, &started, &spent, &a.Reused); err != nil {
		return uid, a, err
	}
	copy(uid[:], id)
	if err := a.Phase.UnmarshalText([]byte(phase)); err != nil {
		return uid, a, err
	}
	a.Outcome, a.Start, a.Duration = accounting.Outcome(outcome), fromMicros(started), time.Duration(spent)*time.Microsecond
	return uid, a, nil
}
