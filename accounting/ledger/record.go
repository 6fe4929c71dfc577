package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/accounting"
)

// ErrNoRecord means that the exchange has no record in the books.
var ErrNoRecord = errors.New("no such record")

// Latest returns the latest record of an id, or ErrNoRecord.
func (b *Books) Latest(ctx context.Context, id string) (*accounting.Record, error) {
	return b.record(ctx, "id = ? ORDER BY started_at DESC, uid DESC LIMIT 1", name(id))
}

// Record returns the record of an exchange, or ErrNoRecord.
func (b *Books) Record(ctx context.Context, uid accounting.UID) (*accounting.Record, error) {
	return b.record(ctx, "uid = ?", uid[:])
}

func (b *Books) record(ctx context.Context, condition string, arg any) (*accounting.Record, error) {
	query := "SELECT " + exchangeColumns + " FROM exchanges WHERE " + condition
	r, err := scanExchange(b.db.QueryRowContext(ctx, b.rebind(query), arg))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoRecord
	}
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	if r.Attempts, err = b.attempts(ctx, r.UID); err != nil {
		return nil, fmt.Errorf("reading the calls of a record: %w", err)
	}
	return r, nil
}

func (b *Books) attempts(ctx context.Context, uid accounting.UID) ([]accounting.Attempt, error) {
	query := "SELECT " + attemptColumns + " FROM attempts WHERE uid = ? ORDER BY n"
	rows, err := b.db.QueryContext(ctx, b.rebind(query), uid[:])
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []accounting.Attempt
	for rows.Next() {
		_, a, err := scanAttempt(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}
