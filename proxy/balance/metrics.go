package balance

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics tells how targets are and what was done about those that failed. All labels come
// from the configuration or closed lists.
type Metrics struct {
	targets func() []*Target

	available, state, running, queued, latency, opened *prometheus.Desc

	retries, hedges, denied *prometheus.CounterVec

	mu      sync.Mutex
	counted map[names]struct{} // targets that counters have been made for
}

// names are the labels of a target.
type names struct{ provider, model string }

// NewMetrics registers the metrics of the targets that targets returns at the moment of a
// scrape; what was counted for others is forgotten. A nil registerer registers nothing.
func NewMetrics(r prometheus.Registerer, targets func() []*Target) *Metrics {
	labels := []string{"provider", "model"}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append(labels[:2:2], more...), nil)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		targets:   targets,
		available: desc("sluice_target_available", "Whether requests are sent to the target."),
		state:     desc("sluice_target_state", "The state of the target's breaker: closed, half_open or open. Always 1.", "state"),
		running:   desc("sluice_target_running", "Requests at the target now."),
		queued:    desc("sluice_target_queued", "Requests that wait for the target now."),
		latency:   desc("sluice_target_latency_seconds", "Moving average of the time to the first token."),
		opened:    desc("sluice_target_opened_total", "Times the target counted as broken."),
		retries: counter("sluice_retries_total",
			"Upstream calls made because an earlier one failed, by the target that failed and why.", "provider", "model", "reason"),
		hedges: counter("sluice_hedges_total",
			"Second calls for requests whose first had no token yet, by who was quicker: won is the second.", "provider", "model", "result"),
		denied: counter("sluice_retries_denied_total",
			"Upstream calls not made because the retry budget of the model was spent.", "model"),
		counted: make(map[names]struct{}),
	}
	if r != nil {
		r.MustRegister(m)
	}
	return m
}

// Retried counts a call that is made because the one to this target failed. reason is from
// a closed list.
func (m *Metrics) Retried(provider, model, reason string) {
	m.count(m.retries, provider, model, reason)
}

// Hedged counts a second call to this target. result is "won" if its answer served the
// request, else "lost".
func (m *Metrics) Hedged(provider, model, result string) {
	m.count(m.hedges, provider, model, result)
}

// RetryDenied counts a call that the budget of a public model did not allow.
func (m *Metrics) RetryDenied(model string) { m.denied.WithLabelValues(model).Inc() }

func (m *Metrics) count(vec *prometheus.CounterVec, provider, model, label string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted[names{provider, model}] = struct{}{}
	vec.WithLabelValues(provider, model, label).Inc()
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.available, m.state, m.running, m.queued, m.latency, m.opened} {
		to <- d
	}
	m.retries.Describe(to)
	m.hedges.Describe(to)
	m.denied.Describe(to)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	present := make(map[names]struct{})
	for _, t := range m.targets() {
		name := names{t.provider, t.model}
		if _, twice := present[name]; twice {
			continue // one failed scrape would hide everything else
		}
		present[name] = struct{}{}
		m.collect(to, t)
	}
	m.forget(present)
	m.retries.Collect(to)
	m.hedges.Collect(to)
	m.denied.Collect(to)
}

func (m *Metrics) collect(to chan<- prometheus.Metric, t *Target) {
	s := t.State()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, more ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, append([]string{s.Provider, s.Model}, more...)...)
	}
	available := 0.0
	if t.Available() {
		available = 1
	}
	send(m.available, prometheus.GaugeValue, available)
	send(m.state, prometheus.GaugeValue, 1, s.State)
	send(m.running, prometheus.GaugeValue, float64(s.Running))
	send(m.queued, prometheus.GaugeValue, float64(s.Queued))
	if s.Latency > 0 {
		send(m.latency, prometheus.GaugeValue, s.Latency.Seconds())
	}
	send(m.opened, prometheus.CounterValue, float64(t.opened.Load()))
}

// forget drops the counters of targets that are no longer there. What a request that
// outlives its target counts is dropped at the next scrape.
func (m *Metrics) forget(present map[names]struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.counted {
		if _, ok := present[name]; ok {
			continue
		}
		labels := prometheus.Labels{"provider": name.provider, "model": name.model}
		m.retries.DeletePartialMatch(labels)
		m.hedges.DeletePartialMatch(labels)
		delete(m.counted, name)
	}
}
