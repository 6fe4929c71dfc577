package manage

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting/ledger"
)

func TestUsageIsAskedForWithoutAKey(t *testing.T) {
	where := sqlite(t)
	r := newRig(t, where, twoKeys()...)
	day := time.Now().Unix() / 86400
	used(t, where,
		[]any{day - 40, "alice", "fast", "openai", "completed", 1, 10, 1, 100},
		[]any{day - 1, "alice", "fast", "openai", "completed", 2, 20, 2, 200},
		[]any{day - 1, "alice", "slow", "other", "client_gone", 3, 30, 3, 300},
		[]any{day - 1, "bob", "fast", "openai", "completed", 4, 40, 4, 400},
		[]any{day - 1, "", "fast", "openai", "completed", 5, 50, 5, 500})

	f := func(query string, want ...map[string]any) {
		t.Helper()
		got := r.object(r.call(http.MethodGet, "/v1/usage"+query, "", ""), http.StatusOK)
		require.Equal(t, "list", got["object"])
		require.Nil(t, got["next"])
		rows := got["data"].([]any)
		require.Len(t, rows, len(want), "%v", rows)
		for i := range want {
			row := rows[i].(map[string]any)
			for name, value := range want[i] {
				require.EqualValues(t, value, row[name], "%s of row %d", name, i)
			}
		}
	}
	f("", map[string]any{"exchanges": 15, "input": 150, "output": 15, "cost_nano_usd": 1500})
	f("?by=key",
		map[string]any{"key": "", "exchanges": 5}, map[string]any{"key": "alice", "exchanges": 6}, map[string]any{"key": "bob", "exchanges": 4})
	f("?by=key,model&since=30d&key=alice",
		map[string]any{"key": "alice", "model": "fast", "exchanges": 2}, map[string]any{"key": "alice", "model": "slow", "exchanges": 3})
	f("?by=key&by=outcome&outcome=client_gone", map[string]any{"key": "alice", "outcome": "client_gone", "exchanges": 3})
	f("?key=alice&key=bob&provider=openai&model=fast&since=30d", map[string]any{"exchanges": 6})
	f("?key=", map[string]any{"exchanges": 5})
	f("?by=day&until=30d&key=alice", map[string]any{"exchanges": 1})
	f("?by=key&since=2100-01-01")

	// What the abandoned attempts of exchanges have used is in the sums of their providers.
	used(t, where, []any{day, "bob", "fast", "beside", "completed", 0, 6, 0, 60})
	f("?by=provider&key=bob",
		map[string]any{"provider": "beside", "exchanges": 0, "input": 6, "cost_nano_usd": 60, "abandoned": 1, "abandoned_cost_nano_usd": 60},
		map[string]any{"provider": "openai", "exchanges": 4, "abandoned": 0, "abandoned_cost_nano_usd": 0})
}

func TestUsageInPages(t *testing.T) {
	where := sqlite(t)
	r := newRig(t, where)
	day := time.Now().Unix() / 86400
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		used(t, where, []any{day, key, "m", "p", "completed", 1, 1, 1, 1})
	}
	var keys []any
	cursor := ""
	for range 3 {
		got := r.object(r.call(http.MethodGet, "/v1/usage?by=key&limit=2&cursor="+url.QueryEscape(cursor), "", ""), http.StatusOK)
		for _, row := range got["data"].([]any) {
			keys = append(keys, row.(map[string]any)["key"])
		}
		cursor, _ = got["next"].(string)
	}
	require.Empty(t, cursor)
	require.Equal(t, []any{"a", "b", "c", "d", "e"}, keys)
}

func TestBadParameterIsNamed(t *testing.T) {
	r := newRig(t, sqlite(t))
	f := func(query, param, why string) {
		t.Helper()
		message, named := r.refused(r.call(http.MethodGet, "/v1/usage?"+query, "", ""), http.StatusBadRequest, "invalid_value")
		require.Equal(t, param, named)
		require.Contains(t, message, why)
	}
	f("by=shoe", "by", "key, model, provider")
	f("by=key,key", "by", "twice")
	f("since=yesterday", "since", "7d")
	f("until=never", "until", "2006-01-02")
	f("since=1h&until=2h", "until", "later than since")
	f("outcome=fine", "outcome", "one of the outcomes")
	f("limit=0", "limit", "from 1 to 10000")
	f("limit=10001", "limit", "from 1 to 10000")
	f("limit=many", "limit", "from 1 to 10000")
	f("cursor=x", "cursor", "next")
	f("group=key", "group", "no such parameter")
	f("key=%ff", "key", "UTF-8")
	f("model=%00", "model", "UTF-8")
}

func TestUsageWithoutADatabase(t *testing.T) {
	message, _ := newRigWithout(t).usageRefused(http.StatusNotImplemented, "no_ledger")
	require.Contains(t, message, "set ledger in the configuration")
}

func TestUsageWhileTheDatabaseIsGone(t *testing.T) {
	r := newRig(t, sqlite(t))
	require.NoError(t, r.books.Close())
	got := r.call(http.MethodGet, "/v1/usage", "", "")
	require.Equal(t, "1", got.header.Get("Retry-After"))
	message, _ := r.refused(got, http.StatusServiceUnavailable, "ledger_unavailable")
	require.Equal(t, "The ledger cannot be reached at the moment.", message)
	require.Contains(t, r.logs.String(), "database is closed")
}

func newRigWithout(t *testing.T) *rig { return newRig(t, "") }

func (r *rig) usageRefused(status int, code string) (message, param string) {
	r.Helper()
	return r.refused(r.call(http.MethodGet, "/v1/usage", "", ""), status, code)
}

func TestPathsAndMethods(t *testing.T) {
	r := newRig(t, sqlite(t), twoKeys()...)
	f := func(method, path string, status int, allow string) {
		t.Helper()
		got := r.call(method, path, rootKey, "")
		require.Equal(t, status, got.status)
		require.Equal(t, allow, got.header.Get("Allow"))
	}
	f(http.MethodPost, "/v1/usage", http.StatusMethodNotAllowed, "GET, HEAD")
	f(http.MethodDelete, "/openapi.yaml", http.StatusMethodNotAllowed, "GET, HEAD")
	f(http.MethodPut, "/v1/keys", http.StatusMethodNotAllowed, "GET, HEAD, POST")
	f(http.MethodDelete, "/v1/keys/user", http.StatusMethodNotAllowed, "GET, HEAD, PATCH")
	f(http.MethodGet, "/v1/keys/user/rotate", http.StatusMethodNotAllowed, "POST")
	f(http.MethodHead, "/v1/keys", http.StatusOK, "")
	f(http.MethodHead, "/v1/usage", http.StatusOK, "")
	for _, path := range []string{"/v1/keys/", "/v1/keys/user/", "/v1/keys/user/sing", "/v1/keys/user/rotate/", "/v1/keys/user/rotate/more"} {
		f(http.MethodPost, path, http.StatusNotFound, "")
	}
	for _, path := range []string{"/", "/v1", "/v1/usage/", "/v1/keysmith", "/metrics", "/v1/requests"} {
		f(http.MethodGet, path, http.StatusTeapot, "")
	}
}

// The next question for usage waits while two are asked, so that there are connections left
// for those who write.
func TestOnlyAFewAskForUsageAtOnce(t *testing.T) {
	r := newRig(t, sqlite(t))
	for range usageAtOnce {
		r.api.asking <- struct{}{}
	}
	var before atomic.Bool
	answered := make(chan error, 1)
	go func() {
		response, err := r.client.Get(r.base + "/v1/usage")
		if err == nil {
			before.Store(len(r.api.asking) == usageAtOnce)
			err = response.Body.Close()
		}
		answered <- err
	}()
	require.Eventually(t, func() bool { return r.open.Load() == 1 }, patience, tick)
	require.Empty(t, answered)
	<-r.api.asking
	<-r.api.asking
	require.NoError(t, <-answered)
	require.False(t, before.Load())
}

func FuzzUsageQuery(f *testing.F) {
	f.Add("by=key,model&since=7d&limit=3")
	f.Add("by=,,&key=&key=%00&cursor=%")
	f.Add("since=-1d&until=9999999h")
	f.Fuzz(func(t *testing.T, query string) {
		var args fasthttp.Args
		args.Parse(query)
		q, err := usageQuery(&args, time.Now())
		if err == nil {
			require.LessOrEqual(t, len(q.By), len(ledger.Dimensions()))
			require.Positive(t, q.Limit)
		}
	})
}
