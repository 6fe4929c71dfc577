// Package servers gives tests the real servers that they need: PostgreSQL and Redis, from
// the packages of the system. A test skips where they are not installed, saying so, except
// where CI is set: there everything must run.
package servers

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/localserver"
)

// Redis is a Redis server that keeps nothing on disk.
type Redis struct{ *localserver.Redis }

// StartRedis starts a server for one test and those inside it.
func StartRedis(tb testing.TB) *Redis {
	tb.Helper()
	r, err := localserver.StartRedis()
	skipOrFail(tb, err)
	tb.Cleanup(r.Kill)
	return &Redis{r}
}

// Start starts the server again after Kill, empty and at the same address.
func (r *Redis) Start(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, r.Redis.Start())
}

// Postgres is a PostgreSQL server.
type Postgres struct{ *localserver.Postgres }

// StartPostgres starts a server for one test and those inside it. It takes about a second.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	p, err := localserver.StartPostgres()
	skipOrFail(tb, err)
	tb.Cleanup(p.Close)
	return &Postgres{p}
}

// Start starts the server again after Kill, with what was committed.
func (p *Postgres) Start(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, p.Postgres.Start())
}

// Database makes an empty database and returns its URL.
func (p *Postgres) Database(tb testing.TB) string {
	tb.Helper()
	url, err := p.Postgres.Database()
	require.NoError(tb, err)
	return url
}

// skipOrFail ends a test whose server was not started.
func skipOrFail(tb testing.TB, err error) {
	tb.Helper()
	missing := errors.Is(err, localserver.ErrNotInstalled) && os.Getenv("CI") == ""
	if missing || errors.Is(err, errors.ErrUnsupported) {
		tb.Skip(err)
	}
	require.NoError(tb, err)
}
