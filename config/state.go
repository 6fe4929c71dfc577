package config

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// systemState is the state folder of a user that has no home, as in a container.
const systemState = "/var/lib/sluice"

// ledgerFile is the name of the SQLite file in the state folder.
const ledgerFile = "ledger.db"

var errNoState = errors.New("there is no folder to keep state in: no STATE_DIRECTORY, XDG_STATE_HOME or home, and " + systemState + " cannot be written")

// stateFolder finds where files belong that are to survive a restart: the folder that
// systemd made for the service, else that of the XDG base directories, else system if
// it can be written. It is empty when there is none. Only the last one has to be there.
func stateFolder(getenv Getenv, system string) string {
	// systemd separates several folders with colons.
	granted, _ := getenv("STATE_DIRECTORY")
	granted, _, _ = strings.Cut(granted, ":")
	xdg, _ := getenv("XDG_STATE_HOME")
	home, _ := getenv("HOME")
	switch {
	case filepath.IsAbs(granted):
		return granted
	case filepath.IsAbs(xdg): // others are to be ignored, says the specification
		return filepath.Join(xdg, "sluice")
	case isHome(home):
		return filepath.Join(home, ".local", "state", "sluice")
	case writable(system):
		return system
	}
	return ""
}

// isHome reports whether a folder is somebody's home: users without one have / or a
// folder that is not there.
func isHome(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && filepath.IsAbs(dir) && filepath.Dir(dir) != dir
}

// writable reports whether files can be made in a folder. Nothing but trying tells:
// the file system may be read-only, and the permissions may not be all there is.
func writable(dir string) bool {
	file, err := os.CreateTemp(dir, ".sluice-*")
	if err != nil {
		return false
	}
	_ = file.Close()
	return os.Remove(file.Name()) == nil
}

// StateDir returns the folder for files that are to survive a restart. It may have to
// be made. The error says how to name another place.
func (c *Config) StateDir() (string, error) {
	if c.StateFolder == "" {
		return "", errNoState
	}
	return c.StateFolder, nil
}

// LedgerURL returns the URL of the books: the configured one, else that of a SQLite file
// in the state folder, which may have to be made.
func (c *Config) LedgerURL() (string, error) {
	if c.Ledger != "" {
		return string(c.Ledger), nil
	}
	dir, err := c.StateDir()
	if err != nil {
		return "", errors.New(err.Error() + "; set ledger in the configuration, as in sqlite:///path/ledger.db, or memory to keep the last records only")
	}
	return (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(filepath.Join(dir, ledgerFile))}).String(), nil
}

// SpoolFolder returns the folder for records that wait for the ledger: the configured
// one, else that of the SQLite file, else the state folder. It may have to be made. It
// is empty when the ledger is in memory and nothing can wait.
func (c *Config) SpoolFolder() (string, error) {
	if c.SpoolDir != "" {
		return c.SpoolDir, nil
	}
	ledger, err := c.LedgerURL()
	if err != nil {
		return "", err
	}
	if ledger == LedgerMemory {
		return "", nil
	}
	if path, ok := sqlitePath(ledger); ok {
		return filepath.Dir(path), nil
	}
	dir, err := c.StateDir()
	if err != nil {
		return "", errors.New(err.Error() + "; set spool_dir in the configuration")
	}
	return dir, nil
}

// sqlitePath returns the path of a SQLite ledger.
func sqlitePath(ledger string) (string, bool) {
	u, err := url.Parse(ledger)
	if err != nil || u.Scheme != "sqlite" {
		return "", false
	}
	return u.Host + u.Path, true
}
