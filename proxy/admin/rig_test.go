package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/manage"
)

// patience bounds every wait of these tests for something that must happen.
const patience = 10 * time.Second

// Keys of the configuration in these tests.
const (
	rootKey = "root-key"
	userKey = "user-key"
)

// rig is an admin listener on a socket.
type rig struct {
	*testing.T
	srv  *Server
	ln   net.Listener
	logs *logs

	mu      sync.Mutex
	ready   error
	failure error // of the next reload
	reloads int
	drains  int
	wait    time.Duration
	running chan struct{} // closed when no exchange runs
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

// listening opens the listener of a test that has no wish of its own.
func listening(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func unixListening(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "admin.sock"))
	require.NoError(t, err)
	return ln
}

// twoKeys are those of an administrator and of a client.
func twoKeys() []config.Key {
	return []config.Key{
		{Alias: "root", SHA256: access.Hash(rootKey), Admin: true},
		{Alias: "user", SHA256: access.Hash(userKey)},
	}
}

// newRig serves a listener with all that it can have, and what change makes of it.
func newRig(t *testing.T, ln net.Listener, keys []config.Key, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, ln: ln, logs: &logs{}, running: make(chan struct{}), wait: time.Hour}
	ring, err := access.New(context.Background(), access.Options{Configured: keys})
	require.NoError(t, err)
	t.Cleanup(ring.Close)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "sluice_up", Help: "Up."}))
	o := Options{
		Registry: registry, Keys: ring, API: manage.New(manage.Options{Keys: ring}),
		Ready:   func() error { return r.saying(&r.ready) },
		Targets: func() any { return []map[string]string{{"provider": "one", "state": "closed"}} },
		Reload: func(context.Context) error {
			r.mu.Lock()
			r.reloads++
			r.mu.Unlock()
			return r.saying(&r.failure)
		},
		Drain:     func() { r.mu.Lock(); defer r.mu.Unlock(); r.drains++ },
		Drained:   func() <-chan struct{} { return r.running },
		DrainWait: func() time.Duration { return r.wait },
		Logger:    slog.New(slog.NewJSONHandler(r.logs, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	r.srv = New(o)
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(ln) }()
	t.Cleanup(func() {
		require.NoError(t, r.srv.Close())
		require.NoError(t, <-served)
	})
	return r
}

// say sets what the next call says.
func (r *rig) say(which *error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*which = err
}

func (r *rig) saying(which *error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *which
}

// done is how often something was asked for.
func (r *rig) done() (reloads, drains int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reloads, r.drains
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the code of an error.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var e struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &e), "%s", a.body)
	return e.Error.Code
}

// send begins a raw request; what it gets comes over the channel.
func (r *rig) send(raw string) <-chan answer {
	r.Helper()
	c, err := net.Dial(r.ln.Addr().Network(), r.ln.Addr().String())
	require.NoError(r, err)
	require.NoError(r, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, raw)
	require.NoError(r, err)
	got := make(chan answer, 1)
	go func() {
		defer func() { _ = c.Close() }()
		method, _, _ := strings.Cut(raw, " ")
		response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
		if err != nil {
			got <- answer{body: err.Error()}
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		got <- answer{response.StatusCode, response.Header, string(body)}
	}()
	return got
}

// call sends a request line and header lines, with the Host that the listener has if they
// have none.
func (r *rig) call(line string, headers ...string) answer {
	r.Helper()
	if !strings.Contains(strings.Join(headers, "\n"), "Host:") {
		headers = append(headers, "Host: "+r.host())
	}
	got := r.send(fmt.Sprintf("%s HTTP/1.1\r\n%s\r\n\r\n", line, strings.Join(headers, "\r\n")))
	select {
	case a := <-got:
		return a
	case <-time.After(patience):
		require.FailNow(r, "no answer", line)
		return answer{}
	}
}

func (r *rig) host() string {
	if r.ln.Addr().Network() == "unix" {
		return "localhost"
	}
	return r.ln.Addr().String()
}

func bearer(key string) string { return "Authorization: Bearer " + key }
