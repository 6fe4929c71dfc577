package accounting

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// MetricsOptions say what a Metrics may show. The functions are called while
// records are counted or metrics are scraped, from any goroutine; they should
// look at the current configuration, so that a reload needs no new Metrics.
type MetricsOptions struct {
	// Models is the label of the model that a name stands for: that of its
	// configuration, however many names clients have for it.
	Models func(name string) (label string, ok bool)
	// Providers and Keys report whether a name is configured (for keys: an
	// alias). What is not becomes the label "other", and so does everything
	// when the function is nil; the same holds for Models.
	Providers, Keys func(name string) bool
	// InFlight counts the exchanges in flight by phase; nil means none.
	InFlight func() map[Phase]int
	// Version is sluice's own; "unknown" when empty.
	Version string
	// Registry takes the metrics; nil stands for a new one.
	Registry *prometheus.Registry
}

// Metrics are the Prometheus metrics of a process, all fed from finished
// records: nothing here is touched while bytes are forwarded. Methods are safe
// for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	known    MetricsOptions

	requests  *cappedCounter
	attempts  *cappedCounter
	tokens    *cappedCounter
	cost      *cappedCounter
	unpriced  *cappedCounter
	toolCalls *cappedCounter
	keys      *prometheus.CounterVec
	keyNames  *boundedSet
	cancels   *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	codes     *boundedSet

	upstreamClose   prometheus.Histogram
	firstToken      prometheus.Histogram
	requestDuration prometheus.Histogram
	overhead        prometheus.Histogram
}

// NewMetrics makes the metrics.
func NewMetrics(options MetricsOptions) *Metrics {
	m := &Metrics{registry: options.Registry, known: options}
	if m.registry == nil {
		m.registry = prometheus.NewRegistry()
	}
	m.makeCounters()
	m.makeHistograms()
	m.registry.MustRegister(
		m.requests.vec, m.attempts.vec, m.tokens.vec, m.cost.vec, m.unpriced.vec, m.toolCalls.vec,
		m.keys, m.cancels, m.rejected,
		m.upstreamClose, m.firstToken, m.requestDuration, m.overhead,
		buildInfo(options.Version),
		&inFlightCollector{count: options.InFlight},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Registry returns the registry that holds all of them, for the scrape handler
// and for further collectors.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) makeCounters() {
	m.requests = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_requests_total",
		Help: "Finished exchanges by provider, public model, outcome and HTTP status sent downstream.",
	}, "provider", "model", "outcome", "code")
	m.attempts = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_attempts_total",
		Help: "Upstream calls of finished exchanges by provider, public model, outcome of the call, and why it was made.",
	}, "provider", "model", "outcome", "kind")
	m.tokens = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_tokens_total",
		Help: "Tokens of finished exchanges, abandoned calls included, by type and by source of the number. Types input_* are parts of input, output_* parts of output.",
	}, "provider", "model", "type", "source")
	m.cost = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_cost_usd_total",
		Help: "Cost in USD of the exchanges whose price is known, abandoned calls included.",
	}, "provider", "model")
	m.unpriced = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_unpriced_total",
		Help: "Exchanges and abandoned calls that used tokens at a price that is not known. They have no cost.",
	}, "provider", "model")
	m.toolCalls = newCappedCounter(prometheus.CounterOpts{
		Name: "sluice_tool_calls_total",
		Help: "Tool calls seen in answers, by whether the stream completed them.",
	}, "provider", "model", "complete")
	m.keys = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_key_requests_total",
		Help: "Finished exchanges by alias of the downstream key.",
	}, []string{"key"})
	m.keyNames = newBoundedSet(maxSeries - 1)
	m.cancels = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_cancels_total",
		Help: "Upstream calls cut short by sluice, by cause and by the phase that was reached.",
	}, []string{"cause", "phase"})
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_rejected_total",
		Help: "Requests refused before any upstream contact, by error code.",
	}, []string{"code"})
	m.codes = newBoundedSet(maxRejectedCodes)
}

func (m *Metrics) makeHistograms() {
	m.upstreamClose = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sluice_upstream_close_seconds",
		Help:    "Time from seeing that the client left to the closed upstream socket.",
		Buckets: []float64{1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1},
	})
	m.firstToken = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sluice_time_to_first_token_seconds",
		Help:    "Time from the first request byte to the first token, for exchanges that got one.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 30, 60, 120, 300, 600},
	})
	m.requestDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sluice_request_duration_seconds",
		Help:    "Time from the first request byte to the end of the exchange, whatever its outcome.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 180, 300, 600, 1200, 3600},
	})
	m.overhead = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sluice_overhead_seconds",
		Help:    "Time that sluice itself added to an exchange, waiting for either side left out.",
		Buckets: []float64{1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 1},
	})
}

// Exchange counts a finished exchange. overhead is the time that sluice itself
// added to it; zero or less means that it is not known.
func (m *Metrics) Exchange(r *Record, overhead time.Duration) {
	provider := label(r.Provider, m.known.Providers)
	model := modelLabel(r.ModelAsked, m.known.Models)
	m.requests.add(1, provider, model, outcomeLabel(r.Outcome), statusLabel(r))
	m.keys.WithLabelValues(m.keyNames.admit(keyLabel(r.Key, m.known.Keys))).Inc()
	m.spent(provider, model, spending{r.Usage, r.UsageSource, r.OutputEstimated, r.CostNanoUSD})
	m.countAttempts(model, r)
	for i := range r.ToolCalls {
		m.toolCalls.add(1, provider, model, boolLabel(r.ToolCalls[i].Complete))
	}
	if r.Outcome.Cut() {
		m.cancels.WithLabelValues(string(r.Outcome), r.Phase.String()).Inc()
	}
	if r.Outcome == OutcomeClientGone && r.CloseMicros != nil {
		m.upstreamClose.Observe(float64(*r.CloseMicros) / 1e6)
	}
	observe(m.firstToken, r.ToFirstToken)
	observe(m.requestDuration, r.Total)
	observe(m.overhead, overhead)
}

// Rejected counts a request that was refused before any upstream contact, such
// as aborted_upload or invalid_api_key. A code that is not snake_case, or one
// too many, is counted as "other".
func (m *Metrics) Rejected(code string) {
	m.rejected.WithLabelValues(m.codes.admit(codeLabel(code))).Inc()
}

// spending is what an exchange, or an attempt beside its final one, has used.
type spending struct {
	usage           tokens.Usage
	source          Source
	outputEstimated bool
	cost            *int64
}

// spent counts the tokens and the cost of a call.
func (m *Metrics) spent(provider, model string, s spending) {
	m.addTokens(provider, model, &s)
	switch {
	case s.cost != nil && *s.cost >= 0:
		m.cost.add(float64(*s.cost)/1e9, provider, model)
	case s.usage.Any():
		m.unpriced.add(1, provider, model)
	}
}

// countAttempts counts the calls of a record, and what those have used that it has not.
func (m *Metrics) countAttempts(model string, r *Record) {
	for i := range r.Attempts {
		a := &r.Attempts[i]
		provider := label(a.Provider, m.known.Providers)
		m.attempts.add(1, provider, model, outcomeLabel(a.Outcome), kindLabel(a.Kind))
		if a.Abandoned() {
			m.spent(provider, model, spending{a.Usage, a.UsageSource, false, a.CostNanoUSD})
		}
	}
}

// addTokens counts what is known of the usage; an absent count adds nothing,
// not even a series.
func (m *Metrics) addTokens(provider, model string, s *spending) {
	source := sourceLabel(s.source)
	output := source
	if s.outputEstimated {
		output = sourceLabel(SourceEstimated)
	}
	for _, part := range [...]struct {
		kind   string
		count  tokens.Count
		source string
	}{
		{"input", s.usage.Input, source},
		{"input_cached", s.usage.InputCached, source},
		{"input_cache_write", s.usage.InputCacheWrite, source},
		{"input_audio", s.usage.InputAudio, source},
		{"output", s.usage.Output, output},
		{"output_reasoning", s.usage.OutputReasoning, output},
		{"output_audio", s.usage.OutputAudio, output},
	} {
		if part.count.Known && part.count.N >= 0 {
			m.tokens.add(float64(part.count.N), provider, model, part.kind, part.source)
		}
	}
}

// observe records a duration; zero means that its end was not reached.
func observe(h prometheus.Histogram, d time.Duration) {
	if d > 0 {
		h.Observe(d.Seconds())
	}
}

func buildInfo(version string) prometheus.Collector {
	if version == "" {
		version = "unknown"
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "sluice_build_info",
		Help:        "Constant 1, labelled by the version of sluice and of Go.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

var inFlightDesc = prometheus.NewDesc(
	"sluice_streams_inflight",
	"Exchanges in flight by phase.",
	[]string{"phase"}, nil,
)

// inFlightCollector asks for the counts when it is scraped, so that an exchange
// need not touch a gauge each time its phase changes.
type inFlightCollector struct {
	count func() map[Phase]int
}

// Describe implements prometheus.Collector.
func (c *inFlightCollector) Describe(descs chan<- *prometheus.Desc) { descs <- inFlightDesc }

// Collect implements prometheus.Collector. Every phase has its series, also at zero.
func (c *inFlightCollector) Collect(metrics chan<- prometheus.Metric) {
	var counts map[Phase]int
	if c.count != nil {
		counts = c.count()
	}
	for _, phase := range Phases() {
		metrics <- prometheus.MustNewConstMetric(
			inFlightDesc, prometheus.GaugeValue, float64(counts[phase]), phase.String())
	}
}
