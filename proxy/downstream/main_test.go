package downstream

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

// wait bounds what a slow machine may take; nothing that works gets near it.
const wait = 10 * time.Second

func TestMain(m *testing.M) {
	// fasthttp keeps its clock for the Date field for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// rig is a server whose /run requests are detached and given to run, and whose
// other requests are answered with their path and body.
type rig struct {
	*Server
	addr     string
	run      func(c *Conn)
	handler  fasthttp.RequestHandler // in the place of answer
	handled  atomic.Int64
	aborted  atomic.Int64
	detached atomic.Int64
	served   chan error
}

type option func(r *rig, cfg *Config)

func withRun(run func(c *Conn)) option { return func(r *rig, _ *Config) { r.run = run } }

func withHandler(handler fasthttp.RequestHandler) option {
	return func(r *rig, _ *Config) { r.handler = handler }
}

func withConfig(change func(cfg *Config)) option {
	return func(_ *rig, cfg *Config) { change(cfg) }
}

func newRig(t testing.TB, options ...option) *rig {
	t.Helper()
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	return newRigOn(t, ln, options...)
}

func newRigOn(t testing.TB, ln net.Listener, options ...option) *rig {
	t.Helper()
	r := &rig{addr: ln.Addr().String(), served: make(chan error, 1), run: answerOK}
	cfg := Config{Logger: slog.New(slog.DiscardHandler)}
	cfg.OnAbortedUpload = func() { r.aborted.Add(1) }
	for _, o := range options {
		o(r, &cfg)
	}
	if r.handler == nil {
		r.handler = r.answer
	}
	var err error
	r.Server, err = NewServer(cfg, &fasthttp.Server{Handler: r.handler, ErrorHandler: explain})
	require.NoError(t, err)
	go func() { r.served <- r.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		require.NoError(t, r.Close(ctx))
		require.NoError(t, <-r.served)
	})
	return r
}

func (r *rig) answer(rc *fasthttp.RequestCtx) {
	r.handled.Add(1)
	switch string(rc.Path()) {
	case "/run":
		r.detached.Add(1)
		FromContext(rc).Detach(rc, r.run)
	case "/panic":
		panic("secret")
	default:
		rc.SetBodyString(string(rc.Path()) + " " + string(rc.PostBody()))
	}
}

func explain(rc *fasthttp.RequestCtx, err error) {
	refused := err.(*RequestError) //nolint:errorlint // what the server promises to pass
	rc.Error(refused.Code, refused.Status)
}

// answerOK is an exchange that answers at once.
func answerOK(c *Conn) {
	_, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nrun"))
	if err != nil {
		c.Close()
		return
	}
	c.Resume()
}

// served is a request as its handler saw it.
type served struct{ target, body string }

// witness is a handler that notes what it serves.
type witness struct {
	mu   sync.Mutex
	seen []served
}

func (w *witness) handle(rc *fasthttp.RequestCtx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, served{target: string(rc.RequestURI()), body: string(rc.PostBody())})
	if string(rc.Path()) == "/panic" {
		panic("secret")
	}
}

// take returns what was served since the last call.
func (w *witness) take() []served {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// client is a raw connection to a rig.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	return newClient(t, conn)
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(3*wait)))
	return &client{Conn: conn, t: t, in: bufio.NewReader(conn)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	_, err := io.WriteString(c, raw)
	require.NoError(c.t, err)
}

// receive reads one response and returns its status and body.
func (c *client) receive() (int, string) {
	c.t.Helper()
	res, body := c.response()
	return res.StatusCode, body
}

func (c *client) response() (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, res.Body.Close())
	return res, string(body)
}

// expectEnd reads to the end of the connection and returns what still came.
func (c *client) expectEnd() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	require.NoError(c.t, err)
	return string(rest)
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

func post(path, body string, fields ...string) string {
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\r\nHost: h\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

// receiveFrom waits for a value, so that a test that fails does not hang.
func receiveFrom[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(wait):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
