package manage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
)

// Keys of the configuration in these tests.
const (
	rootKey = "root-key"
	userKey = "user-key"
)

// rig is a management API on a socket.
type rig struct {
	*testing.T
	books   *ledger.Books
	keys    *access.Keyring
	api     *API
	base    string
	client  *http.Client
	logs    *logs
	changes atomic.Int64
	// seen are the answers that were held against the description.
	seen map[string]bool
	// open is the number of requests that are being answered.
	open atomic.Int64
}

// logs is a log that a test reads while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func sqlite(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "ledger.db")
}

// twoKeys are those of an administrator and of a client.
func twoKeys() []config.Key {
	return []config.Key{
		{Alias: "root", SHA256: access.Hash(rootKey), Admin: true, Limits: config.Quota{Fail: config.FailOpen}},
		{
			Alias: "user", SHA256: access.Hash(userKey), Models: []string{"fast"}, Metadata: map[string]string{"team": "red"},
			Limits: config.Quota{Streams: 2, Fail: config.FailOpen, Budgets: []config.Budget{{USD: 1500000000, Per: "day", Hard: true}}},
		},
	}
}

// newRig serves the API with the books of a URL, without any if it is empty.
func newRig(t *testing.T, url string, configured ...config.Key) *rig {
	t.Helper()
	r := &rig{T: t, logs: &logs{}, seen: map[string]bool{}, client: &http.Client{Transport: &http.Transport{}}}
	logger := slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := access.Options{Configured: configured, Refresh: time.Hour, Logger: logger}
	if url != "" {
		var err error
		r.books, err = ledger.OpenBooks(context.Background(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = r.books.Close() })
		keys.Store = r.books
	}
	var err error
	r.keys, err = access.New(context.Background(), keys)
	require.NoError(t, err)
	t.Cleanup(r.keys.Close)
	r.api = New(Options{Books: r.books, Keys: r.keys, Changed: func() { r.changes.Add(1) }, Logger: logger})
	r.serve()
	return r
}

func (r *rig) serve() {
	r.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	r.base = "http://" + ln.Addr().String()
	server := &fasthttp.Server{CloseOnShutdown: true, Handler: func(rc *fasthttp.RequestCtx) {
		r.open.Add(1)
		defer r.open.Add(-1)
		if !r.api.Handle(rc) {
			rc.SetStatusCode(http.StatusTeapot)
		}
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	r.Cleanup(func() {
		r.client.CloseIdleConnections()
		require.NoError(r, server.Shutdown())
		require.NoError(r, <-served)
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request with a key, none if it is empty.
func (r *rig) call(method, path, key, body string) answer {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, r.base+path, strings.NewReader(body))
	require.NoError(r, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := r.client.Do(request)
	require.NoError(r, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	got := answer{response.StatusCode, response.Header, content}
	r.conform(request, got)
	return got
}

// object is the answer as JSON, which must have a status.
func (r *rig) object(got answer, status int) map[string]any {
	r.Helper()
	require.Equal(r, status, got.status, "%s", got.body)
	require.Equal(r, "application/json", got.header.Get("Content-Type"))
	var object map[string]any
	require.NoError(r, json.Unmarshal(got.body, &object))
	return object
}

// refused wants an error with a status and a code, and returns its message and parameter.
func (r *rig) refused(got answer, status int, code string) (message, param string) {
	r.Helper()
	e := r.object(got, status)["error"].(map[string]any)
	require.Equal(r, code, e["code"], "%s", got.body)
	param, _ = e["param"].(string)
	return e["message"].(string), param
}

// used puts sums of a day into the books of a SQLite file. One without exchanges is of an
// abandoned attempt.
func used(t *testing.T, url string, rows ...[]any) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, row := range rows {
		_, err := db.Exec(`INSERT INTO usage_daily (day, key, model, provider, outcome, usage_source, exchanges,
			input, input_cached, input_cache_write, input_audio, output, output_reasoning, output_audio,
			cost_nano_usd, cost_low_nano_usd, cost_high_nano_usd, unpriced, unbounded, abandoned, abandoned_cost_nano_usd)
			VALUES (?1, ?2, ?3, ?4, ?5, 'reported', ?6, ?7, 0, 0, 0, ?8, 0, 0, ?9, 0, 0, 0, 0, ?6 = 0, iif(?6 = 0, ?9, 0))`, row...)
		require.NoError(t, err)
	}
}

// patience bounds every wait of these tests for something that must happen.
const (
	patience = 10 * time.Second
	tick     = 10 * time.Millisecond
)

func stored(alias, hash, settings string) ledger.StoredKey {
	return ledger.StoredKey{Alias: alias, SHA256: hash, Settings: json.RawMessage(settings)}
}
