package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// words are what the engines call what the migrations name {{in braces}}.
var words = map[Engine]*strings.Replacer{
	SQLite:     strings.NewReplacer("{{uid}}", "BLOB", "{{bytes}}", "BLOB", "{{clustered}}", " WITHOUT ROWID"),
	PostgreSQL: strings.NewReplacer("{{uid}}", "BYTEA", "{{bytes}}", "BYTEA", "{{clustered}}", ""),
}

// migrations are the steps of the schema in the words of an engine. A file is named by
// its number, as in 00001_books.sql.
func migrations(engine Engine) ([]*goose.Migration, error) {
	const folder = "migrations"
	entries, err := migrationFiles.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var steps []*goose.Migration
	for _, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the migration %s has no number", entry.Name())
		}
		content, err := migrationFiles.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			return nil, err
		}
		statements := words[engine].Replace(string(content))
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, statements)
				return err
			},
		}, nil))
	}
	return steps, nil
}

// migrate brings the schema up to date. Replicas that start together take turns.
func (b *Books) migrate(ctx context.Context) error {
	steps, err := migrations(b.engine)
	if err != nil {
		return err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithGoMigrations(steps...)}
	if b.engine == PostgreSQL {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, b.db, nil, options...)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}
