package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
)

// shelf is a store of keys that never changes.
type shelf []ledger.StoredKey

func (s shelf) Keys(context.Context) ([]ledger.StoredKey, error) { return s, nil }

// A key that is unknown, malformed, disabled, revoked or not there gets the same reply, byte
// for byte, so that nobody can tell one from another.
// row C22
func TestRefusedKeysGetTheSameReply(t *testing.T) {
	t.Parallel()
	r := newRig(t, fastAt("x"))
	now := time.Now()
	keys, err := access.New(t.Context(), access.Options{
		Logger:     slog.New(slog.DiscardHandler),
		Configured: []config.Key{{Alias: "anna", SHA256: hashOf("sk-anna")}, {Alias: "revoked", SHA256: hashOf("sk-revoked")}},
		Store: shelf{
			{Alias: "disabled", SHA256: hashOf("sk-disabled"), Settings: json.RawMessage(`{}`), CreatedAt: now, DisabledAt: &now},
			{Alias: "broken", SHA256: hashOf("sk-broken"), Settings: json.RawMessage(`{"models":7}`), CreatedAt: now},
		},
	})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	require.NoError(t, keys.SetConfigured(keys.Configured()[:1]))
	before := r.srv.keys
	r.srv.keys = keys
	defer func() { r.srv.keys = before }()

	reply := func(request string) string {
		t.Helper()
		c := r.raw(request)
		all, err := io.ReadAll(c)
		require.NoError(t, err)
		var kept []string
		for line := range strings.SplitSeq(string(all), "\r\n") {
			if !strings.HasPrefix(line, "Date: ") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\r\n")
	}
	credentials := map[string]string{
		"unknown": "Authorization: Bearer sk-nobody\r\n", "none": "", "empty": "Authorization: Bearer \r\n", "disabled": "Authorization: Bearer sk-disabled\r\n", "revoked": "Authorization: Bearer sk-revoked\r\n",
		"broken": "Authorization: Bearer sk-broken\r\n", "basic": "Authorization: Basic c2stYW5uYTo=\r\n", "no scheme": "Authorization: sk-anna\r\n", "nearly": "Authorization: Bearer sk-ann\r\n", "longer": "Authorization: Bearer sk-annaa\r\n",
		"another case": "Authorization: Bearer SK-ANNA\r\n", "its hash": "Authorization: Bearer " + hashOf("sk-anna") + "\r\n", "a long one": "X-Api-Key: " + strings.Repeat("k", 8<<10) + "\r\n", "bytes": "X-Api-Key: \xff\xfe\x80\r\n", "another header": "Api-Key: sk-revoked\r\n",
	}
	for _, at := range []string{"POST " + chatPath, "GET /v1/models", "GET /v1/requests", "POST /v1/requests/a/cancel", "GET /v1/requests/a", "POST /v1/anything"} {
		want := ""
		for name, credential := range credentials {
			got := reply(at + " HTTP/1.1\r\nHost: h\r\nX-Request-Id: same\r\nContent-Type: application/json\r\n" + credential + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(fastWhole), fastWhole))
			if want == "" {
				want = got
				require.Contains(t, got, "HTTP/1.1 401 ")
				require.Contains(t, got, `"invalid_api_key"`)
			}
			require.Equal(t, want, got, "%s with a key that is %s", at, name)
		}
	}
	require.Zero(t, r.up.Conns())
	require.Equal(t, 200, r.ask(fastWhole, "Authorization: bearer sk-anna").status)
}
