package ledger

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// store is a connection that writes. It belongs to one goroutine.
type store interface {
	// transact runs do in a transaction and commits what it did. An error may leave it
	// unknown whether that was kept. With PostgreSQL it returns when the context ends;
	// with SQLite a write that the disk holds up cannot be given up.
	transact(ctx context.Context, do func(tx transaction) error) error
	// close lets go of the connection.
	close() error
}

// transaction is what may be done inside one.
type transaction interface {
	// write runs a command for each row. An error may come later, from query or from
	// the commit.
	write(c *command, rows [][]any) error
	// query runs a command for each row and reads what it returns.
	query(c *command, rows [][]any, read func(scanner) error) error
}

// newStore opens the connection of an engine when it is needed first.
func newStore(b *Books) (store, error) {
	db, err := b.open(1)
	if err != nil {
		return nil, err
	}
	if b.engine == SQLite {
		return &sqliteStore{db: db, turn: locksOf(b.path).turn()}, nil
	}
	return &postgresStore{db: db}, nil
}

// isContent reports that the database refuses what it was given, and would refuse it again,
// whereas all other errors are about the database.
func isContent(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		// Data exceptions, broken constraints, exceeded limits of the program.
		return strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23") || strings.HasPrefix(e.Code, "54")
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
			return true
		}
	}
	return false
}

// isRolledBack reports that the database has given up a transaction in favour of another
// one, so that nothing of it is kept.
func isRolledBack(err error) bool {
	e := (*pgconn.PgError)(nil)
	return errors.As(err, &e) && strings.HasPrefix(e.Code, "40")
}

// reason is an error of the database for the log. Its own text may quote what was to be
// written, or the place of the database, so that it tells only the kind.
func reason(err error) string {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return "PostgreSQL error " + e.Code
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		if words, ok := sqlite.ErrorCodeString[e.Code()]; ok {
			return words
		}
		return sqlite.ErrorCodeString[e.Code()&0xff]
	}
	if e := syscall.Errno(0); errors.As(err, &e) {
		return e.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errSlow):
		return errSlow.Error()
	case errors.Is(err, context.Canceled):
		return "given up"
	}
	return "no connection"
}

// errSlow is what a database comes to that does not answer in time.
var errSlow = errors.New("no answer in time")
