package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shortestKeep is the shortest time that records can be kept for.
const shortestKeep = Duration(time.Hour)

func (k *checker) books() {
	if err := validLedger(string(k.Ledger)); err != nil {
		k.add("ledger", "%v", err)
	} else if path, ok := sqlitePath(string(k.Ledger)); ok {
		if why := unusableFile(path); why != "" {
			k.add("ledger", "the file cannot be made: %s", why)
		}
	}
	if err := validRedis(string(k.Redis)); err != nil {
		k.add("redis", "%v", err)
	}
	if k.SpoolDir != "" {
		if why := unusableFolder(k.SpoolDir); why != "" {
			k.add("spool_dir", "the folder %s cannot be made: %s", k.show("spool_dir", k.SpoolDir), why)
		}
	}
	if k.Keep != 0 && k.Keep < shortestKeep {
		k.add("keep", "%s is less than %s; 0 keeps records for ever", k.show("keep", k.Keep.String()), shortestKeep)
	}
	if k.Capture.Keep == 0 {
		k.add("capture.keep", "must be more than 0; to keep nothing, leave capture out of keys and models")
	}
	k.prices()
}

var (
	errLedgerForm = errors.New("must be a URL as sqlite:///path/ledger.db or postgres://user:password@host/database, or memory")
	errRedisForm  = errors.New("must be a URL as redis://user:password@host:6379/0, or rediss:// with TLS")
	errEscape     = errors.New("is not a URL; in a password write %40 for @, %23 for # and %2F for /")
)

// validLedger checks the URL of the books, which may be empty. Its errors complete a
// sentence that begins with the key and quote nothing: the URL may hold a password.
func validLedger(raw string) error {
	if raw == "" || raw == LedgerMemory {
		return nil
	}
	u, err := parseURL(raw, errLedgerForm, "sqlite", "postgres", "postgresql")
	switch {
	case err != nil:
		return err
	case u.Scheme == "sqlite":
		return validSQLite(raw, u)
	case u.Hostname() == "" && u.Query().Get("host") == "":
		return errors.New("names no host")
	case strings.Trim(u.Path, "/") == "":
		return errors.New("names no database; write it as postgres://host/database")
	}
	return validPort(u)
}

// parseURL parses a URL with one of the schemes, which may hold a password. A URL with
// another one, or with none, has the error form.
func parseURL(raw string, form error, schemes ...string) (*url.URL, error) {
	scheme, _, found := strings.Cut(raw, "://")
	if !found || !slices.Contains(schemes, scheme) {
		return nil, form
	}
	u, err := url.Parse(raw)
	if err != nil || !plainURL(raw, u) && scheme != "sqlite" {
		return nil, errEscape
	}
	return u, nil
}

func validSQLite(raw string, u *url.URL) error {
	path := u.Host + u.Path
	switch {
	case u.User != nil:
		return errLedgerForm
	case strings.ContainsAny(raw, "?#"):
		return errors.New("must not hold a query or a fragment; in the name of a file write %3F and %23")
	case path == "" || strings.HasSuffix(path, "/"):
		return errors.New("names no file; write it as sqlite:///path/ledger.db")
	case strings.ContainsRune(path, 0):
		return errors.New("holds a character that no file name can have")
	}
	return nil
}

// validRedis checks the URL of the shared counters, as validLedger does.
func validRedis(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := parseURL(raw, errRedisForm, "redis", "rediss")
	if err != nil {
		return err
	}
	switch number := strings.Trim(u.Path, "/"); {
	case u.Hostname() == "":
		return errors.New("names no host")
	case number != "":
		if _, err := strconv.ParseUint(number, 10, 16); err != nil || strings.Contains(number, "+") {
			return errors.New("has a path that is not the number of a database; write it as redis://host:6379/0")
		}
	}
	return validPort(u)
}

func validPort(u *url.URL) error {
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return errors.New("has a port that is not between 1 and 65535")
	}
	return nil
}

// unusableFile says why a file cannot be made or opened; "" when it can, as far as that
// can be told without making anything.
func unusableFile(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "it is a directory"
	}
	return unusableFolder(filepath.Dir(path))
}

// unusableFolder says why a folder is none and cannot be made; "" otherwise.
func unusableFolder(path string) string {
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return ""
		case err == nil:
			return filepath.Base(path) + " is not a directory"
		case !errors.Is(err, os.ErrNotExist):
			return reason(err)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "there is no " + path
		}
		path = parent
	}
}

// quota checks the limits of a key, a model or a provider.
func (k *checker) quota(path string, q Quota) {
	for i, b := range q.Budgets {
		at := fmt.Sprintf("%s.budgets[%d]", path, i)
		_, usd := k.positions[at+".usd"]
		_, tokens := k.positions[at+".tokens"]
		switch {
		case usd && tokens:
			k.add(at, "holds both usd and tokens; make it two budgets")
		case k.broken[at+".usd"] || k.broken[at+".tokens"]:
		case !usd && !tokens:
			k.add(at, "needs usd or tokens")
		case usd && b.USD == 0:
			k.add(at+".usd", "must be more than 0")
		case tokens && b.Tokens == 0:
			k.add(at+".tokens", "must be more than 0")
		}
	}
}

func (k *checker) prices() {
	if k.Prices.File != "" {
		k.jsonFile("prices.file", k.Prices.File)
	}
	providers := make([]string, len(k.Providers))
	for i, p := range k.Providers {
		providers[i] = p.Name
	}
	type place struct {
		provider, model, tier string
		above                 int
	}
	first := map[place]int{}
	for i, price := range k.Prices.Overrides {
		path := fmt.Sprintf("prices.overrides[%d]", i)
		if err := validUpstreamModel(price.Model); err != nil {
			k.add(path+".model", "%s %v", k.show(path+".model", price.Model), err)
		}
		if price.Provider != "" {
			k.knownProvider(path+".provider", price.Provider, providers)
		}
		at := place{price.Provider, price.Model, price.ServiceTier, price.AboveInput}
		if before, taken := first[at]; taken && price.Model != "" {
			k.add(path, "is for the same as prices.overrides[%d]", before)
			continue
		}
		first[at] = i
	}
}
