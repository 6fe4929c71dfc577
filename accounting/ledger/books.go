// Package ledger keeps the books in a database: SQLite in a file of its own, or
// PostgreSQL shared by several replicas.
//
// Ledger is the writing side that a running sluice has; Books answer questions and
// change what is kept by hand, beside a running sluice or without one.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Engine is the kind of a database.
type Engine string

// The engines.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// errURL keeps the URL out of the message: it may hold a password.
var errURL = errors.New("the ledger must be a URL as sqlite:///path/ledger.db or postgres://user:password@host/database")

// ParseURL tells the engine of a ledger's URL and what its driver wants: the path of the
// file, or the URL itself. Its errors quote nothing of the URL.
func ParseURL(ledger string) (Engine, string, error) {
	u, err := url.Parse(ledger)
	if err != nil {
		return "", "", errURL
	}
	switch u.Scheme {
	case "sqlite":
		if path := u.Host + u.Path; path != "" && u.RawQuery == "" {
			return SQLite, path, nil
		}
	case "postgres", "postgresql":
		if u.Host != "" || u.Query().Get("host") != "" {
			return PostgreSQL, ledger, nil
		}
	}
	return "", "", errURL
}

// Books are an open database. All methods are safe for concurrent use.
type Books struct {
	db     *sql.DB
	engine Engine
	path   string // of the SQLite file
	// driver and source are what further connections are opened with.
	driver, source string
}

// openFiles bounds the connections of a process to its database: one writes, the others
// answer questions.
const openFiles = 4

// OpenBooks opens the database of a URL, makes it if it is a file that does not exist,
// and brings its schema up to date.
func OpenBooks(ctx context.Context, ledger string) (*Books, error) {
	engine, where, err := ParseURL(ledger)
	if err != nil {
		return nil, err
	}
	b := &Books{engine: engine}
	switch engine {
	case SQLite:
		b.path = where
		if err := os.MkdirAll(filepath.Dir(where), 0o700); err != nil {
			return nil, fmt.Errorf("making the folder of the ledger: %w", err)
		}
		if err := makePrivate(where); err != nil {
			return nil, err
		}
		b.driver, b.source = "sqlite", sqliteName(where)
	case PostgreSQL:
		b.driver, b.source = "pgx", where
	}
	if b.db, err = b.open(openFiles); err != nil {
		return nil, err
	}
	if err := b.migrate(ctx); err != nil {
		_ = b.db.Close()
		return nil, fmt.Errorf("preparing the ledger: %w", redact(err))
	}
	return b, nil
}

// makePrivate makes a file that is not there yet so that nobody else can read it: it may
// come to hold prompts. SQLite gives the files beside it the same mode.
func makePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("making the file of the ledger: %w", err)
	}
	return file.Close()
}

// open returns further connections to the same database, so that those who write do not
// wait for those who ask.
func (b *Books) open(connections int) (*sql.DB, error) {
	db, err := sql.Open(b.driver, b.source)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", redact(err))
	}
	db.SetMaxOpenConns(connections)
	return db, nil
}

// sqliteName is the data source of a SQLite file. Every commit is on the disk when it
// returns (synchronous=FULL), readers do not wait for the writer (WAL), and processes
// that share the file wait for each other. The cache is small: what is asked often are
// the sums, and they are few.
func sqliteName(path string) string {
	pragmas := []string{
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "foreign_keys(OFF)",
		"auto_vacuum(INCREMENTAL)", "cache_size(-2048)", "journal_size_limit(67108864)", "temp_store(MEMORY)",
	}
	q := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// redact is an error of a database without what it may quote of the data source.
func redact(err error) error {
	if e := (*pgconn.ParseConfigError)(nil); errors.As(err, &e) {
		return errURL
	}
	if e := (*pgconn.ConnectError)(nil); errors.As(err, &e) {
		return errors.New("connecting: " + reason(err))
	}
	return err
}

// Engine tells the kind of the database.
func (b *Books) Engine() Engine { return b.engine }

// Close closes the database.
func (b *Books) Close() error { return b.db.Close() }

// rebind puts the placeholders of the engine into a query that is written with question
// marks. Queries of this package have question marks nowhere else.
func (b *Books) rebind(query string) string {
	if b.engine == SQLite {
		return query
	}
	var out strings.Builder
	for n := 1; ; n++ {
		i := strings.IndexByte(query, '?')
		if i < 0 {
			out.WriteString(query)
			return out.String()
		}
		out.WriteString(query[:i])
		out.WriteByte('$')
		out.WriteString(strconv.Itoa(n))
		query = query[i+1:]
	}
}
