package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresStore writes to PostgreSQL. What a transaction writes goes out together with
// what it asks next, so that most of them take two round trips: one that ends with the
// names of the new exchanges, and one that ends with the commit.
//
// The commit must not go out together with the rows that are to exist once. If the
// connection is given up, the server may do later what it has got until then; as the rows
// are locked before it can get the commit, whoever writes them again meanwhile waits for
// what becomes of them.
type postgresStore struct {
	db   *sql.DB
	conn *sql.Conn
}

func (s *postgresStore) transact(ctx context.Context, do func(tx transaction) error) error {
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("connecting to the ledger: %w", redact(err))
	}
	broken := false
	err := s.conn.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		tx := &postgresTransaction{ctx: ctx, conn: conn, batch: new(pgx.Batch)}
		tx.batch.Queue("BEGIN")
		err := do(tx)
		if err == nil {
			err = tx.commit()
		}
		if err != nil && !conn.IsClosed() {
			_, _ = conn.Exec(ctx, "ROLLBACK")
		}
		// Another connection may get to a server that is no mere copy by now.
		broken = conn.IsClosed() || conn.PgConn().TxStatus() != 'I' || err != nil && !isContent(err)
		if broken {
			_ = conn.Close(ctx)
		}
		return err
	})
	if broken || errors.Is(err, sql.ErrConnDone) {
		_ = s.conn.Close()
		s.conn = nil
	}
	return err
}

// writerSettings make the planner go by the keys, as every statement here does, however
// little it knows of tables that have just been filled; let a transaction end whose
// process is stopped in the middle of it; and see to it that a commit is on the disk.
const writerSettings = `SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan;
SET idle_in_transaction_session_timeout = '10s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

func (s *postgresStore) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(driver any) error {
		_, err := driver.(*stdlib.Conn).Conn().PgConn().Exec(ctx, writerSettings).ReadAll()
		return err
	})
	if err != nil {
		_ = conn.Close()
		return err
	}
	s.conn = conn
	return nil
}

func (s *postgresStore) close() error {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	return s.db.Close()
}

// postgresTransaction gathers statements until there is an answer to wait for.
type postgresTransaction struct {
	ctx   context.Context
	conn  *pgx.Conn
	batch *pgx.Batch
}

func (t *postgresTransaction) write(c *command, rows [][]any) error {
	if len(rows) > 0 {
		t.batch.Queue(c.postgres, arrays(c, rows)...)
	}
	return nil
}

func (t *postgresTransaction) query(c *command, rows [][]any, read func(scanner) error) error {
	if len(rows) == 0 {
		return nil
	}
	t.batch.Queue(c.postgres, arrays(c, rows)...)
	return t.send(read)
}

// send runs what has gathered. read is called for the rows of the last statement.
func (t *postgresTransaction) send(read func(scanner) error) (err error) {
	n := t.batch.Len()
	results := t.conn.SendBatch(t.ctx, t.batch)
	t.batch = new(pgx.Batch)
	defer func() {
		if e := results.Close(); err == nil && e != nil {
			err = fmt.Errorf("writing: %w", e)
		}
	}()
	for range n - 1 {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	rows, err := results.Query()
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// errRolledBack is a commit that the server answered with a rollback.
var errRolledBack = errors.New("the transaction was rolled back")

func (t *postgresTransaction) commit() (err error) {
	n := t.batch.Len()
	t.batch.Queue("COMMIT")
	results := t.conn.SendBatch(t.ctx, t.batch)
	defer func() {
		if e := results.Close(); err == nil && e != nil {
			err = fmt.Errorf("committing: %w", e)
		}
	}()
	for range n {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	tag, err := results.Exec()
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if tag.String() != "COMMIT" {
		return errRolledBack
	}
	return nil
}

// arrays turns rows into one array for each column.
func arrays(c *command, rows [][]any) []any {
	columns := make([]any, len(c.kinds))
	for i := range c.kinds {
		column := make([]any, len(rows))
		for j, row := range rows {
			column[j] = row[i]
		}
		columns[i] = column
	}
	return columns
}
