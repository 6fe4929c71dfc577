package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
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
