package access

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

func TestKeysAreShownByAliasAndOnce(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(want string, stored ...ledger.StoredKey) {
		t.Helper()
		shown, err := json.Marshal(Views([]config.Key{configured("middle", "k", true)}, stored)[0])
		require.NoError(t, err)
		require.JSONEq(t, want, string(shown))
	}
	f(`{"object":"key","alias":"middle","source":"config","enabled":true,"admin":true,"capture":false,
		"created_at":null,"rotated_at":null,"disabled_at":null}`,
		ledger.StoredKey{Alias: "middle", SHA256: Hash("x"), Settings: []byte(`{}`)},
		ledger.StoredKey{Alias: "z", SHA256: Hash("z"), Settings: []byte(`{}`)})
	f(`{"object":"key","alias":"a","source":"ledger","enabled":false,"capture":true,
		"created_at":"2026-01-02T03:04:05Z","rotated_at":null,"disabled_at":"2026-01-02T03:04:05Z"}`,
		ledger.StoredKey{Alias: "a", SHA256: Hash("a"), Settings: []byte(`{"capture":true}`), CreatedAt: made, DisabledAt: &made})
	f(`{"object":"key","alias":"a","source":"ledger","enabled":false,"problem":"Its settings are of another version of sluice: it is refused.",
		"created_at":"2026-01-02T03:04:05Z","rotated_at":"2026-01-02T03:04:05Z","disabled_at":null}`,
		ledger.StoredKey{Alias: "a", SHA256: Hash("a"), Settings: []byte(`{"x":1}`), CreatedAt: made, RotatedAt: &made})
	f(`{"object":"key","alias":"a","source":"ledger","enabled":false,"problem":"The configuration has this key under another alias, which counts.",
		"created_at":"2026-01-02T03:04:05Z","rotated_at":null,"disabled_at":null}`,
		ledger.StoredKey{Alias: "a", SHA256: Hash("k"), Settings: []byte(`{}`), CreatedAt: made})
}

func TestKeyItselfIsShownWhenItIsAskedFor(t *testing.T) {
	v := ViewConfigured(configured("a", "k", false))
	with, err := json.Marshal(v.With("sk-sluice-x"))
	require.NoError(t, err)
	require.Contains(t, string(with), `"key":"sk-sluice-x"`)
	without, err := json.Marshal(v)
	require.NoError(t, err)
	require.NotContains(t, string(without), "sk-sluice")
}
