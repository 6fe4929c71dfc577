//go:build unix

package ledger

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The books may come to hold prompts, so nobody else reads them, wherever they are.
func TestTheFilesOfTheBooksArePrivate(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o755))
	b, err := OpenBooks(t.Context(), "sqlite://"+filepath.Join(folder, "ledger.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	files, err := filepath.Glob(filepath.Join(folder, "ledger.db*"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2, "%v", files)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %s", file, info.Mode())
	}
}
