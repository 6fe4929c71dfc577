package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The errors of the keys.
var (
	// ErrKeyExists means that the alias is taken, or that the same key has another alias.
	ErrKeyExists = errors.New("the key exists already")
	// ErrNoKey means that no key has the alias.
	ErrNoKey = errors.New("no such key")
)

// StoredKey is a key of a client that is kept in the database. The key itself is not.
type StoredKey struct {
	Alias string
	// SHA256 is the hash of the key as 64 lower-case hex digits.
	SHA256 string
	// Settings are a JSON object. Its meaning is that of who stored it.
	Settings json.RawMessage
	// CreatedAt is when the key was made. RotatedAt is nil as long as it is the first one of
	// its alias, DisabledAt while it may be used.
	CreatedAt             time.Time
	RotatedAt, DisabledAt *time.Time
}

const keyColumns = "alias, sha256, settings, created_at, rotated_at, disabled_at"

// CreateKey adds a key and returns it as it is stored. A CreatedAt of zero stands for now.
// The error is ErrKeyExists if the alias or the hash is there already.
func (b *Books) CreateKey(ctx context.Context, k StoredKey) (StoredKey, error) {
	if k.CreatedAt.IsZero() {
		k.CreatedAt = time.Now()
	}
	return b.changeKey(ctx, ErrKeyExists,
		"INSERT INTO keys ("+keyColumns+") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING "+keyColumns,
		k.Alias, k.SHA256, string(k.Settings), k.CreatedAt.UnixMicro(), microsOf(k.RotatedAt), microsOf(k.DisabledAt))
}

// Keys lists all keys by alias.
func (b *Books) Keys(ctx context.Context) ([]StoredKey, error) {
	rows, err := b.db.QueryContext(ctx, "SELECT "+keyColumns+" FROM keys")
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", redact(err))
	}
	defer func() { _ = rows.Close() }()
	var keys []StoredKey
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("reading a key: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", redact(err))
	}
	// Not by the database: engines and their locales differ in what comes first.
	slices.SortFunc(keys, func(a, b StoredKey) int { return strings.Compare(a.Alias, b.Alias) })
	return keys, nil
}

// Key returns the key of an alias, or ErrNoKey.
func (b *Books) Key(ctx context.Context, alias string) (StoredKey, error) {
	k, err := scanKey(b.db.QueryRowContext(ctx, b.rebind("SELECT "+keyColumns+" FROM keys WHERE alias = ?"), alias))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return StoredKey{}, ErrNoKey
	case err != nil:
		return StoredKey{}, fmt.Errorf("reading a key: %w", redact(err))
	}
	return k, nil
}

// RotateKey replaces the hash of a key and returns it: from now on another key has the alias,
// with the same settings. The error is ErrNoKey if there is none.
func (b *Books) RotateKey(ctx context.Context, alias, sha256 string) (StoredKey, error) {
	return b.changeKey(ctx, ErrNoKey, "UPDATE keys SET sha256 = ?, rotated_at = ? WHERE alias = ? RETURNING "+keyColumns,
		sha256, time.Now().UnixMicro(), alias)
}

// DisableKey refuses a key from now on, or lets it in again, and returns it. A key that is
// disabled twice keeps the time of the first. The error is ErrNoKey if there is none.
func (b *Books) DisableKey(ctx context.Context, alias string, disabled bool) (StoredKey, error) {
	if !disabled {
		return b.changeKey(ctx, ErrNoKey, "UPDATE keys SET disabled_at = NULL WHERE alias = ? RETURNING "+keyColumns, alias)
	}
	return b.changeKey(ctx, ErrNoKey, "UPDATE keys SET disabled_at = COALESCE(disabled_at, ?) WHERE alias = ? RETURNING "+keyColumns,
		time.Now().UnixMicro(), alias)
}

// UpdateKey changes the settings of a key to what change makes of them, and returns the key.
// Changes of one key take turns, also those of several processes, so that none is lost;
// change is called at most once and must be quick. Its error ends the update and is returned
// as it is. The error is ErrNoKey if there is no such key.
func (b *Books) UpdateKey(ctx context.Context, alias string, change func(json.RawMessage) (json.RawMessage, error)) (StoredKey, error) {
	query := b.rebind("SELECT settings FROM keys WHERE alias = ?")
	if b.engine == PostgreSQL { // SQLite has one writer, which this transaction is
		query += " FOR UPDATE"
	}
	var refused error
	key, err := b.inKeyChange(ctx, func(tx *sql.Tx) (StoredKey, error) {
		var before string
		if err := tx.QueryRowContext(ctx, query, alias).Scan(&before); err != nil {
			return StoredKey{}, err
		}
		var after json.RawMessage
		if after, refused = change(json.RawMessage(before)); refused != nil {
			return StoredKey{}, refused
		}
		return scanKey(tx.QueryRowContext(ctx, b.rebind("UPDATE keys SET settings = ? WHERE alias = ? RETURNING "+keyColumns), string(after), alias))
	})
	switch {
	case refused != nil:
		return StoredKey{}, refused
	case errors.Is(err, sql.ErrNoRows):
		return StoredKey{}, ErrNoKey
	case err != nil:
		return StoredKey{}, fmt.Errorf("changing a key: %w", redact(err))
	}
	return key, nil
}

// changeKey runs a statement that changes one key and returns it; none is the error of one
// that found nothing to change.
func (b *Books) changeKey(ctx context.Context, none error, statement string, args ...any) (StoredKey, error) {
	key, err := b.inKeyChange(ctx, func(tx *sql.Tx) (StoredKey, error) {
		return scanKey(tx.QueryRowContext(ctx, b.rebind(statement), args...))
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return StoredKey{}, none
	case err != nil:
		return StoredKey{}, fmt.Errorf("changing a key: %w", redact(err))
	}
	return key, nil
}

// inKeyChange commits what change does: an answer of a change is one of the disk.
func (b *Books) inKeyChange(ctx context.Context, change func(*sql.Tx) (StoredKey, error)) (StoredKey, error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return StoredKey{}, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	key, err := change(tx)
	if err != nil {
		return StoredKey{}, err
	}
	return key, tx.Commit()
}

func scanKey(row interface{ Scan(...any) error }) (StoredKey, error) {
	var k StoredKey
	var settings string
	var created int64
	var rotated, disabled sql.NullInt64
	err := row.Scan(&k.Alias, &k.SHA256, &settings, &created, &rotated, &disabled)
	k.Settings = json.RawMessage(settings)
	k.CreatedAt = time.UnixMicro(created).UTC()
	k.RotatedAt, k.DisabledAt = timeOf(rotated), timeOf(disabled)
	return k, err
}

func microsOf(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

func timeOf(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	t := time.UnixMicro(micros.Int64).UTC()
	return &t
}
