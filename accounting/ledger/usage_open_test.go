package ledger

import (
	"math/rand/v2"
	neturl "net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

func TestOpenToReadMakesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	_, err := OpenToRead(t.Context(), "sqlite://"+folder+"/ledger.db")
	require.ErrorIs(t, err, ErrNoBooks)
	require.NoDirExists(t, folder)

	file := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = OpenToRead(t.Context(), "sqlite://"+file)
	require.ErrorIs(t, err, ErrNoBooks)

	_, err = OpenToRead(t.Context(), servers.StartPostgres(t).Database(t))
	require.ErrorIs(t, err, ErrNoBooks)

	_, err = OpenToRead(t.Context(), "mysql://host/CANARY")
	require.ErrorIs(t, err, errURL)
	_, err = OpenToRead(t.Context(), "postgres://sluice:CANARY@127.0.0.1:1/sluice?sslmode=disable")
	require.ErrorContains(t, err, "opening the ledger")
	require.NotContains(t, err.Error(), "CANARY")
}

func TestOpenToReadRefusesBooksOfAnotherVersion(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, url string) {
		_, err := b.db.Exec(b.rebind("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)"), 9999, true)
		require.NoError(t, err)
		_, err = OpenToRead(t.Context(), url)
		require.ErrorIs(t, err, ErrOtherVersion)
		_, err = b.db.Exec("DELETE FROM goose_db_version WHERE version_id > 0")
		require.NoError(t, err)
		_, err = OpenToRead(t.Context(), url)
		require.ErrorIs(t, err, ErrNoBooks)
	})
}

// A question that takes long holds no writer up, and one that is asked while others write
// is answered.
func TestReadersAndWritersDoNotWaitForEachOther(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, url string) {
		random := rand.New(rand.NewPCG(41, 42))
		keep(t, b, randomRecords(random, 100)...)
		reader, err := OpenToRead(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, reader.Close()) }()
		rows, err := reader.db.Query("SELECT id FROM exchanges")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		require.True(t, rows.Next())
		keep(t, b, randomRecords(random, 100)...)

		tx, err := b.db.Begin()
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		_, err = tx.Exec("DELETE FROM usage_daily")
		require.NoError(t, err)
		got, err := reader.Usage(t.Context(), Query{})
		require.NoError(t, err)
		require.EqualValues(t, 200, got.Rows[0].Exchanges)
	})
}

func TestOpenToReadCannotWrite(t *testing.T) {
	url := "sqlite://" + t.TempDir() + "/ledger.db"
	openBooks(t, url)
	reader, err := OpenToRead(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	_, err = reader.db.Exec("DELETE FROM keys")
	require.ErrorContains(t, err, "readonly")
}

// What a killed process leaves behind is read, with what it had committed last.
func TestOpenToReadAfterACrash(t *testing.T) {
	folder, left := t.TempDir(), t.TempDir()
	b := openBooks(t, "sqlite://"+folder+"/ledger.db")
	keep(t, b, randomRecords(rand.New(rand.NewPCG(43, 44)), 10)...)
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(left, name), content, 0o600))
	}
	reader, err := OpenToRead(t.Context(), "sqlite://"+left+"/ledger.db")
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	got, err := reader.Usage(t.Context(), Query{})
	require.NoError(t, err)
	require.EqualValues(t, 10, got.Rows[0].Exchanges)
}

func TestOpenToReadInAFolderThatTakesNoFiles(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	url := "sqlite://" + folder + "/ledger.db"
	b, err := OpenBooks(t.Context(), url)
	require.NoError(t, err)
	keep(t, b, randomRecords(rand.New(rand.NewPCG(45, 46)), 10)...)
	require.NoError(t, b.Close())
	require.NoError(t, os.Chmod(folder, 0o500))
	t.Cleanup(func() { require.NoError(t, os.Chmod(folder, 0o700)) })
	reader, err := OpenToRead(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	got, err := reader.Usage(t.Context(), Query{})
	require.NoError(t, err)
	require.EqualValues(t, 10, got.Rows[0].Exchanges)
}

// The path of a file may hold what means something in a URL.
func TestBooksWithAnOddName(t *testing.T) {
	for _, name := range []string{"a b%20c#d", "ü?mode=memory", "a&b;c"} {
		file := filepath.Join(t.TempDir(), name)
		u := (&neturl.URL{Scheme: "sqlite", Path: file}).String()
		openBooks(t, u)
		require.FileExists(t, file)
		reader, err := OpenToRead(t.Context(), u)
		require.NoError(t, err)
		require.NoError(t, reader.Close())
	}
}
