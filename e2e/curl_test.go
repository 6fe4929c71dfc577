//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Exit codes of curl.
const (
	curlTimedOut  = 28
	curlCut       = 18 // the body ended before its last chunk
	curlEmpty     = 52
	curlReset     = 56
	curlNoConnect = 7
)

func TestCurlStreams(t *testing.T) {
	t.Parallel()
	_, s := behind(t, fakeprovider.DefaultScript)
	out, code := curl(t, s)
	require.Zero(t, code)
	require.Equal(t, 1, strings.Count(out, "data: [DONE]\n\n"))
	require.True(t, strings.HasSuffix(out, "data: [DONE]\n\n"))
	require.NotContains(t, out, "usage")
}

func TestCurlGivesUp(t *testing.T) {
	t.Parallel()
	upstream, s := behind(t, endless)
	_, code := curl(t, s, "--max-time", "2", "-H", "X-Request-Id: "+chosenID)
	require.Equal(t, curlTimedOut, code)
	requireGone(t, upstream)
	requireClientGone(t, s, s.record(chosenID), "streaming")
}

func TestCutAnswerIsNoCleanEndForCurl(t *testing.T) {
	t.Parallel()
	_, s := behind(t, func(e *fakeprovider.Exchange) {
		unfinished(e, fakeprovider.ChatOptions{})
		e.EndChunks()
	})
	out, code := curl(t, s)
	require.Equal(t, curlCut, code)
	require.Contains(t, out, `"code":"upstream_truncated"`)
	require.NotContains(t, out, "[DONE]")
}

func TestUnixSocketListener(t *testing.T) {
	t.Parallel()
	upstream := fakeprovider.New(t)
	socket := filepath.Join(t.TempDir(), "sluice.sock")
	s := startWith(t, settings{upstream: upstream.URL(), listen: "unix:" + socket})
	s.api = "http://sluice"

	out, code := curl(t, s, "--unix-socket", socket)
	require.Zero(t, code)
	require.True(t, strings.HasSuffix(out, "data: [DONE]\n\n"))

	upstream.Handle(endless)
	_, code = curl(t, s, "--unix-socket", socket, "--max-time", "2")
	require.Equal(t, curlTimedOut, code)
	upstream.WaitExchange(2).WaitGone(closedWithin)

	s.terminate()
	require.Zero(t, s.awaitExit())
	require.NoFileExists(t, socket)
}
