package config

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateFolder(t *testing.T) {
	home, system := t.TempDir(), t.TempDir()
	file := filepath.Join(home, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	f := func(want, system string, pairs ...string) {
		t.Helper()
		vars := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			vars[pairs[i]] = pairs[i+1]
		}
		getenv := func(name string) (string, bool) {
			value, ok := vars[name]
			return value, ok
		}
		require.Equal(t, want, stateFolder(getenv, system))
	}
	inHome := filepath.Join(home, ".local", "state", "sluice")
	f("/run/state", system, "STATE_DIRECTORY", "/run/state", "XDG_STATE_HOME", "/xdg", "HOME", home)
	f("/run/state", system, "STATE_DIRECTORY", "/run/state:/run/other")
	f("/xdg/sluice", system, "XDG_STATE_HOME", "/xdg", "HOME", home)
	f(inHome, system, "HOME", home)
	f(inHome, system, "STATE_DIRECTORY", "", "XDG_STATE_HOME", "not/absolute", "HOME", home)

	// Users without a home: a container, the user nobody.
	f(system, system)
	f(system, system, "HOME", "/")
	f(system, system, "HOME", filepath.Join(home, "absent"))
	f(system, system, "HOME", file)
	f("", filepath.Join(system, "absent"))
	f("", file)
	left, err := os.ReadDir(system)
	require.NoError(t, err)
	require.Empty(t, left, "looking leaves nothing behind")
}

func TestLedgerURL(t *testing.T) {
	c := Default()
	_, err := c.LedgerURL()
	require.ErrorContains(t, err, "there is no folder to keep state in")
	require.ErrorContains(t, err, "set ledger in the configuration")
	_, err = c.StateDir()
	require.Error(t, err)
	_, err = c.SpoolFolder()
	require.ErrorContains(t, err, "set ledger")

	c.StateFolder = "/home/a b/#1%"
	got, err := c.LedgerURL()
	require.NoError(t, err)
	u, err := url.Parse(got)
	require.NoError(t, err)
	require.Equal(t, "sqlite", u.Scheme)
	require.Equal(t, "/home/a b/#1%/ledger.db", u.Path, "as its reader decodes it")
	require.NoError(t, validLedger(got))
	require.Equal(t, got, RedactURL(got))
	dir, err := c.StateDir()
	require.NoError(t, err)
	require.Equal(t, c.StateFolder, dir)
	dir, err = c.SpoolFolder()
	require.NoError(t, err)
	require.Equal(t, c.StateFolder, dir)

	c.Ledger = "sqlite:///books/x.db"
	got, err = c.LedgerURL()
	require.NoError(t, err)
	require.Equal(t, "sqlite:///books/x.db", got)
	dir, err = c.SpoolFolder()
	require.NoError(t, err)
	require.Equal(t, "/books", dir)

	c.Ledger = "postgres://u:p@h/db"
	got, err = c.LedgerURL()
	require.NoError(t, err)
	require.Equal(t, "postgres://u:p@h/db", got, "the password is needed to use it")
	dir, err = c.SpoolFolder()
	require.NoError(t, err)
	require.Equal(t, c.StateFolder, dir)
	c.StateFolder = ""
	_, err = c.SpoolFolder()
	require.ErrorContains(t, err, "set spool_dir")
	c.SpoolDir = "/spool"
	dir, err = c.SpoolFolder()
	require.NoError(t, err)
	require.Equal(t, "/spool", dir)

	c.Ledger, c.SpoolDir = LedgerMemory, ""
	dir, err = c.SpoolFolder()
	require.NoError(t, err)
	require.Empty(t, dir)
}

// The variables that decide are read where the rest of the configuration is.
func TestLoadedConfigurationsKnowTheirStateFolder(t *testing.T) {
	getenv := func(name string) (string, bool) {
		value, ok := map[string]string{"STATE_DIRECTORY": "/state"}[name]
		return value, ok
	}
	c, err := FromEnvironment(getenv)
	require.NoError(t, err)
	require.Equal(t, "/state", c.StateFolder)
	c, err = Parse([]byte("providers: [{name: sim, dialect: sim}]"), "", getenv)
	require.NoError(t, err)
	got, err := c.LedgerURL()
	require.NoError(t, err)
	require.Equal(t, "sqlite:///state/ledger.db", got)
}
