package simulator

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// sim is a running simulator and its client.
type sim struct {
	t      *testing.T
	server *Server
	base   string
	client *http.Client
}

// start runs a simulator without pauses; start(t, d) sets the pace.
func start(t *testing.T, interval ...time.Duration) *sim {
	t.Helper()
	o := Options{TokenInterval: -1, Logger: slog.New(slog.DiscardHandler)}
	if len(interval) > 0 {
		o.TokenInterval = interval[0]
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &sim{t: t, server: New(o), base: "http://" + ln.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(ln) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		require.NoError(t, s.server.Close())
		require.NoError(t, <-served)
	})
	return s
}

func (s *sim) post(path, body string) *http.Response {
	s.t.Helper()
	res, err := s.client.Post(s.base+path, "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// whole posts and returns status and decoded body.
func (s *sim) whole(path, body string) (int, map[string]any) {
	s.t.Helper()
	res := s.post(path, body)
	var v map[string]any
	require.NoError(s.t, json.NewDecoder(res.Body).Decode(&v))
	return res.StatusCode, v
}

func (s *sim) get(path string, v any) int {
	s.t.Helper()
	res, err := s.client.Get(s.base + path)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	require.NoError(s.t, json.NewDecoder(res.Body).Decode(v))
	return res.StatusCode
}

// events posts a streamed request and returns the data of its events.
func (s *sim) events(path, body string) []string {
	s.t.Helper()
	res := s.post(path, body)
	require.Equal(s.t, http.StatusOK, res.StatusCode)
	require.Equal(s.t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.True(s.t, strings.HasSuffix(string(text), "\n\n"))
	var data []string
	for event := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n\n"), "\n\n") {
		d, ok := strings.CutPrefix(event, "data: ")
		require.True(s.t, ok, "%q", event)
		require.NotContains(s.t, d, "\n")
		data = append(data, d)
	}
	return data
}

// nextEvent reads one event of a stream that is under way.
func nextEvent(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	line, err := br.ReadString('\n')
	require.NoError(t, err)
	_, err = br.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "data: ")
}
