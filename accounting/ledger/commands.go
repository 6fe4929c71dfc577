package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/accounting"
)

var (
	uidColumn      = column{"uid", "bytea"}
	instanceColumn = column{"instance", "text"}
)

// intentTable has the calls that may run.
var intentTable = &table{name: "intents", columns: []column{
	uidColumn, {"attempt_id", "text"}, instanceColumn, {"started_at", "bigint"}, {"intent", "text"},
}}

// checkpointTable has how far the exchanges of each process have come.
var checkpointTable = &table{name: "checkpoints", columns: []column{
	instanceColumn, {"taken_at", "bigint"}, {"running", "text"},
}}

// insertIntents leaves out exchanges that have a record: an intent that comes late, from
// the spool, must not open them again.
var insertIntents = &command{
	sqlite: "INSERT INTO intents (uid, attempt_id, instance, started_at, intent) SELECT ?1, ?2, ?3, ?4, ?5" +
		" WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE uid = ?1) ON CONFLICT DO NOTHING",
	postgres: "INSERT INTO intents (uid, attempt_id, instance, started_at, intent)" +
		" SELECT given.* FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::text[])" +
		" AS given (uid, attempt_id, instance, started_at, intent)" +
		" WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE exchanges.uid = given.uid) ON CONFLICT DO NOTHING",
	kinds: intentTable.kinds(),
}

var (
	deleteIntents  = deleteFrom("intents", []column{uidColumn}, "", "")
	deleteIntent   = deleteFrom("intents", intentTable.columns[:2], "", "")
	insertExchange = insertInto(exchangeTable, "ON CONFLICT (uid) DO NOTHING RETURNING uid")
	insertAttempts = insertInto(attemptTable, "ON CONFLICT DO NOTHING")
	deleteAttempts = deleteFrom("attempts", []column{uidColumn}, "", "RETURNING "+attemptTable.qualified())

	// The record of a crash is a verdict that was wrong if another record comes after it.
	deleteCrash    = deleteFrom("exchanges", []column{uidColumn}, "outcome = 'crash'", returningSums)
	deleteExchange = deleteFrom("exchanges", []column{uidColumn}, "", returningSums)

	upsertCheckpoint = insertInto(checkpointTable, "ON CONFLICT (instance) DO UPDATE SET taken_at = excluded.taken_at, running = excluded.running")
)

// upsertInstance says that a process lives, by the clock of the database.
var upsertInstance = &command{
	sqlite: "INSERT INTO instances (instance, started_at, seen_at)" +
		" SELECT ?1, " + clocks[SQLite] + ", " + clocks[SQLite] +
		" WHERE true ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at",
	postgres: "INSERT INTO instances (instance, started_at, seen_at)" +
		" SELECT given, " + clocks[PostgreSQL] + ", " + clocks[PostgreSQL] + " FROM unnest($1::text[]) AS given" +
		" ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at",
	kinds: []string{"text"},
}

// clocks are the time of the engines in microseconds since 1970.
var clocks = map[Engine]string{
	SQLite:     "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
	PostgreSQL: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}

// What a process has said of itself goes when none of its exchanges is open any more.
var (
	forgetCheckpoint = deleteFrom("checkpoints", []column{instanceColumn},
		"NOT EXISTS (SELECT 1 FROM intents WHERE intents.instance = checkpoints.instance)", "")
	forgetInstance = deleteFrom("instances", []column{instanceColumn},
		"NOT EXISTS (SELECT 1 FROM intents WHERE intents.instance = instances.instance)", "")
	deleteInstance = deleteFrom("instances", []column{instanceColumn}, "", "")
)

// returningSums are the columns that scanSums reads.
const returningSums = "RETURNING exchanges.uid, exchanges.day, exchanges.key, exchanges.model, exchanges.provider," +
	" exchanges.outcome, exchanges.usage_source, exchanges.input, exchanges.input_cached," +
	" exchanges.input_cache_write, exchanges.input_audio, exchanges.output, exchanges.output_reasoning," +
	" exchanges.output_audio, exchanges.cost_nano_usd, exchanges.cost_low_nano_usd, exchanges.cost_high_nano_usd"

// scanSums reads what an exchange that is there no more had added.
func scanSums(row scanner) (uid accounting.UID, g group, t totals, err error) {
	var (
		id              []byte
		counts          [7]*int64
		cost, low, high *int64
	)
	err = row.Scan(&id, &g.day, &g.key, &g.model, &g.provider, &g.outcome, &g.source,
		&counts[0], &counts[1], &counts[2], &counts[3], &counts[4], &counts[5], &counts[6], &cost, &low, &high)
	if err != nil {
		return uid, g, t, err
	}
	copy(uid[:], id)
	t.exchanges = 1
	for i, into := range []*int64{
		&t.input, &t.inputCached, &t.inputCacheWrite, &t.inputAudio, &t.output, &t.outputReasoning, &t.outputAudio,
	} {
		if counts[i] != nil {
			*into = *counts[i]
		}
	}
	t.price(cost, low, high)
	return uid, g, t, nil
}

// intentRow is an intent as a row of intents.
func intentRow(e *entry) ([]any, error) {
	content, err := json.Marshal(e.intent)
	if err != nil {
		return nil, fmt.Errorf("encoding an intent: %w", err)
	}
	return []any{e.intent.UID[:], name(e.intent.AttemptID), e.instance, micros(e.intent.Start), text(string(content))}, nil
}
