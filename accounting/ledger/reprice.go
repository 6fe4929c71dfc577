package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/accounting"
)

// Repriced is what Reprice did.
type Repriced struct {
	// Rows are the exchanges that were looked at, Changed those that cost something else
	// now.
	Rows, Changed int64
}

// repriceBatch is how many exchanges are read at once, and repriceAtOnce how many of them
// are changed in one transaction: the writer of SQLite should wait for a few milliseconds
// at the most.
const (
	repriceBatch  = 500
	repriceAtOnce = 100
)

// Reprice calls price for the record of every exchange that began from since on and before
// until, where the zero time bounds nothing, and keeps the costs that it leaves in the
// record: CostNanoUSD, CostLowNanoUSD and CostHighNanoUSD, which may become nil. The sums of
// the days change with them, in the same transactions, and nothing else does. The record has
// no attempts. price may be called more than once for one exchange.
//
// Exchanges that retention has removed keep the costs that are in the sums of their days.
// What was done before an error stays done and is told with it; to do it again does no harm.
func (b *Books) Reprice(ctx context.Context, since, until time.Time, price func(*accounting.Record)) (Repriced, error) {
	var done Repriced
	if err := b.reprice(ctx, since, until, price, &done); err != nil {
		return done, fmt.Errorf("repricing: %w", redact(err))
	}
	return done, nil
}

func (b *Books) reprice(ctx context.Context, since, until time.Time, price func(*accounting.Record), done *Repriced) error {
	writer, err := newStore(b)
	if err != nil {
		return err
	}
	defer func() { _ = writer.close() }()
	at := place{from: math.MinInt64, until: math.MaxInt64}
	if !since.IsZero() {
		at.from = micros(since)
	}
	if !until.IsZero() {
		at.until = micros(until)
	}
	for {
		records, err := b.recordsFrom(ctx, at)
		if err != nil || len(records) == 0 {
			return err
		}
		done.Rows += int64(len(records))
		last := records[len(records)-1]
		at.from, at.after = micros(last.Start), last.UID[:]
		wrong := slices.DeleteFunc(records, func(r *accounting.Record) bool {
			before := costOf(r)
			price(r)
			return before == costOf(r)
		})
		for some := range slices.Chunk(wrong, repriceAtOnce) {
			began := time.Now()
			changed, err := changeCosts(ctx, writer, some, price)
			done.Changed += changed
			if err != nil {
				return err
			}
			if err := rest(ctx, time.Since(began)); err != nil {
				return err
			}
		}
	}
}

// place is how far a walk through the exchanges has come: those that began later than from,
// or then and whose name is after the given one, and before until.
type place struct {
	from, until int64
	after       []byte
}

// recordsFrom reads the next exchanges, in the order of their begin.
func (b *Books) recordsFrom(ctx context.Context, at place) ([]*accounting.Record, error) {
	query := fmt.Sprintf("SELECT %s FROM exchanges WHERE (started_at, uid) > (?, ?) AND started_at < ? ORDER BY started_at, uid LIMIT %d",
		exchangeColumns, repriceBatch)
	after := at.after
	if after == nil {
		after = []byte{}
	}
	rows, err := b.db.QueryContext(ctx, b.rebind(query), at.from, after, at.until)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return scanExchanges(rows)
}

func scanExchanges(rows *sql.Rows) ([]*accounting.Record, error) {
	var records []*accounting.Record
	for rows.Next() {
		r, err := scanExchange(rows)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

// costs are the costs of a record by their values.
type costs struct{ cost, low, high optionalInt }

type optionalInt struct {
	n     int64
	known bool
}

func optionalOf(n *int64) optionalInt {
	if n == nil {
		return optionalInt{}
	}
	return optionalInt{*n, true}
}

func costOf(r *accounting.Record) costs {
	return costs{optionalOf(r.CostNanoUSD), optionalOf(r.CostLowNanoUSD), optionalOf(r.CostHighNanoUSD)}
}

var (
	// lockExchanges reads exchanges that nobody else changes until the transaction ends.
	// They are locked in the order in which those who amend records lock them.
	lockExchanges = &command{
		sqlite:   "SELECT " + exchangeColumns + " FROM exchanges WHERE uid = ?",
		postgres: "SELECT " + exchangeColumns + " FROM exchanges WHERE uid IN (SELECT unnest($1::bytea[])) ORDER BY uid FOR UPDATE",
		kinds:    []string{"bytea"},
	}
	updateCosts = &command{
		sqlite: "UPDATE exchanges SET cost_nano_usd = ?2, cost_low_nano_usd = ?3, cost_high_nano_usd = ?4 WHERE uid = ?1",
		postgres: "UPDATE exchanges SET cost_nano_usd = given.cost, cost_low_nano_usd = given.low, cost_high_nano_usd = given.high" +
			" FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) AS given (uid, cost, low, high)" +
			" WHERE exchanges.uid = given.uid",
		kinds: []string{"bytea", "bigint", "bigint", "bigint"},
	}
)

// triesToReprice is how often a transaction is begun that another one got in the way of.
const triesToReprice = 5

// changeCosts prices records again, as they are in the books by now, and keeps the costs.
// It returns how many have changed.
func changeCosts(ctx context.Context, writer store, records []*accounting.Record, price func(*accounting.Record)) (int64, error) {
	keys := make([][]any, len(records))
	for i, r := range records {
		keys[i] = []any{r.UID[:]}
	}
	slices.SortFunc(keys, func(a, b []any) int { return bytes.Compare(a[0].([]byte), b[0].([]byte)) })
	for tries := 1; ; tries++ {
		var changed int
		err := writer.transact(ctx, func(tx transaction) (err error) {
			changed, err = changeCostsIn(tx, keys, price)
			return err
		})
		if err == nil {
			return int64(changed), nil
		}
		if !isConflict(err) || tries == triesToReprice {
			return 0, err
		}
	}
}

func changeCostsIn(tx transaction, keys [][]any, price func(*accounting.Record)) (changed int, err error) {
	var rows [][]any
	sums := make(changes)
	err = tx.query(lockExchanges, keys, func(row scanner) error {
		r, err := scanExchange(row)
		if err != nil {
			return err
		}
		before := costOf(r)
		sums.subtract(totalsOf(r))
		price(r)
		sums.add(r)
		if before != costOf(r) {
			rows = append(rows, []any{r.UID[:], optional(r.CostNanoUSD), optional(r.CostLowNanoUSD), optional(r.CostHighNanoUSD)})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := tx.write(updateCosts, rows); err != nil {
		return 0, err
	}
	return len(rows), tx.write(dailyUpsert, sums.rows())
}

// isConflict reports that PostgreSQL gave a transaction up for the sake of another one:
// serialization_failure or deadlock_detected.
func isConflict(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "40001" || refused.Code == "40P01")
}
