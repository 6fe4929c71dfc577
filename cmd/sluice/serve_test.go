package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	bannerAPI   = regexp.MustCompile(`(?m)^  api +(http://127\.0\.0\.1:\d+)/v1$`)
	bannerAdmin = regexp.MustCompile(`(?m)^  admin +http://(127\.0\.0\.1:\d+)$`)
)

// stateIn keeps the books of a test in a folder of its own.
func stateIn(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"STATE_DIRECTORY": t.TempDir()}
}

func TestServingAStreamFromTheSimulator(t *testing.T) {
	server := start(t, command{args: []string{"--config", "-"}, stdin: simulatorConfig, env: stateIn(t)})
	var api []string
	require.Eventually(t, func() bool {
		api = bannerAPI.FindStringSubmatch(server.output.String())
		return api != nil
	}, 10*time.Second, time.Millisecond)
	admin := bannerAdmin.FindStringSubmatch(server.output.String())
	require.NotNil(t, admin)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Post(api[1]+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"sim","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	stream, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.True(t, strings.HasSuffix(string(stream), "data: [DONE]\n\n"))

	require.Equal(t, result{}, healthcheck(t, admin[1]))
	server.stop()
	ended := <-server.ended
	require.Equal(t, exitOK, ended.code, ended.stderr)
}

func TestServingOnATakenAddressExitsWithTwo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	file := write(t, "config.yaml", strings.Replace(simulatorConfig, "127.0.0.1:0", ln.Addr().String(), 1))
	got := command{args: []string{"--config", file}, env: stateIn(t)}.run(t.Context())
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.stderr, "opening the API listener")
}

// served is a sluice that runs with a file.
type served struct {
	*running
	t          *testing.T
	file       string
	api, admin string // base URLs
}

func startServing(t *testing.T, src string) *served {
	t.Helper()
	s := &served{t: t, file: write(t, "config.yaml", src)}
	s.running = start(t, command{args: []string{"--config", s.file}, env: stateIn(t)})
	require.Eventually(t, func() bool { return bannerAPI.MatchString(s.output.String()) }, 10*time.Second, time.Millisecond)
	s.api = bannerAPI.FindStringSubmatch(s.output.String())[1]
	s.admin = "http://" + bannerAdmin.FindStringSubmatch(s.output.String())[1]
	return s
}

func (s *served) ask(method, url string) (status int, body string) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(s.t.Context(), method, url, nil)
	require.NoError(s.t, err)
	response, err := client.Do(request)
	require.NoError(s.t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode, string(content)
}

// end stops it and wants it to have ended well.
func (s *served) end() result {
	s.t.Helper()
	s.stop()
	got := <-s.ended
	require.Equal(s.t, exitOK, got.code, got.stderr)
	return got
}

// row D9
func TestReloadOfARunningSluice(t *testing.T) {
	s := startServing(t, simulatorConfig)
	status, body := s.ask(http.MethodPost, s.admin+"/-/reload")
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{"status":"reloaded"}`, body)

	require.NoError(t, os.WriteFile(s.file, []byte(simulatorConfig+"nonsense: 1\nmodels: 3\n"), 0o600))
	status, body = s.ask(http.MethodPost, s.admin+"/-/reload")
	require.Equal(t, 400, status)
	require.Contains(t, body, `"code":"reload_failed"`)
	require.Contains(t, body, "nonsense: unknown key")
	require.Contains(t, body, "models:")

	require.NoError(t, os.WriteFile(s.file, []byte(simulatorConfig+"half_close: finish\n"), 0o600))
	status, body = s.ask(http.MethodPost, s.admin+"/-/reload")
	require.Equal(t, 409, status)
	require.Contains(t, body, `"code":"fixed_setting"`)
	require.Contains(t, body, "half_close")

	// From here on less is logged. A signal has no answer.
	require.NoError(t, os.WriteFile(s.file, []byte(simulatorConfig+"log: {level: error}\nkeep_alive: 1s\n"), 0o600))
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		_, metrics := s.ask(http.MethodGet, s.admin+"/metrics")
		return strings.Contains(metrics, "sluice_config_reloads_total{result=\"ok\"} 2") &&
			strings.Contains(metrics, "sluice_config_reloads_total{result=\"failed\"} 1") &&
			strings.Contains(metrics, "sluice_config_reloads_total{result=\"fixed\"} 1") &&
			strings.Contains(metrics, "sluice_config_last_reload_successful 1")
	}, 10*time.Second, 10*time.Millisecond)
	got := s.end()
	require.Contains(t, got.stderr, "limits of this process")
	require.NotContains(t, got.stderr, `"msg":"draining"`, "the level of the log has changed")
}

// row D1
func TestDrainByAHook(t *testing.T) {
	s := startServing(t, simulatorConfig)
	status, _ := s.ask(http.MethodGet, s.admin+"/readyz")
	require.Equal(t, 200, status)
	status, body := s.ask(http.MethodGet, s.admin+"/-/drain")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"status":"drained"}`, body)
	status, body = s.ask(http.MethodGet, s.admin+"/readyz")
	require.Equal(t, 503, status)
	require.Equal(t, "draining\n", body)
	status, _ = s.ask(http.MethodGet, s.admin+"/livez")
	require.Equal(t, 200, status)
	s.end()
}
