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
// record and its attempts: CostNanoUSD, CostLowNanoUSD and CostHighNanoUSD, which may become
// nil. The sums of the days change with them, in the same transactions, and nothing else does.
// The record has of its attempts those alone that are abandoned. price may be called more than
// once for one exchange.
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
			before := costsOf(r)
			price(r)
			return slices.Equal(before, costsOf(r))
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
	records, err := scanExchanges(rows)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return records, b.addAbandoned(ctx, records)
}

// addAbandoned gives records, which are in the order of their begin, the attempts that count
// beside their final ones.
func (b *Books) addAbandoned(ctx context.Context, records []*accounting.Record) error {
	query := "SELECT " + attemptColumns + " FROM attempts WHERE counts_at >= ? AND counts_at <= ? ORDER BY uid, n"
	rows, err := b.db.QueryContext(ctx, b.rebind(query), micros(records[0].Start), micros(records[len(records)-1].Start))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	named := make(map[accounting.UID]*accounting.Record, len(records))
	for _, r := range records {
		named[r.UID] = r
	}
	for rows.Next() {
		key, a, err := scanAttempt(rows)
		if err != nil {
			return err
		}
		if r := named[key.uid]; r != nil { // others may have begun at the same time
			r.Attempts = append(r.Attempts, a)
		}
	}
	return rows.Err()
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

// costs are those of one call by their values.
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

// costsOf are the costs of a record and of its attempts.
func costsOf(r *accounting.Record) []costs {
	all := []costs{{optionalOf(r.CostNanoUSD), optionalOf(r.CostLowNanoUSD), optionalOf(r.CostHighNanoUSD)}}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		all = append(all, costs{optionalOf(a.CostNanoUSD), optionalOf(a.CostLowNanoUSD), optionalOf(a.CostHighNanoUSD)})
	}
	return all
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
	// readAbandoned reads the attempts that count of exchanges which are locked.
	readAbandoned = &command{
		sqlite:   "SELECT " + attemptColumns + " FROM attempts WHERE uid = ? AND counts_at IS NOT NULL ORDER BY n",
		postgres: "SELECT " + attemptColumns + " FROM attempts WHERE uid IN (SELECT unnest($1::bytea[])) AND counts_at IS NOT NULL ORDER BY uid, n",
		kinds:    []string{"bytea"},
	}
	updateAttemptCosts = &command{
		sqlite: "UPDATE attempts SET cost_nano_usd = ?3, cost_low_nano_usd = ?4, cost_high_nano_usd = ?5 WHERE uid = ?1 AND n = ?2",
		postgres: "UPDATE attempts SET cost_nano_usd = given.cost, cost_low_nano_usd = given.low, cost_high_nano_usd = given.high" +
			" FROM unnest($1::bytea[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[]) AS given (uid, n, cost, low, high)" +
			" WHERE attempts.uid = given.uid AND attempts.n = given.n",
		kinds: []string{"bytea", "integer", "bigint", "bigint", "bigint"},
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
	records, numbers, err := lockRecords(tx, keys)
	if err != nil {
		return 0, err
	}
	var rows, calls [][]any
	sums := make(changes)
	for i, r := range records {
		before := costsOf(r)
		sums.subtract(r)
		price(r)
		sums.add(r)
		if slices.Equal(before, costsOf(r)) {
			continue
		}
		changed++
		rows = append(rows, []any{r.UID[:], cost(r.CostNanoUSD), cost(r.CostLowNanoUSD), cost(r.CostHighNanoUSD)})
		for n := range r.Attempts {
			a := &r.Attempts[n]
			calls = append(calls, []any{r.UID[:], numbers[i][n], cost(a.CostNanoUSD), cost(a.CostLowNanoUSD), cost(a.CostHighNanoUSD)})
		}
	}
	for _, s := range []struct {
		command *command
		rows    [][]any
	}{{updateCosts, rows}, {updateAttemptCosts, calls}, {dailyUpsert, sums.rows()}} {
		if err := tx.write(s.command, s.rows); err != nil {
			return 0, err
		}
	}
	return changed, nil
}

// lockRecords reads records, with their abandoned attempts and the numbers of these, which
// nobody else changes until the transaction ends.
func lockRecords(tx transaction, keys [][]any) (records []*accounting.Record, numbers [][]int64, err error) {
	places := make(map[accounting.UID]int)
	err = tx.query(lockExchanges, keys, func(row scanner) error {
		r, err := scanExchange(row)
		if err != nil {
			return err
		}
		places[r.UID] = len(records)
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	numbers = make([][]int64, len(records))
	err = tx.query(readAbandoned, keys, func(row scanner) error {
		key, a, err := scanAttempt(row)
		if err != nil {
			return err
		}
		if i, there := places[key.uid]; there {
			records[i].Attempts = append(records[i].Attempts, a)
			numbers[i] = append(numbers[i], key.n)
		}
		return nil
	})
	return records, numbers, err
}

// isConflict reports that PostgreSQL gave a transaction up for the sake of another one:
// serialization_failure or deadlock_detected.
func isConflict(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "40001" || refused.Code == "40P01")
}
