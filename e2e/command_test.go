//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func TestCheckAcceptsAGoodConfiguration(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, settings{upstream: "https://llm.example.com", listen: ":0"}, "127.0.0.1:0")
	out, code := tool(t, sluiceBinary, "check", file)
	require.Zero(t, code)
	require.Contains(t, out, "https://llm.example.com/v1")
	require.Contains(t, out, "fake/fake-model")
	require.NotContains(t, out, upstreamKey)
}

func TestCheckTellsEveryProblemWithItsLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte("listne: \":8080\"\nproviders:\n  - {name: a, dialect: openai, base_url: \"ftp://x\"}\nmodels:\n  - {name: fast, targets: [{provider: b, model: m}]}\n"), 0o600))
	out, code := tool(t, sluiceBinary, "check", file)
	require.Equal(t, 1, code)
	require.Contains(t, out, file+":1:")
	require.Contains(t, out, "listen", "the nearest known key")
	require.Contains(t, out, file+":3:")
	require.Contains(t, out, file+":5:")
}

func TestBadConfigurationDoesNotStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte("listen: [\n"), 0o600))
	_, code := tool(t, sluiceBinary, "--config", file)
	require.Equal(t, 1, code)
}

// requireFree skips a test of the default addresses on a machine that uses them.
func requireFree(t *testing.T, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("%s is in use here", address)
		}
		require.NoError(t, ln.Close())
	}
}

// startBare runs sluice in an empty folder without a configuration, with the given
// environment and nothing else.
func startBare(t *testing.T, env ...string) *sluice {
	t.Helper()
	requireFree(t, ":8080", "127.0.0.1:9090")
	return launch(t, launching{
		env: append([]string{"HOME=" + t.TempDir()}, env...),
		api: "http://127.0.0.1:8080", admin: "http://127.0.0.1:9090",
	})
}

func TestBareStartServesTheSimulator(t *testing.T) {
	s := startBare(t)
	s.model = "sim"
	require.Eventually(t, func() bool { return strings.Contains(s.output.String(), "simulator") }, patience, pollEvery)

	out, code := curl(t, s)
	require.Zero(t, code)
	require.True(t, strings.HasSuffix(out, "data: [DONE]\n\n"))

	k := sdks[0]
	got := k.run(s, "stream_usage").seen()
	require.Nil(t, got.Error)
	require.NotEmpty(t, got.Text)
	require.Equal(t, "stop", got.FinishReason)
	require.Positive(t, got.Usage.Completion)

	got = k.run(s, "abort", "MODEL=sim-long").seen()
	require.NotEmpty(t, got.Text)
	require.Eventually(t, func() bool {
		return s.metric("sluice_requests_total", `outcome="client_gone"`, `code="499"`) == 1
	}, patience, pollEvery)

	got = k.run(s, "models").seen()
	require.Contains(t, got.Models, "sim-long")
}

func TestBareStartWithAKeyServesItsVendor(t *testing.T) {
	upstream := fakeprovider.New(t)
	s := startBare(t, "OPENAI_API_KEY="+upstreamKey, "OPENAI_BASE_URL="+upstream.URL())
	out, code := curl(t, s)
	require.Zero(t, code)
	require.True(t, strings.HasSuffix(out, "data: [DONE]\n\n"))
	require.Equal(t, "Bearer "+upstreamKey, upstream.WaitExchange(1).Request.Get("Authorization"))
}

func TestShippedConfigurationStarts(t *testing.T) {
	requireFree(t, ":8080", "127.0.0.1:9090")
	file, err := filepath.Abs("../config.yaml")
	require.NoError(t, err)
	s := launch(t, launching{
		args: []string{"--config", file}, env: []string{"HOME=" + t.TempDir()},
		api: "http://127.0.0.1:8080", admin: "http://127.0.0.1:9090",
	})
	status, body := s.call("GET", "/v1/models", clientKey)
	require.Equal(t, 200, status)
	require.Contains(t, string(body), `"object":"list"`)
}
