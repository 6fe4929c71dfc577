package limits

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics never name subjects: there may be any number of them, and they are nobody's
// business but their owners'.
type metrics struct {
	refused *prometheus.CounterVec
	up      prometheus.Gauge
	seconds prometheus.Histogram
	dropped prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, redis bool, held func() Held) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_limits_refused_total",
			Help: "Times a limit (requests, tokens, streams, budget) was in the way of a request, or of a stream that wanted to go on; unavailable: limits that could not be checked.",
		}, []string{"kind", "limit"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_limits_redis_up",
			Help: "Whether the shared counters answer.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_limits_redis_seconds",
			Help:    "Time of a call to the shared counters.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_limits_dropped_total",
			Help: "Amounts that the shared counters were never told, because too many waited.",
		}),
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.refused, newHeldCollector(held))
	if redis {
		m.up.Set(1)
		registerer.MustRegister(m.up, m.seconds, m.dropped)
	}
	return m
}

func (m *metrics) setUp(up bool) {
	if up {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}

// heldCollector tells what is held at the moment of a scrape.
type heldCollector struct {
	held func() Held
	desc *prometheus.Desc
}

func newHeldCollector(held func() Held) *heldCollector {
	return &heldCollector{held: held, desc: prometheus.NewDesc("sluice_limits_held",
		"What requests with limits hold in this process: their number (reservations), the slots of bounded subjects (streams), "+
			"what they reserved (tokens, nano_usd), and what the shared counters have not been told (queued).", []string{"what"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *heldCollector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector.
func (c *heldCollector) Collect(out chan<- prometheus.Metric) {
	h := c.held()
	for _, one := range []struct {
		what string
		n    int64
	}{
		{"reservations", h.Reservations},
		{"streams", h.Streams},
		{"tokens", h.Reserved.Tokens},
		{"nano_usd", h.Reserved.NanoUSD},
		{"queued", h.Queued},
	} {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(one.n), one.what)
	}
}
