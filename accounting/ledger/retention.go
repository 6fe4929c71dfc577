package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// Retention is how long things are kept. Zero keeps them for ever.
type Retention struct {
	// Records is for exchanges and their attempts, by the time at which they began. The
	// sums of their days stay for ever.
	Records time.Duration
	// Captures is for prompts and answers, by the time at which they were captured.
	Captures time.Duration
	// Now is the time to count from.
	Now time.Time
}

// Pruned is what retention has removed.
type Pruned struct {
	Exchanges, Attempts, Captures int64
	// FreedBytes is what the file of SQLite has shrunk by. PostgreSQL keeps its own house.
	FreedBytes int64
}

// shelf is a table of which old rows are removed, with the rows of another one that
// belong to them, and how many at once: a transaction should not take longer than a few
// milliseconds, since the writer of SQLite waits for it.
type shelf struct {
	table, moment, with string
	batch               int
}

var (
	recordShelf  = shelf{table: "exchanges", moment: "started_at", with: "attempts", batch: 500}
	captureShelf = shelf{table: "captures", moment: "captured_at", batch: 50}
)

// errBusy means that another replica removes old rows at this moment.
var errBusy = errors.New("another replica is at it")

// Prune removes what is older than it is to be kept, in small transactions with pauses
// between them, and gives the room back that the SQLite file no longer needs. Where
// another replica is at the same work it is left to it. What was removed before an error
// is told with it.
func (b *Books) Prune(ctx context.Context, r Retention) (Pruned, error) {
	var p Pruned
	err := b.prune(ctx, r, &p)
	if errors.Is(err, errBusy) {
		err = nil
	}
	if err != nil {
		return p, fmt.Errorf("removing old records: %w", redact(err))
	}
	return p, nil
}

func (b *Books) prune(ctx context.Context, r Retention, p *Pruned) error {
	if r.Records > 0 {
		if err := b.clear(ctx, recordShelf, r.Now.Add(-r.Records), &p.Exchanges, &p.Attempts); err != nil {
			return err
		}
	}
	if r.Captures > 0 {
		if err := b.clear(ctx, captureShelf, r.Now.Add(-r.Captures), &p.Captures, nil); err != nil {
			return err
		}
	}
	if b.engine != SQLite {
		return nil
	}
	var err error
	p.FreedBytes, err = b.shrink(ctx, sparePages)
	return err
}

// clear removes the rows of a shelf from before a moment, and counts them and those that
// belonged to them.
func (b *Books) clear(ctx context.Context, s shelf, before time.Time, rows, belonging *int64) error {
	from := int64(math.MinInt64)
	for {
		began := time.Now()
		batch, found, err := b.nextBatch(ctx, s, from, micros(before))
		if err != nil || found == 0 {
			return err
		}
		removed, with, err := b.clearBatch(ctx, s, batch)
		if err != nil {
			return err
		}
		*rows += removed
		if belonging != nil {
			*belonging += with
		}
		if found < s.batch {
			return nil
		}
		if err := rest(ctx, time.Since(began)); err != nil {
			return err
		}
		from = batch.until
	}
}

// nextBatch is the time of the oldest rows, a batch at most unless more have the time of
// the last one, and how many it has found. It only reads, so that a round with nothing to
// do stops nobody. PostgreSQL would look at the rows before from again, which are removed
// but not yet gone.
func (b *Books) nextBatch(ctx context.Context, s shelf, from, before int64) (batch stretch, found int, err error) {
	query := fmt.Sprintf(`SELECT COUNT(*), COALESCE(MIN(%[1]s), 0), COALESCE(MAX(%[1]s), 0) + 1
		FROM (SELECT %[1]s FROM %[2]s WHERE %[1]s >= ? AND %[1]s < ? ORDER BY %[1]s LIMIT %[3]d) AS batch`, s.moment, s.table, s.batch)
	err = b.db.QueryRowContext(ctx, b.rebind(query), from, before).Scan(&found, &batch.from, &batch.until)
	return batch, found, err
}

// clearBatch removes the rows of a time. That it has two ends tells PostgreSQL that they
// are few.
func (b *Books) clearBatch(ctx context.Context, s shelf, batch stretch) (removed, with int64, err error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err := b.takeTurn(ctx, tx); err != nil {
		return 0, 0, err
	}
	condition := " WHERE " + s.moment + " >= ? AND " + s.moment + " < ?"
	if s.with != "" {
		query := "DELETE FROM " + s.with + " WHERE uid IN (SELECT uid FROM " + s.table + condition + ")"
		if with, err = b.affected(ctx, tx, query, batch.from, batch.until); err != nil {
			return 0, 0, err
		}
	}
	if removed, err = b.affected(ctx, tx, "DELETE FROM "+s.table+condition, batch.from, batch.until); err != nil {
		return 0, 0, err
	}
	return removed, with, tx.Commit()
}

// turn names the work among the locks of PostgreSQL: "sluicepr".
const turn int64 = 0x736c756963657072

// takeTurn keeps other replicas from the same work until the transaction ends, or is
// errBusy if one of them is at it. SQLite has one writer as it is.
func (b *Books) takeTurn(ctx context.Context, tx *sql.Tx) error {
	if b.engine != PostgreSQL {
		return nil
	}
	var mine bool
	if err := tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", turn).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		return errBusy
	}
	return nil
}

func (b *Books) affected(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, b.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// sparePages are kept in the file of SQLite for the rows to come, 16 MiB; so is a tenth of
// the file.
const sparePages = 4096

// pagesAtOnce is how much a step of shrink gives back, 1 MiB.
const pagesAtOnce = 256

// shrink gives pages of the SQLite file back that hold nothing, in steps, and returns the
// bytes. Some of them stay: a file that shrinks and grows every hour works for nothing.
func (b *Books) shrink(ctx context.Context, spare int64) (int64, error) {
	var freed int64
	for {
		var size, free, all int64
		query := "SELECT page_size, freelist_count, page_count FROM pragma_page_size, pragma_freelist_count, pragma_page_count"
		if err := b.db.QueryRowContext(ctx, query).Scan(&size, &free, &all); err != nil {
			return freed, err
		}
		step := min(free-max(spare, all/10), pagesAtOnce)
		if spare == 0 {
			step = min(free, pagesAtOnce)
		}
		if step <= 0 {
			return freed, nil
		}
		began := time.Now()
		if err := b.vacuum(ctx, step); err != nil {
			return freed, err
		}
		var left int64
		if err := b.db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&left); err != nil {
			return freed, err
		}
		if left >= all {
			return freed, nil // a file that was made without incremental vacuum, or one that grows
		}
		freed += (all - left) * size
		if err := rest(ctx, time.Since(began)); err != nil {
			return freed, err
		}
	}
}

// vacuum gives pages back. The statement answers a row for each, and does no more than
// what is read.
func (b *Books) vacuum(ctx context.Context, pages int64) error {
	rows, err := b.db.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for done := false; !done; {
		done = !rows.Next()
	}
	return rows.Err()
}

// rest leaves the database to the others for as long as it was taken from them.
func rest(ctx context.Context, took time.Duration) error {
	timer := time.NewTimer(min(max(took, 5*time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
