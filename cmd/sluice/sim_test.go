package main

import (
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var shownURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func TestSimServesUntilItIsStopped(t *testing.T) {
	sim := start(t, command{args: []string{"sim", "--listen", "127.0.0.1:0", "--token-interval", "0"}})
	var url string
	require.Eventually(t, func() bool {
		url = shownURL.FindString(sim.output.String())
		return url != ""
	}, 10*time.Second, time.Millisecond)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/v1/models", "/stats"} {
		response, err := client.Get(url + path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	sim.stop()
	require.Equal(t, exitOK, (<-sim.ended).code)
}

func TestSimOnAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "sim.sock")
	sim := start(t, command{args: []string{"sim", "--listen", "unix:" + socket}})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unix", socket)
		return err == nil && conn.Close() == nil
	}, 10*time.Second, time.Millisecond)
	sim.stop()
	ended := <-sim.ended
	require.Equal(t, exitOK, ended.code)
	require.Contains(t, ended.stdout, "curl -s --unix-socket "+socket+" http://localhost/stats")
}

func TestSimOnATakenAddressExitsWithTwo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	got := execute(t, "sim", "--listen", ln.Addr().String())
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.stderr, "sluice: listening: ")
}
