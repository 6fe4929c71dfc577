package replicas

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	up         prometheus.Gauge
	peers      prometheus.Gauge
	questions  *prometheus.CounterVec
	seconds    prometheus.Histogram
	answers    *prometheus.CounterVec
	passedOver prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_replicas_up",
			Help: "1 while this replica hears the others, 0 while its connection to Redis is lost.",
		}),
		peers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_replicas_peers",
			Help: "Other replicas that listen, as of the last question or the last ten seconds.",
		}),
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_replicas_questions_total",
			Help: "Questions put to the other replicas by kind and by what came of them: complete, enough, partial (somebody did not answer in time), unavailable (no connection), told and dropped (messages that want no answer).",
		}, []string{"kind", "result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_replicas_ask_seconds",
			Help:    "Time until a question to the other replicas was settled.",
			Buckets: []float64{1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10},
		}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_replicas_answers_total",
			Help: "Questions of other replicas by what this one answered: said, nothing, or dropped (too many at once, or too large an answer).",
		}, []string{"result"}),
		passedOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_replicas_unknown_total",
			Help: "What came from other replicas and was not understood, as from another version.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	return m, errors.Join(
		registerer.Register(m.up), registerer.Register(m.peers), registerer.Register(m.questions),
		registerer.Register(m.seconds), registerer.Register(m.answers), registerer.Register(m.passedOver),
	)
}

func (m *metrics) asked(kind, result string, took time.Duration) {
	m.questions.WithLabelValues(kind, result).Inc()
	m.seconds.Observe(took.Seconds())
}
