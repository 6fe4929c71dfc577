//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// record is what GET /v1/requests/{id} tells of a finished exchange, as a user of the
// API would declare it.
type record struct {
	ID               string `json:"id"`
	Key              string `json:"key"`
	ModelAsked       string `json:"model_asked"`
	ModelServed      string `json:"model_served"`
	Provider         string `json:"provider"`
	DialectOut       string `json:"dialect_out"`
	Stream           bool   `json:"stream"`
	Phase            string `json:"phase"`
	Outcome          string `json:"outcome"`
	Code             string `json:"code"`
	StatusDownstream int    `json:"status_downstream"`
	StatusUpstream   int    `json:"status_upstream"`
	Chunks           int    `json:"chunks"`
	Usage            struct {
		Input  *int64 `json:"input"`
		Output *int64 `json:"output"`
	} `json:"usage"`
	UsageSource   string          `json:"usage_source"`
	RawUsage      json.RawMessage `json:"raw_usage"`
	FinishReasons []string        `json:"finish_reasons"`
	ToolCalls     []struct {
		Name          string `json:"name"`
		ArgumentBytes int    `json:"argument_bytes"`
		Complete      bool   `json:"complete"`
	} `json:"tool_calls"`
	CloseMicros *int64 `json:"close_us"`
	Delivered   bool   `json:"delivered"`
	Attempts    []struct {
		Status int `json:"status"`
	} `json:"attempts"`
}

// call sends a request to the API listener as the owner of key.
func (s *sluice) call(method, path, key string) (int, []byte) {
	s.tb.Helper()
	request, err := http.NewRequest(method, s.api+path, nil)
	require.NoError(s.tb, err)
	request.Header.Set("Authorization", "Bearer "+key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: s.trust()}, Timeout: patience}
	response, err := client.Do(request)
	require.NoError(s.tb, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.tb, err)
	return response.StatusCode, body
}

func (s *sluice) trust() *tls.Config {
	if s.caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(s.caFile)
	require.NoError(s.tb, err)
	pool := x509.NewCertPool()
	require.True(s.tb, pool.AppendCertsFromPEM(pem))
	return &tls.Config{RootCAs: pool}
}

// record waits until the exchange has ended and returns its record, which only the key
// that made it and an admin key may see.
func (s *sluice) record(id string) record {
	s.tb.Helper()
	require.NotEmpty(s.tb, id, "the client saw no X-Request-Id")
	var r record
	require.Eventually(s.tb, func() bool {
		status, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
		return status == http.StatusOK && json.Unmarshal(body, &r) == nil && r.Outcome != ""
	}, patience, pollEvery, "no record of %s", id)
	require.Equal(s.tb, id, r.ID)
	require.Equal(s.tb, "app", r.Key)
	return r
}

// metric adds up the samples of one family that have all the given labels, each written
// as name="value".
func (s *sluice) metric(name string, labels ...string) float64 {
	s.tb.Helper()
	total := 0.0
	for _, line := range strings.Split(s.scrape(), "\n") {
		series, value, ok := strings.Cut(line, " ")
		family, pairs, _ := strings.Cut(series, "{")
		if !ok || family != name || !containsAll(pairs, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(s.tb, err, line)
		total += n
	}
	return total
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// scrape returns the text of the metrics page.
func (s *sluice) scrape() string {
	s.tb.Helper()
	response, err := http.Get(s.admin + "/metrics")
	require.NoError(s.tb, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(s.tb, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(s.tb, err)
	return string(body)
}

// requireCounted waits until the exchange is in the metrics, exactly once and nowhere
// else.
func (s *sluice) requireCounted(outcome string, status int) {
	s.tb.Helper()
	require.Eventually(s.tb, func() bool {
		return s.metric("sluice_requests_total", `provider="fake"`, `model="fast"`,
			`outcome="`+outcome+`"`, `code="`+strconv.Itoa(status)+`"`) == 1
	}, patience, pollEvery, "outcome %s with code %d was not counted", outcome, status)
	require.EqualValues(s.tb, 1, s.metric("sluice_requests_total"))
}
