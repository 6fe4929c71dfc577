package accounting

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func anyOf(names ...string) func(string) bool {
	return func(name string) bool {
		for _, n := range names {
			if n == name {
				return true
			}
		}
		return false
	}
}

// themselves labels models by their own names.
func themselves(known func(string) bool) func(string) (string, bool) {
	return func(name string) (string, bool) { return name, known(name) }
}

func testMetrics() *Metrics {
	return NewMetrics(MetricsOptions{
		Models: themselves(anyOf("fast", "smart")), Providers: anyOf("openai", "sim"), Keys: anyOf("team-a"),
		InFlight: func() map[Phase]int { return map[Phase]int{PhaseStreaming: 3, PhaseConnect: 1} },
		Version:  "v0.1.0",
	})
}

// scrape returns the text that a Prometheus server would read.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	server := httptest.NewServer(promhttp.HandlerFor(m.Registry(), promhttp.HandlerOpts{}))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// samples returns the series of the scrape by name and labels.
func samples(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for line := range strings.Lines(scrape(t, m)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		require.NoError(t, err)
		out[line[:at]] = value
	}
	return out
}

func family(all map[string]float64, name string) map[string]float64 {
	out := make(map[string]float64)
	for series, value := range all {
		if series == name || strings.HasPrefix(series, name+"{") {
			out[series] = value
		}
	}
	return out
}

func TestFinishedExchangeFeedsEveryMetric(t *testing.T) {
	m := testMetrics()
	r := fullRecord()
	r.Usage = tokens.Usage{
		Input: tokens.Known(100), InputCached: tokens.Known(40), InputCacheWrite: tokens.Known(0),
		Output: tokens.Known(50), OutputReasoning: tokens.Known(20),
	}
	r.ToolCalls = []ToolCallSummary{{Complete: true}, {Complete: false}, {Complete: true}}
	m.Exchange(r, 30*time.Microsecond)
	got := samples(t, m)

	f := func(series string, want float64) {
		t.Helper()
		value, ok := got[series]
		require.True(t, ok, "%s is not exported", series)
		require.InDelta(t, want, value, 1e-12, series)
	}

	f(`sluice_requests_total{code="200",model="fast",outcome="client_gone",provider="openai"}`, 1)
	f(`sluice_key_requests_total{key="team-a"}`, 1)
	f(`sluice_tokens_total{model="fast",provider="openai",source="running",type="input"}`, 100)
	f(`sluice_tokens_total{model="fast",provider="openai",source="running",type="input_cached"}`, 40)
	f(`sluice_tokens_total{model="fast",provider="openai",source="running",type="input_cache_write"}`, 0)
	f(`sluice_tokens_total{model="fast",provider="openai",source="running",type="output"}`, 50)
	f(`sluice_tokens_total{model="fast",provider="openai",source="running",type="output_reasoning"}`, 20)
	require.Len(t, family(got, "sluice_tokens_total"), 5, "absent counts make no series")
	f(`sluice_cost_usd_total{model="fast",provider="openai"}`, 0.001234567)
	f(`sluice_cancels_total{cause="client_gone",phase="streaming"}`, 1)
	f(`sluice_tool_calls_total{complete="true",model="fast",provider="openai"}`, 2)
	f(`sluice_tool_calls_total{complete="false",model="fast",provider="openai"}`, 1)

	f(`sluice_upstream_close_seconds_sum`, 87e-6)
	f(`sluice_upstream_close_seconds_bucket{le="5e-05"}`, 0)
	f(`sluice_upstream_close_seconds_bucket{le="0.0001"}`, 1)
	f(`sluice_time_to_first_token_seconds_sum`, 0.04)
	f(`sluice_request_duration_seconds_sum`, 3)
	f(`sluice_overhead_seconds_sum`, 30e-6)
	f(`sluice_overhead_seconds_count`, 1)
}

func TestUnknownValuesMakeNoSeriesAndNoObservation(t *testing.T) {
	m := testMetrics()
	m.Exchange(&Record{ID: "a", Outcome: OutcomeCompleted, Provider: "sim", ModelAsked: "smart"}, 0)
	got := samples(t, m)
	require.Empty(t, family(got, "sluice_tokens_total"))
	require.Empty(t, family(got, "sluice_cost_usd_total"))
	require.Empty(t, family(got, "sluice_cancels_total"))
	for _, h := range []string{"upstream_close", "time_to_first_token", "request_duration", "overhead"} {
		require.Zero(t, got["sluice_"+h+"_seconds_count"], h)
	}
}

func TestUpstreamCloseMeasuresOnlyClientsThatLeft(t *testing.T) {
	m := testMetrics()
	for _, o := range Outcomes() {
		closed := int64(1000)
		m.Exchange(&Record{ID: "a", Outcome: o, CloseMicros: &closed}, 0)
	}
	require.EqualValues(t, 1, samples(t, m)["sluice_upstream_close_seconds_count"])
}

func TestCancelsCountEveryCauseWithItsPhase(t *testing.T) {
	m := testMetrics()
	for _, o := range Outcomes() {
		for _, p := range Phases() {
			m.Exchange(&Record{ID: "a", Outcome: o, Phase: p}, 0)
		}
	}
	got := family(samples(t, m), "sluice_cancels_total")
	require.Len(t, got, 6*8)
	require.EqualValues(t, 1, got[`sluice_cancels_total{cause="upstream_timeout",phase="await_token"}`])
	require.NotContains(t, got, `sluice_cancels_total{cause="completed",phase="tail"}`)
}

func TestClientThatLeftBeforeAnyStatusIsA499(t *testing.T) {
	f := func(r Record, want string) {
		t.Helper()
		require.Equal(t, want, statusLabel(&r))
	}

	f(Record{Outcome: OutcomeClientGone}, "499")
	f(Record{Outcome: OutcomeClientStalled}, "499")
	f(Record{Outcome: OutcomeClientGone, StatusDownstream: 200}, "200")
	f(Record{Outcome: OutcomeUpstreamError, StatusDownstream: 502}, "502")

	f(Record{Outcome: OutcomeUpstreamError, StatusDownstream: 797}, "other")
	f(Record{Outcome: OutcomeCrash}, "other")
}

func TestEveryPhaseIsAlwaysExported(t *testing.T) {
	got := family(samples(t, testMetrics()), "sluice_streams_inflight")
	require.Len(t, got, len(Phases()))
	require.EqualValues(t, 3, got[`sluice_streams_inflight{phase="streaming"}`])
	require.EqualValues(t, 1, got[`sluice_streams_inflight{phase="connect"}`])
	require.EqualValues(t, 0, got[`sluice_streams_inflight{phase="tail"}`])

	none := family(samples(t, NewMetrics(MetricsOptions{})), "sluice_streams_inflight")
	require.Len(t, none, len(Phases()))
}

func TestBuildAndRuntimeAreExported(t *testing.T) {
	text := scrape(t, testMetrics())
	require.Regexp(t, `sluice_build_info\{goversion="go[^"]+",version="v0\.1\.0"\} 1`, text)
	require.Contains(t, text, "go_goroutines ")
	require.Contains(t, text, "process_open_fds ")
	require.Contains(t, scrape(t, NewMetrics(MetricsOptions{})), `version="unknown"`)
}

func TestRejectedCodesAreBounded(t *testing.T) {
	m := testMetrics()
	m.Rejected("aborted_upload")
	m.Rejected("aborted_upload")
	m.Rejected("invalid_api_key")
	for _, odd := range []string{"", "Bearer canary", "sk-canary", "canary\n", strings.Repeat("a", 65)} {
		m.Rejected(odd)
	}
	got := family(samples(t, m), "sluice_rejected_total")
	require.Equal(t, map[string]float64{
		`sluice_rejected_total{code="aborted_upload"}`:  2,
		`sluice_rejected_total{code="invalid_api_key"}`: 1,
		`sluice_rejected_total{code="other"}`:           5,
	}, got)

	for i := range 5000 {
		m.Rejected("code_" + strconv.Itoa(i))
	}
	require.LessOrEqual(t, len(family(samples(t, m), "sluice_rejected_total")), maxRejectedCodes+1)
}

func TestRandomModelsMakeNoSeries(t *testing.T) {
	m := testMetrics()
	exchange := func(i int) {
		r := fullRecord()
		r.ModelAsked, r.Provider, r.Key = fmt.Sprint("model-", i), fmt.Sprint("provider-", i), fmt.Sprint("key-", i)
		r.ModelServed, r.Target, r.Code = r.ModelAsked, r.Provider, r.Key
		m.Exchange(r, time.Millisecond)
	}
	exchange(0)
	before := len(samples(t, m))
	const strangers = 100_000
	for i := 1; i < strangers; i++ {
		exchange(i)
	}
	got := samples(t, m)
	require.Len(t, got, before)
	require.EqualValues(t, strangers, got[`sluice_requests_total{code="200",model="other",outcome="client_gone",provider="other"}`])
	require.EqualValues(t, strangers, got[`sluice_key_requests_total{key="other"}`])
}

func TestNoFamilyGrowsBeyondItsCapHoweverMuchIsConfigured(t *testing.T) {
	everything := func(string) bool { return true }
	m := NewMetrics(MetricsOptions{Models: themselves(everything), Providers: everything, Keys: everything})
	statuses := []int{200, 400, 429, 500, 0}
	const names = 1500
	for i := range names {
		for j, o := range Outcomes() {
			r := fullRecord()
			r.ModelAsked, r.Provider, r.Key = fmt.Sprint("model-", i), "openai", fmt.Sprint("key-", i)
			r.Outcome, r.StatusDownstream = o, statuses[(i+j)%len(statuses)]
			r.Attempts[0].Outcome = o
			m.Exchange(r, 0)
		}
	}
	got := samples(t, m)
	var requests float64
	for _, value := range family(got, "sluice_requests_total") {
		requests += value
	}
	require.EqualValues(t, names*len(Outcomes()), requests, "sums stay right")
	for _, name := range []string{"requests", "attempts", "tokens", "cost_usd", "tool_calls", "key_requests"} {
		series := len(family(got, "sluice_"+name+"_total"))
		require.Greater(t, series, 500, name)
		require.LessOrEqual(t, series, maxSeries, name)
	}
}

func TestMetricsHoldNothingSecret(t *testing.T) {
	m := testMetrics()
	r := fullRecord()
	const canary = "sk-canary-5f2b"
	r.ID, r.Key, r.ModelAsked, r.ModelServed, r.Provider, r.Target = canary, canary, canary, canary, canary, canary
	r.Code, r.Outcome, r.UsageSource, r.Endpoint = canary, canary, canary, canary
	r.DialectIn, r.DialectOut, r.MayBill, r.UpstreamRequestID = canary, canary, canary, canary
	r.Warnings, r.FinishReasons = []string{canary}, []string{canary}
	r.ToolCalls[0].Name = canary
	r.RawUsage = []byte(`"` + canary + `"`)
	a := &r.Attempts[0]
	a.ID, a.Provider, a.Model, a.Kind, a.Outcome, a.Code, a.UsageSource = canary, canary, canary, canary, canary, canary, canary
	a.Usage, a.MayBill = r.Usage, canary
	m.Exchange(r, time.Millisecond)
	m.Rejected(canary)
	require.NotContains(t, scrape(t, m), "canary")
}

func TestPromtoolFindsNothingToComplainAbout(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not in PATH")
	}
	m := testMetrics()
	m.Exchange(fullRecord(), time.Millisecond)
	m.Rejected("aborted_upload")
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scrape(t, m))
	report, err := check.CombinedOutput()
	require.NoError(t, err, string(report))
	require.Empty(t, string(report))
}

func BenchmarkMetricsExchange(b *testing.B) {
	m := testMetrics()
	r := fullRecord()
	b.ReportAllocs()
	for range b.N {
		m.Exchange(r, time.Millisecond)
	}
}
