package proxy

import (
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/admin"
)

// scraper reads the metrics as Prometheus does, from the admin listener.
type scraper struct {
	t   testing.TB
	url string
}

func (r *rig) scraper(t testing.TB) scraper {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := admin.New(admin.Options{Registry: r.srv.metrics.Registry()})
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ln) }()
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		require.NoError(t, <-served)
	})
	return scraper{t, "http://" + ln.Addr().String() + "/metrics"}
}

// scrape returns every series of sluice's own families with its value; labels are in
// the order of their names.
func (s scraper) scrape() map[string]float64 {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.url)
	require.NoError(s.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	require.Equal(s.t, 200, resp.StatusCode)
	out := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, "sluice_") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		require.NoError(s.t, err, "%s", line)
		out[line[:at]] = value
	}
	return out
}

// family lists the series of one family without those at zero.
func family(series map[string]float64, name string) map[string]float64 {
	out := map[string]float64{}
	for s, value := range series {
		if of, _, _ := strings.Cut(s, "{"); of == name && value != 0 {
			out[s] = value
		}
	}
	return out
}

// toTarget maps the public name "fast" to a model of the fake provider, and lets in a
// client whose key is "k".
func toTarget(c *config.Config) {
	c.Models = []config.Model{{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "x", Weight: 1}}}}
	c.Keys = []config.Key{{Alias: "team", SHA256: "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"}}
}

const withKey = "Authorization: Bearer k"

// asking replaces the model of a request.
func asking(model, body string) string { return strings.Replace(body, `"m"`, `"`+model+`"`, 1) }

// After exchanges of every kind the metrics say what the records say, under names and
// labels that are fixed, with nothing in a label that a client chose.
func TestMetricsAfterExchanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, toTarget)
	s := r.scraper(t)
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{
		Texts: []string{"a", "b"}, ToolCalls: []fakeprovider.ToolCall{{ID: "c1", Name: "f", Arguments: []string{"{}"}}, {ID: "c2", Name: "g", Arguments: []string{"{"}}},
		IncludeUsage: true, Usage: &fakeprovider.Usage{Prompt: 100, Completion: 20, Cached: 30, Reasoning: 5},
	})
	r.play(stream)
	for range 2 {
		r.ask(asking("fast", streamBody), withKey).requireWhole(t)
	}
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{Usage: &fakeprovider.Usage{Prompt: 7, Completion: 3}}))
	})
	require.Equal(t, 200, r.ask(asking("fast", wholeBody), withKey).status)
	require.Equal(t, 200, r.ask(asking("fake/canary-model", wholeBody), withKey).status)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(429, fakeprovider.ErrorBody("slow", "t", "c")) })
	require.Equal(t, 429, r.ask(asking("fast", streamBody), withKey).status)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(418, fakeprovider.ErrorBody("teapot", "t", "c")) })
	require.Equal(t, 418, r.ask(asking("fast", streamBody), withKey).status)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.Reset() })
	require.Equal(t, 502, r.ask(asking("fast", streamBody), withKey).status)
	r.play(nil)
	require.Error(t, r.ask(asking("fast", streamBody), withKey).err)

	r.up.Handle(streamThenSilence(stream[:3]...))
	c := r.dial()
	readEvents(t, c.post(asking("fast", streamBody), withKey, "X-Request-Id: canary-id").Body, 3)
	r.inPhase(accounting.PhaseStreaming)
	require.Equal(t, map[string]float64{`sluice_streams_inflight{phase="streaming"}`: 1}, family(s.scrape(), "sluice_streams_inflight"))
	require.NoError(t, c.Close())

	require.Equal(t, 400, r.ask("{", withKey).status)
	require.Equal(t, 401, r.ask(asking("fast", wholeBody)).status)
	require.Equal(t, 404, r.ask(asking("canary-model", wholeBody), withKey).status)
	require.Len(t, r.allEnded(), 9)

	got := s.scrape()
	require.Equal(t, map[string]float64{
		`sluice_requests_total{code="200",model="fast",outcome="completed",provider="fake"}`:          3,
		`sluice_requests_total{code="200",model="other",outcome="completed",provider="fake"}`:         1,
		`sluice_requests_total{code="429",model="fast",outcome="upstream_error",provider="fake"}`:     1,
		`sluice_requests_total{code="other",model="fast",outcome="upstream_error",provider="fake"}`:   1,
		`sluice_requests_total{code="502",model="fast",outcome="upstream_error",provider="fake"}`:     1,
		`sluice_requests_total{code="200",model="fast",outcome="upstream_truncated",provider="fake"}`: 1,
		`sluice_requests_total{code="499",model="fast",outcome="client_gone",provider="fake"}`:        1,
	}, family(got, "sluice_requests_total"))
	tokens := family(got, "sluice_tokens_total")
	for series, value := range map[string]float64{
		`sluice_tokens_total{model="fast",provider="fake",source="reported",type="input"}`:            207,
		`sluice_tokens_total{model="fast",provider="fake",source="reported",type="input_cached"}`:     60,
		`sluice_tokens_total{model="fast",provider="fake",source="reported",type="output"}`:           43,
		`sluice_tokens_total{model="fast",provider="fake",source="reported",type="output_reasoning"}`: 10,
		`sluice_tokens_total{model="other",provider="fake",source="reported",type="input"}`:           7,
		`sluice_tokens_total{model="other",provider="fake",source="reported",type="output"}`:          3,
	} {
		require.InDelta(t, value, tokens[series], 0, series)
		delete(tokens, series)
	}
	require.Equal(t, []string{
		`sluice_tokens_total{model="fast",provider="fake",source="estimated",type="input"}`,
		`sluice_tokens_total{model="fast",provider="fake",source="estimated",type="output"}`,
	}, slices.Sorted(maps.Keys(tokens)))
	require.Equal(t, map[string]float64{
		`sluice_tool_calls_total{complete="true",model="fast",provider="fake"}`:  2,
		`sluice_tool_calls_total{complete="false",model="fast",provider="fake"}`: 2,
	}, family(got, "sluice_tool_calls_total"))
	require.Equal(t, map[string]float64{`sluice_cancels_total{cause="client_gone",phase="streaming"}`: 1}, family(got, "sluice_cancels_total"))
	require.Equal(t, map[string]float64{
		`sluice_rejected_total{code="invalid_json"}`: 1, `sluice_rejected_total{code="invalid_api_key"}`: 1, `sluice_rejected_total{code="model_not_found"}`: 1,
	}, family(got, "sluice_rejected_total"))
	require.Equal(t, map[string]float64{`sluice_key_requests_total{key="team"}`: 9}, family(got, "sluice_key_requests_total"))
	require.Empty(t, family(got, "sluice_cost_usd_total"), "no price is known")
	require.Empty(t, family(got, "sluice_streams_inflight"))
	requireHistograms(t, got, map[string]float64{
		"sluice_upstream_close_seconds": 1, "sluice_time_to_first_token_seconds": 5, "sluice_request_duration_seconds": 9, "sluice_overhead_seconds": 9,
	})
	require.Len(t, family(got, "sluice_build_info"), 1)
	for series := range got {
		require.NotContains(t, series, "canary")
	}
}

// requireHistograms asserts how many observations each histogram has, and that they are
// plausible: positive, and in buckets that grow.
func requireHistograms(t testing.TB, series map[string]float64, counts map[string]float64) {
	t.Helper()
	for name, count := range counts {
		require.InDelta(t, count, series[name+"_count"], 0, name)
		require.Positive(t, series[name+"_sum"], name)
		require.InDelta(t, count, series[name+`_bucket{le="+Inf"}`], 0, name)
	}
}

// The families of the metrics and their labels, whatever happened before.
func TestMetricFamiliesAndLabels(t *testing.T) {
	t.Parallel()
	r := newRig(t, toTarget)
	s := r.scraper(t)
	fresh := s.scrape()
	for _, phase := range accounting.Phases() {
		require.Contains(t, fresh, `sluice_streams_inflight{phase="`+phase.String()+`"}`)
	}
	r.ask(asking("fast", streamBody), withKey).requireWhole(t)
	require.Len(t, r.allEnded(), 1)

	names := map[string][]string{}
	label := regexp.MustCompile(`([a-z_]+)="`)
	for series := range s.scrape() {
		name, labels, _ := strings.Cut(series, "{")
		names[name] = nil
		for _, m := range label.FindAllStringSubmatch(labels, -1) {
			names[name] = append(names[name], m[1])
		}
	}
	for name, labels := range map[string][]string{
		"sluice_requests_total":                     {"code", "model", "outcome", "provider"},
		"sluice_tokens_total":                       {"model", "provider", "source", "type"},
		"sluice_key_requests_total":                 {"key"},
		"sluice_streams_inflight":                   {"phase"},
		"sluice_build_info":                         {"goversion", "version"},
		"sluice_time_to_first_token_seconds_bucket": {"le"},
		"sluice_request_duration_seconds_bucket":    {"le"},
		"sluice_overhead_seconds_bucket":            {"le"},
		"sluice_upstream_close_seconds_bucket":      {"le"},
	} {
		require.Equal(t, labels, names[name], name)
	}
}

// Whatever names clients make up, the number of series stays the same.
func TestModelNamesOfClientsMakeNoSeries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.scraper(t)
	c := r.dial()
	ask := func(model string) {
		require.Equal(t, 200, read(c.post(asking(model, wholeBody))).status)
	}
	ask("one")
	require.Len(t, r.allEnded(), 1)
	before := len(s.scrape())
	for i := range 200 {
		ask("model-" + strconv.Itoa(i))
	}
	require.Len(t, r.allEnded(), 201)
	require.Len(t, s.scrape(), before)
}
