package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"
)

var (
	// ErrNoBooks means that no sluice has kept books in the database yet.
	ErrNoBooks = errors.New("no books yet")
	// ErrOtherVersion means that the books are in the form of an older or a newer sluice.
	ErrOtherVersion = errors.New("the books have the form of another version of sluice: restart what runs with this one, or ask with the version that runs")
)

// OpenToRead opens the database of a URL for questions alone: it makes and changes
// nothing, and a sluice that runs does not notice. The error is ErrNoBooks if there is no
// file or no schema in the database, and ErrOtherVersion if this version of sluice does
// not know the schema.
func OpenToRead(ctx context.Context, ledger string) (*Books, error) {
	engine, where, err := ParseURL(ledger)
	if err != nil {
		return nil, err
	}
	if engine == PostgreSQL {
		return readBooks(ctx, engine, "pgx", where)
	}
	if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBooks
	}
	b, err := readBooks(ctx, engine, "sqlite", sqliteReader(where, "ro"))
	var refused *sqlite.Error
	if errors.As(err, &refused) && refused.Code()&0xff == sqliteReadOnly && !exists(where+"-wal") {
		// Readers put a file beside the books, and this folder takes none: it is
		// somebody else's or a backup. Nobody writes, or there would be that file.
		return readBooks(ctx, engine, "sqlite", sqliteReader(where, "ro&immutable=1"))
	}
	return b, err
}

// sqliteReadOnly is SQLITE_READONLY, see https://www.sqlite.org/rescode.html.
const sqliteReadOnly = 8

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readBooks(ctx context.Context, engine Engine, driver, source string) (*Books, error) {
	b := &Books{engine: engine, driver: driver, source: source}
	var err error
	if b.db, err = b.open(openFiles); err != nil {
		return nil, err
	}
	if err := b.checkVersion(ctx); err != nil {
		_ = b.db.Close()
		return nil, fmt.Errorf("opening the ledger: %w", redact(err))
	}
	return b, nil
}

// sqliteReader is the data source of a SQLite file that is only read.
func sqliteReader(path, mode string) string {
	const pragmas = "&_pragma=busy_timeout(5000)&_pragma=query_only(ON)&_pragma=temp_store(MEMORY)"
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=" + mode + pragmas
}

// checkVersion reports whether the schema is the one of this version.
func (b *Books) checkVersion(ctx context.Context) error {
	count := "SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'"
	if b.engine == PostgreSQL {
		count = "SELECT COUNT(to_regclass('goose_db_version'))"
	}
	var tables int
	if err := b.db.QueryRowContext(ctx, count).Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return ErrNoBooks
	}
	var version int64
	if err := b.db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&version); err != nil {
		return err
	}
	steps, err := migrations(b.engine)
	if err != nil {
		return err
	}
	switch version {
	case steps[len(steps)-1].Version:
		return nil
	case 0: // the first migration is under way
		return ErrNoBooks
	}
	return ErrOtherVersion
}
