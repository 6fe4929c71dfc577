//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func TestPrometheusScrapes(t *testing.T) {
	t.Parallel()
	_, s := behind(t, fakeprovider.DefaultScript)
	_, code := curl(t, s)
	require.Zero(t, code)
	base := startPrometheus(t, s)

	require.Eventually(t, func() bool {
		return query(base, `sum(sluice_requests_total{job="sluice",outcome="completed",code="200"})`) == "1"
	}, clientPatience, pollEvery)
	require.Equal(t, "4", query(base, `sum(sluice_tokens_total{type="output",source="reported"})`))
	require.Equal(t, "0", query(base, `sum(sluice_streams_inflight)`))
	require.Equal(t, "1", query(base, `count(sluice_build_info)`))
	require.Equal(t, "1", query(base, `sum(sluice_request_duration_seconds_count)`))
}

// startPrometheus runs a Prometheus that scrapes the admin listener and returns its
// base URL.
func startPrometheus(t *testing.T, s *sluice) string {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: sluice
    static_configs: [{targets: [%q]}]
`, strings.TrimPrefix(s.admin, "http://")), 0o600))
	address := freeAddress(t)
	background(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	return "http://" + address
}

// query returns the only value of an instant query, "" if there is none (yet).
func query(base, expression string) string {
	response, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if json.NewDecoder(response.Body).Decode(&answer) != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

func TestMetricsPassTheLinter(t *testing.T) {
	t.Parallel()
	upstream, s := behind(t, fakeprovider.DefaultScript)
	_, code := curl(t, s)
	require.Zero(t, code)
	upstream.Handle(callingTool)
	_, code = curl(t, s)
	require.Zero(t, code)
	upstream.Handle(endless)
	_, code = curl(t, s, "--max-time", "1")
	require.Equal(t, curlTimedOut, code)
	require.Eventually(t, func() bool { return s.metric("sluice_requests_total") == 3 }, patience, pollEvery)

	complaints, code := toolWith(t, s.scrape(), "promtool", "check", "metrics")
	require.Zero(t, code, complaints)
	require.Empty(t, complaints)
}
