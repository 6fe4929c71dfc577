package docs

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/internal/servers"
)

var sqlBlock = regexp.MustCompile("(?s)\n```sql\n(.*?)\n```")

// The questions of the page about the ledger are answered by real books, those of its
// first block by SQLite and those of its second by PostgreSQL.
func TestQuestionsToTheLedgerAreAnswered(t *testing.T) {
	page, err := os.ReadFile("ledger.md")
	require.NoError(t, err)
	blocks := sqlBlock.FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)

	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		requireAnswers(t, "sqlite://"+path, "sqlite", path, blocks[0][1])
	})
	t.Run("postgres", func(t *testing.T) {
		url := servers.StartPostgres(t).Database(t)
		requireAnswers(t, url, "pgx", url, blocks[1][1])
	})
}

func requireAnswers(t *testing.T, url, driver, source, questions string) {
	t.Helper()
	books, err := ledger.OpenBooks(context.Background(), url)
	require.NoError(t, err)
	require.NoError(t, books.Close())
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, question := range regexp.MustCompile(`;\s*`).Split(questions, -1) {
		if question == "" {
			continue
		}
		rows, err := db.QueryContext(context.Background(), question)
		require.NoError(t, err, question)
		for rows.Next() {
			require.Fail(t, "empty books have an answer", question)
		}
		require.NoError(t, rows.Err(), question)
		require.NoError(t, rows.Close())
	}
}
