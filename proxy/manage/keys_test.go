package manage

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
	"github.com/sluicehq/sluice/proxy/access"
)

func TestKeysInSQLite(t *testing.T) {
	testKeys(t, sqlite)
}

func TestKeysInPostgreSQL(t *testing.T) {
	server := servers.StartPostgres(t)
	testKeys(t, func(t *testing.T) string { return server.Database(t) })
}

func testKeys(t *testing.T, url func(*testing.T) string) {
	t.Run("a key is made, shown once, and works at once", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		got := r.call(http.MethodPost, "/v1/keys", rootKey, `{
			"alias": "alice", "models": ["gpt-5*"], "metadata": {"team": "blue"}, "capture": true, "on_ledger_failure": "allow",
			"limits": {"streams": 4, "max_duration": "90s", "budgets": [{"usd": 0.000000001, "per": "month"}, {"tokens": 5, "per": "day", "hard": false}]}}`)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		made := r.object(got, http.StatusCreated)
		secret := made["key"].(string)
		require.Regexp(t, `^sk-sluice-[A-Za-z0-9_-]{43}$`, secret)
		require.Equal(t, "ledger", made["source"])
		require.Equal(t, true, made["enabled"])
		require.NotNil(t, made["created_at"])
		require.EqualValues(t, 1, r.changes.Load())

		who, ok := r.keys.Identify([]byte(secret))
		require.True(t, ok)
		require.Equal(t, "alice", who.Alias)
		require.True(t, who.Capture)
		require.Equal(t, "allow", who.OnLedgerFailure)
		require.True(t, who.MayAsk("gpt-5-mini"))
		require.False(t, who.MayAsk("fast"))
		require.Equal(t, 4, who.Limits.Streams)
		require.EqualValues(t, 1, who.Limits.Budgets[0].USD)

		shown := r.object(r.call(http.MethodGet, "/v1/keys/alice", rootKey, ""), http.StatusOK)
		delete(made, "key")
		require.Equal(t, made, shown)
		require.Equal(t, []any{"gpt-5*"}, shown["models"])
		require.Equal(t, map[string]any{"team": "blue"}, shown["metadata"])
		limits := shown["limits"].(map[string]any)
		require.EqualValues(t, 4, limits["streams"])
		require.Equal(t, "1m30s", limits["max_duration"])
		require.Len(t, limits["budgets"], 2)
	})

	t.Run("all keys are listed by alias, also those of the configuration", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"sam"}`), http.StatusCreated)
		r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice"}`), http.StatusCreated)
		list := r.object(r.call(http.MethodGet, "/v1/keys", rootKey, ""), http.StatusOK)
		var shown []string
		for _, item := range list["data"].([]any) {
			key := item.(map[string]any)
			shown = append(shown, fmt.Sprint(key["alias"], " ", key["source"], " ", key["admin"], " ", key["key"]))
		}
		require.Equal(t, []string{"alice ledger false <nil>", "root config true <nil>", "sam ledger false <nil>", "user config false <nil>"}, shown)
	})

	t.Run("settings are merged", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		secret := r.object(r.call(http.MethodPost, "/v1/keys", rootKey,
			`{"alias":"alice","metadata":{"a":"1","b":"2"},"limits":{"streams":4,"requests_per_minute":60},"models":["x"]}`), http.StatusCreated)["key"].(string)
		got := r.object(r.call(http.MethodPatch, "/v1/keys/alice", rootKey,
			`{"admin":true,"metadata":{"b":null,"c":"3"},"limits":{"requests_per_minute":null,"tokens_per_minute":9},"models":null}`), http.StatusOK)
		require.Equal(t, map[string]any{"a": "1", "c": "3"}, got["metadata"])
		require.Equal(t, map[string]any{"streams": 4.0, "tokens_per_minute": 9.0, "fail": "open"}, got["limits"])
		require.NotContains(t, got, "models")
		who, _ := r.keys.Identify([]byte(secret))
		require.True(t, who.Admin)

		// An administrator by now.
		r.object(r.call(http.MethodPatch, "/v1/keys/alice", secret, `{"admin":false}`), http.StatusOK)
		r.refused(r.call(http.MethodPatch, "/v1/keys/alice", secret, `{"admin":true}`), http.StatusForbidden, "admin_required")
	})

	t.Run("a key is rotated", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		first := r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice","metadata":{"a":"1"}}`), http.StatusCreated)
		rotated := r.object(r.call(http.MethodPost, "/v1/keys/alice/rotate", rootKey, ""), http.StatusOK)
		require.NotEqual(t, first["key"], rotated["key"])
		require.NotNil(t, rotated["rotated_at"])
		require.Equal(t, first["created_at"], rotated["created_at"])
		require.Equal(t, first["metadata"], rotated["metadata"])
		_, ok := r.keys.Identify([]byte(first["key"].(string)))
		require.False(t, ok)
		_, ok = r.keys.Identify([]byte(rotated["key"].(string)))
		require.True(t, ok)
	})

	t.Run("a key is disabled and enabled", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		secret := []byte(r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice"}`), http.StatusCreated)["key"].(string))
		off := r.object(r.call(http.MethodPost, "/v1/keys/alice/disable", rootKey, ""), http.StatusOK)
		require.Equal(t, false, off["enabled"])
		require.NotNil(t, off["disabled_at"])
		_, ok := r.keys.Identify(secret)
		require.False(t, ok)
		require.Equal(t, off, r.object(r.call(http.MethodPost, "/v1/keys/alice/disable", rootKey, ""), http.StatusOK))
		on := r.object(r.call(http.MethodPost, "/v1/keys/alice/enable", rootKey, ""), http.StatusOK)
		require.Equal(t, true, on["enabled"])
		_, ok = r.keys.Identify(secret)
		require.True(t, ok)
		require.EqualValues(t, 4, r.changes.Load())
	})

	t.Run("an alias is taken once", func(t *testing.T) {
		r := newRig(t, url(t), twoKeys()...)
		var made, taken int
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base+"/v1/keys", strings.NewReader(`{"alias":"alice"}`))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("X-Api-Key", rootKey)
				response, err := r.client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				switch response.StatusCode {
				case http.StatusCreated:
					made++
				case http.StatusConflict:
					taken++
				}
			})
		}
		callers.Wait()
		require.Equal(t, 1, made)
		require.Equal(t, 3, taken)
		r.refused(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"user"}`), http.StatusConflict, "key_exists")
		require.EqualValues(t, 1, r.changes.Load())
	})
}

func TestKeysNeedAnAdministrator(t *testing.T) {
	r := newRig(t, sqlite(t), twoKeys()...)
	calls := []struct{ method, path, body string }{
		{http.MethodGet, "/v1/keys", ""},
		{http.MethodPost, "/v1/keys", `{"alias":"alice"}`},
		{http.MethodGet, "/v1/keys/user", ""},
		{http.MethodPatch, "/v1/keys/user", `{}`},
		{http.MethodPost, "/v1/keys/user/rotate", ""},
		{http.MethodPost, "/v1/keys/user/disable", ""},
		{http.MethodPost, "/v1/keys/user/enable", ""},
	}
	for _, c := range calls {
		r.refused(r.call(c.method, c.path, "", c.body), http.StatusUnauthorized, "invalid_api_key")
		r.refused(r.call(c.method, c.path, "wrong", c.body), http.StatusUnauthorized, "invalid_api_key")
		r.refused(r.call(c.method, c.path, userKey, c.body), http.StatusForbidden, "admin_required")
	}
	keys, err := r.books.Keys(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys)

	// Where no key is asked for, everybody is an administrator of requests, and nobody of keys.
	for _, r := range []*rig{newRig(t, sqlite(t)), newRig(t, sqlite(t), twoKeys()[1])} {
		for _, key := range []string{"", userKey} {
			message, _ := r.refused(r.call(http.MethodPost, "/v1/keys", key, `{"alias":"alice","admin":true}`), http.StatusForbidden, "admin_required")
			require.Contains(t, message, "sluice keys create --alias NAME --admin")
		}
	}
}

func TestConfiguredKeysCannotBeChanged(t *testing.T) {
	for _, r := range []*rig{newRig(t, sqlite(t), twoKeys()...), newRig(t, "", twoKeys()...)} {
		r.refused(r.call(http.MethodPatch, "/v1/keys/user", rootKey, `{"admin":true}`), http.StatusConflict, "key_configured")
		for _, action := range []string{"rotate", "disable", "enable"} {
			r.refused(r.call(http.MethodPost, "/v1/keys/user/"+action, rootKey, ""), http.StatusConflict, "key_configured")
		}
		shown := r.object(r.call(http.MethodGet, "/v1/keys/user", rootKey, ""), http.StatusOK)
		require.Equal(t, "config", shown["source"])
		require.Equal(t, []any{"fast"}, shown["models"])
		require.Nil(t, shown["created_at"])
		require.EqualValues(t, 1.5, shown["limits"].(map[string]any)["budgets"].([]any)[0].(map[string]any)["usd"])
	}
}

func TestWithoutADatabaseThereAreConfiguredKeysOnly(t *testing.T) {
	r := newRig(t, "", twoKeys()...)
	require.Len(t, r.object(r.call(http.MethodGet, "/v1/keys", rootKey, ""), http.StatusOK)["data"], 2)
	r.refused(r.call(http.MethodGet, "/v1/keys/alice", rootKey, ""), http.StatusNotFound, "key_not_found")
	r.refused(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice"}`), http.StatusNotImplemented, "no_ledger")
	r.refused(r.call(http.MethodPost, "/v1/keys/alice/rotate", rootKey, ""), http.StatusNotImplemented, "no_ledger")
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	r := newRig(t, sqlite(t), twoKeys()...)
	r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice"}`), http.StatusCreated)
	f := func(method, path, body, code, param string) {
		t.Helper()
		_, named := r.refused(r.call(method, path, rootKey, body), http.StatusBadRequest, code)
		require.Equal(t, param, named)
	}
	create := func(body, code, param string) { t.Helper(); f(http.MethodPost, "/v1/keys", body, code, param) }
	change := func(body, code, param string) { t.Helper(); f(http.MethodPatch, "/v1/keys/alice", body, code, param) }
	create("", "invalid_json", "")
	create("{", "invalid_json", "")
	create("[]", "invalid_value", "")
	create(`{}`, "invalid_value", "alias")
	create(`{"alias":"a b"}`, "invalid_value", "alias")
	create(`{"alias":"${HOME}"}`, "invalid_value", "alias")
	create(`{"alias":"bob","sha256":"`+access.Hash("mine")+`"}`, "invalid_value", "sha256")
	create(`{"alias":"bob","budget":5}`, "invalid_value", "budget")
	create(`{"alias":"bob","limits":{"budgets":[{"usd":1,"per":"week"}]}}`, "invalid_value", "limits.budgets[0].per")
	create(`{"alias":"bob","on_ledger_failure":"shrug"}`, "invalid_value", "on_ledger_failure")
	change("null", "invalid_value", "")
	change("{", "invalid_json", "")
	change(`{"alias":"bob"}`, "invalid_value", "alias")
	change(`{"sha256":null}`, "invalid_value", "sha256")
	change(`{"limits":{"streams":-1}}`, "invalid_value", "limits.streams")
	change(`{"limits":5}`, "invalid_value", "limits")
	require.EqualValues(t, 1, r.changes.Load())
}

func TestKeyThatIsRefusedForItsSettingsSaysSo(t *testing.T) {
	where := sqlite(t)
	r := newRig(t, where, twoKeys()...)
	_, err := r.books.CreateKey(t.Context(), stored("odd", access.Hash("odd"), `{"bananas":1}`))
	require.NoError(t, err)
	_, err = r.books.CreateKey(t.Context(), stored("twin", access.Hash(userKey), `{}`))
	require.NoError(t, err)
	odd := r.object(r.call(http.MethodGet, "/v1/keys/odd", rootKey, ""), http.StatusOK)
	require.Equal(t, false, odd["enabled"])
	require.Contains(t, odd["problem"], "another version")
	twin := r.object(r.call(http.MethodGet, "/v1/keys/twin", rootKey, ""), http.StatusOK)
	require.Equal(t, false, twin["enabled"])
	require.Contains(t, twin["problem"], "another alias")
	_, param := r.refused(r.call(http.MethodPatch, "/v1/keys/odd", rootKey, `{"admin":true}`), http.StatusBadRequest, "invalid_value")
	require.Equal(t, "bananas", param)
	r.object(r.call(http.MethodPatch, "/v1/keys/odd", rootKey, `{"bananas":null}`), http.StatusOK)
	who, ok := r.keys.Identify([]byte("odd"))
	require.True(t, ok)
	require.Equal(t, "odd", who.Alias)
}

// A key appears in the one answer that hands it over, and nowhere else: not in another
// answer, not in the log, not in the database.
func TestSecretIsNowhereButInItsAnswer(t *testing.T) {
	where := sqlite(t)
	r := newRig(t, where, twoKeys()...)
	made := r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice","admin":true}`), http.StatusCreated)["key"].(string)
	rotated := r.object(r.call(http.MethodPost, "/v1/keys/alice/rotate", made, ""), http.StatusOK)["key"].(string)
	var said strings.Builder
	for _, c := range []struct{ method, path, key, body string }{
		{http.MethodGet, "/v1/keys", rotated, ""},
		{http.MethodGet, "/v1/keys/alice", rotated, ""},
		{http.MethodPatch, "/v1/keys/alice", rotated, `{"capture":true}`},
		{http.MethodPost, "/v1/keys", rotated, `{"alias":"alice"}`},
		{http.MethodPost, "/v1/keys", rotated, `{"alias":"` + rotated + `","x":1}`},
		{http.MethodPost, "/v1/keys/alice/disable", rotated, ""},
		{http.MethodGet, "/v1/keys", made, ""},
		{http.MethodGet, "/v1/usage", rotated, ""},
	} {
		if strings.Contains(c.body, rotated) {
			r.call(c.method, c.path, c.key, c.body) // it may quote what it was told
			continue
		}
		said.Write(r.call(c.method, c.path, c.key, c.body).body)
	}
	require.NoError(t, r.books.Close())
	r.call(http.MethodGet, "/v1/keys", rootKey, "")
	said.WriteString(r.logs.String())
	files, err := filepath.Glob(strings.TrimPrefix(where, "sqlite://") + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		said.Write(content)
	}
	for _, secret := range []string{made, rotated, rootKey} {
		require.NotContains(t, said.String(), secret)
		require.NotContains(t, said.String(), strings.TrimPrefix(secret, access.KeyPrefix))
	}
	require.Contains(t, said.String(), access.Hash(rotated), "the database has the hash")
	require.Contains(t, r.logs.String(), `"msg":"a key was rotated","key":"alice","by":"alice"`)
}

// A change that was written is answered, with its key, also if the keys cannot be read then.
func TestDatabaseThatFailsAfterTheChange(t *testing.T) {
	server := servers.StartPostgres(t)
	r := newRig(t, server.Database(t), twoKeys()...)
	r.object(r.call(http.MethodPost, "/v1/keys", rootKey, `{"alias":"alice"}`), http.StatusCreated)
	server.Kill()
	r.refused(r.call(http.MethodPost, "/v1/keys/alice/rotate", rootKey, ""), http.StatusServiceUnavailable, "ledger_unavailable")
	r.refused(r.call(http.MethodGet, "/v1/keys", rootKey, ""), http.StatusServiceUnavailable, "ledger_unavailable")
	server.Start(t)
	require.Eventually(t, func() bool { return r.call(http.MethodGet, "/v1/keys", rootKey, "").status == http.StatusOK }, patience, tick)
}
