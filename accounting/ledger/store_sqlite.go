package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gofrs/flock"
)

// sqliteStore writes to a SQLite file.
type sqliteStore struct {
	db *sql.DB
	// turn is a lock that processes which share the file take before that of SQLite: the
	// system wakes who waits for it, whereas SQLite would look again now and then, and
	// in vain for long while another process writes one transaction after the other.
	turn     *flock.Flock
	conn     *sql.Conn
	prepared map[*command]*sql.Stmt
}

// background is the context of every statement: the driver starts a goroutine for one
// that can end, and to interrupt a commit does not make a stuck disk answer.
var background = context.Background()

func (s *sqliteStore) transact(_ context.Context, do func(tx transaction) error) (err error) {
	if err := s.connect(); err != nil {
		return err
	}
	if s.turn.Lock() == nil { // without, it is only slower
		defer func() { _ = s.turn.Unlock() }()
	}
	// The lock is taken at once: to be refused at the first write is an error that no
	// waiting helps against.
	if _, err := s.conn.ExecContext(background, "BEGIN IMMEDIATE"); err != nil {
		s.disconnect()
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	err = do(s)
	if err == nil {
		if _, err = s.conn.ExecContext(background, "COMMIT"); err != nil {
			err = fmt.Errorf("committing: %w", err)
		}
	}
	if err != nil {
		// It fails when SQLite has rolled back by itself.
		_, _ = s.conn.ExecContext(background, "ROLLBACK")
		if !isContent(err) {
			s.disconnect()
		}
	}
	return err
}

func (s *sqliteStore) connect() error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.db.Conn(background)
	if err != nil {
		return fmt.Errorf("opening the ledger: %w", err)
	}
	s.conn, s.prepared = conn, make(map[*command]*sql.Stmt)
	return nil
}

func (s *sqliteStore) disconnect() {
	for _, stmt := range s.prepared {
		_ = stmt.Close()
	}
	_ = s.conn.Close()
	s.conn, s.prepared = nil, nil
}

func (s *sqliteStore) close() error {
	if s.conn != nil {
		s.disconnect()
	}
	return s.db.Close()
}

func (s *sqliteStore) prepare(c *command) (*sql.Stmt, error) {
	if stmt, ok := s.prepared[c]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(background, c.sqlite)
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	s.prepared[c] = stmt
	return stmt, nil
}

func (s *sqliteStore) write(c *command, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := s.prepare(c)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := stmt.ExecContext(background, row...); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}

func (s *sqliteStore) query(c *command, rows [][]any, read func(scanner) error) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := s.prepare(c)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := readRows(stmt, row, read); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}

func readRows(stmt *sql.Stmt, args []any, read func(scanner) error) error {
	rows, err := stmt.QueryContext(background, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
