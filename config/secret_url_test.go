package config_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestRedactURL(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		require.Equal(t, want, config.RedactURL(raw))
		require.Equal(t, want, config.SecretURL(raw).Redacted())
		require.Equal(t, want, config.RedactURL(want), "twice is the same")
	}
	f("", "")
	f("memory:", "memory:")
	f("sqlite:///var/lib/sluice/ledger.db", "sqlite:///var/lib/sluice/ledger.db")
	f("sqlite:///home/a@b/ledger.db", "sqlite:///home/a@b/ledger.db")
	f("sqlite:///a%20b/ledger.db", "sqlite:///a%20b/ledger.db")
	f("sqlite://ledger.db", "sqlite://ledger.db")
	f("postgres://user:CANARY@db.example:5432/sluice?sslmode=disable&password=CANARY", "postgres://db.example:5432/sluice")
	f("postgresql://CANARY@[::1]/sluice", "postgresql://[::1]/sluice")
	f("postgres:///sluice?host=/run/postgresql&password=CANARY", "postgres:///sluice?host=%2Frun%2Fpostgresql")
	f("postgres://user:CANARY@/sluice?host=/run/postgresql", "postgres:///sluice?host=%2Frun%2Fpostgresql")
	f("redis://:CANARY@cache.example:6379/0", "redis://cache.example:6379/0")
	f("rediss://cache.example", "rediss://cache.example")

	// Passwords that were not escaped end up in another part of the URL.
	f("postgres://user:CANARY@CANARY@host/db", "***")
	f("postgres://user:CANARY#CANARY@host/db", "***")
	f("postgres://user:1/CANARY@host/db", "***")
	f("redis://CANARY?@host", "***")
	f("redis://CANARY?a@host", "***")
	f("redis:CANARY", "***")
	f("redis://:CANARY%@host", "***")
	f("CANARY", "***")
}

func TestSecretURLsAppearNowhere(t *testing.T) {
	src := simulatorOnly + `
ledger: postgres://user:CANARY-1@db.example/books?password=CANARY-2
redis: redis://:CANARY-3@cache.example/1
`
	c, err := config.Parse([]byte(src), "", noEnvironment)
	require.NoError(t, err)
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	shown := string(c.Redacted()) + string(asJSON) + c.Digest() + fmt.Sprintf("%v %+v %#v %s %q %x", *c, *c, *c, c.Ledger, c.Redis, c.Redis)
	shown += c.Ledger.LogValue().String() + c.Redis.LogValue().String()
	require.NotContains(t, shown, "CANARY")
	require.NotContains(t, shown, fmt.Sprintf("%x", "CANARY"))
	require.Contains(t, string(c.Redacted()), "ledger: postgres://db.example/books\n")
	require.Contains(t, string(c.Redacted()), "redis: redis://cache.example/1\n")

	// A problem does not quote them either.
	for _, src := range []string{"ledger: postgre://u:CANARY@h/db", "ledger: postgres://u:CANARY@h:x/db", "redis: http://CANARY", "redis: redis://:CANARY@:70000/0", "ledger: [postgres://CANARY]"} {
		_, err = config.Parse([]byte(simulatorOnly+src), "", noEnvironment)
		require.Error(t, err, src)
		require.NotContains(t, err.Error(), "CANARY")
	}
}
