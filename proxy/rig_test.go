package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/downstream"
)

// patience bounds every wait of these tests for something that must happen.
const patience = 10 * time.Second

// rig is a running sluice in front of a fake provider.
type rig struct {
	testing.TB
	up     *fakeprovider.Provider
	cfg    *config.Config
	srv    *Server
	ledger *accounting.Memory
	addr   string
	logs   *lockedBuffer
}

// newRig starts a sluice whose only provider is a fake one, with the changes that a
// test makes to its configuration.
func newRig(tb testing.TB, changes ...func(*config.Config)) *rig {
	tb.Helper()
	up := fakeprovider.New(tb)
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Providers = []config.Provider{{
		Name: "fake", Dialect: config.DialectOpenAI, BaseURL: up.URL(), MayBill: config.MayBillUnknown,
		IdleConn: config.Duration(4 * time.Second), ContinuousUsage: no, // so that nothing asks it what it is
	}}
	for _, change := range changes {
		change(cfg)
	}
	r := &rig{TB: tb, up: up, cfg: cfg, ledger: accounting.NewMemory(10_000), logs: &lockedBuffer{}}
	var err error
	r.srv, err = New(cfg, Options{Logger: slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Ledger: r.ledger})
	require.NoError(tb, err)
	ln, err := downstream.Listen(cfg.Listen)
	require.NoError(tb, err)
	r.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(ln) }()
	tb.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		r.srv.Shutdown(now)
		require.NoError(tb, <-served)
		require.NoError(tb, r.ledger.Close())
	})
	return r
}

// record waits for the record of an exchange as it is in the end.
func (r *rig) record(id string) *accounting.Record {
	r.Helper()
	var rec *accounting.Record
	require.Eventually(r, func() bool {
		if r.srv.running.get(id) != nil {
			return false // it may be amended
		}
		var ok bool
		rec, ok = r.ledger.Get(context.Background(), id)
		return ok
	}, patience, time.Millisecond, "no record of %s", id)
	return rec
}

// onlyRecord waits until there is exactly one record and no exchange without one.
func (r *rig) onlyRecord() *accounting.Record {
	r.Helper()
	select {
	case <-r.srv.running.empty():
	case <-time.After(patience):
		require.Fail(r, "an exchange has not ended")
	}
	recent := r.ledger.Recent(0)
	require.Len(r, recent, 1)
	return recent[0]
}

// inPhase waits until the one running exchange is in a phase.
func (r *rig) inPhase(p accounting.Phase) *exchange {
	r.Helper()
	var found *exchange
	require.Eventually(r, func() bool {
		for _, x := range r.srv.running.all() {
			if x.phaseNow() == p {
				found = x
				return true
			}
		}
		return false
	}, patience, time.Millisecond, "no exchange in phase %s", p)
	return found
}

// client is one connection of a client.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

func (r *rig) dial() *client {
	r.Helper()
	c, err := net.Dial("tcp", r.addr)
	require.NoError(r, err)
	r.Cleanup(func() { _ = c.Close() })
	require.NoError(r, c.SetDeadline(time.Now().Add(2*patience)))
	return &client{TB: r.TB, Conn: c, r: bufio.NewReader(c)}
}

const chatPath = "/v1/chat/completions"

// streamBody asks for a stream with usage, so that nothing has to change in it.
const streamBody = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Say hello to the world."}]}`

// wholeBody asks for an answer in one piece.
const wholeBody = `{"model":"m","messages":[{"role":"user","content":"Say hello to the world."}]}`

// send writes a request; header lines are "Name: value".
func (c *client) send(method, path, body string, headers ...string) {
	c.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: sluice.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	_, err := io.WriteString(c, b.String()+"\r\n"+body)
	require.NoError(c, err)
}

// response reads the head of a response; its body is read from the connection as it
// comes.
func (c *client) response() *http.Response {
	c.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	require.NoError(c, err)
	return resp
}

// post sends a chat request and reads the head of the response.
func (c *client) post(body string, headers ...string) *http.Response {
	c.Helper()
	c.send(http.MethodPost, chatPath, body, headers...)
	return c.response()
}

// get asks for a path and decodes the JSON answer into v.
func (c *client) get(path string, v any, headers ...string) int {
	c.Helper()
	c.send(http.MethodGet, path, "", headers...)
	resp := c.response()
	body, err := io.ReadAll(resp.Body)
	require.NoError(c, err)
	require.NoError(c, json.Unmarshal(body, v), "%s", body)
	return resp.StatusCode
}

// reset leaves with RST instead of FIN.
func (c *client) reset() {
	c.Helper()
	require.NoError(c, c.Conn.(*net.TCPConn).SetLinger(0))
	require.NoError(c, c.Close())
}

// events reads the data of all events until the body ends, and how it ended.
func events(resp *http.Response) (data []string, err error) {
	s := bufio.NewScanner(resp.Body)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		if d, ok := strings.CutPrefix(s.Text(), "data: "); ok {
			data = append(data, d)
		}
	}
	return data, s.Err()
}

// nextEvent reads up to the data of the next event.
func nextEvent(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimSpace(d)
		}
	}
}

// errorOf decodes an error body of the OpenAI dialect.
func errorOf(t testing.TB, body []byte) (code string) {
	t.Helper()
	var v struct {
		Error struct {
			Message, Type string
			Code          string
		}
	}
	require.NoError(t, json.Unmarshal(body, &v), "%s", body)
	require.NotEmpty(t, v.Error.Message)
	require.NotEmpty(t, v.Error.Type)
	return v.Error.Code
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
