package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// adminServer answers on a listener with a status, for /readyz only.
func adminServer(t *testing.T, network, address string, status int) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: mux}}
	server.Start()
	t.Cleanup(server.Close)
	return ln
}

func healthcheck(t *testing.T, admin string, args ...string) result {
	t.Helper()
	file := write(t, "config.yaml", "listen: '127.0.0.1:0'\nproviders: [{name: sim, dialect: sim}]\nadmin: {listen: '"+admin+"'}\n")
	return execute(t, append([]string{"healthcheck", "--config", file}, args...)...)
}

func TestHealthcheckOfAReadySluice(t *testing.T) {
	tcp := adminServer(t, "tcp", "127.0.0.1:0", http.StatusOK).Addr().(*net.TCPAddr)
	require.Equal(t, result{}, healthcheck(t, tcp.String()))

	socket := filepath.Join(t.TempDir(), "admin.sock")
	adminServer(t, "unix", socket, http.StatusOK)
	require.Equal(t, result{}, healthcheck(t, "unix:"+socket))
}

func TestHealthcheckOfASluiceThatIsNotReady(t *testing.T) {
	address := adminServer(t, "tcp", "127.0.0.1:0", http.StatusServiceUnavailable).Addr().String()
	got := healthcheck(t, address)
	require.Equal(t, result{exitUsage, "", "sluice: " + address + " is not ready: status 503\n"}, got)
}

func TestHealthcheckOfASluiceThatIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	got := healthcheck(t, ln.Addr().String())
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "refused")
}

func TestHealthcheckDoesNotWaitForEver(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	got := healthcheck(t, silent.Addr().String(), "--timeout", "20ms")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "deadline exceeded")
}

func TestHealthcheckWithoutAnAdminListener(t *testing.T) {
	got := healthcheck(t, "off")
	require.Equal(t, exitUsage, got.code)
	require.True(t, strings.HasPrefix(got.stderr, "sluice: the admin listener is off"))
}

func TestDialTarget(t *testing.T) {
	f := func(listen, network, address string) {
		t.Helper()
		gotNetwork, gotAddress := dialTarget(listen)
		require.Equal(t, [2]string{network, address}, [2]string{gotNetwork, gotAddress})
	}
	f(":9090", "tcp", "localhost:9090")
	f("0.0.0.0:9090", "tcp", "localhost:9090")
	f("[::]:9090", "tcp", "localhost:9090")
	f("127.0.0.1:9090", "tcp", "127.0.0.1:9090")
	f("[::1]:9090", "tcp", "[::1]:9090")
	f("host:9090", "tcp", "host:9090")
	f("unix:/run/a.sock", "unix", "/run/a.sock")
}
