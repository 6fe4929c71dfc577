package ledger

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of a Ledger.
type metrics struct {
	commit     prometheus.Histogram
	operations prometheus.Histogram
	failures   prometheus.Counter
	refused    prometheus.Counter
	spooled    prometheus.Counter
	recovered  prometheus.Counter
	spool      *prometheus.GaugeVec
}

func newMetrics() *metrics {
	return &metrics{
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_ledger_commit_seconds",
			Help:    "Time of the transactions that write the ledger, until they are durable.",
			Buckets: []float64{1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5},
		}),
		operations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_ledger_batch_operations",
			Help:    "Intents and records written in one transaction.",
			Buckets: []float64{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ledger_failures_total",
			Help: "Transactions that failed or took too long.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ledger_refused_total",
			Help: "Intents and records that the database refuses for what they are; they are lost to the ledger.",
		}),
		spooled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ledger_spooled_total",
			Help: "Intents and records that were kept in the spool because the database was down.",
		}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_ledger_recovered_total",
			Help: "Records of crashes, made for exchanges that dead processes had left open.",
		}),
		spool: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_ledger_spool_bytes",
			Help: "Size of what waits for the database, by where it is. What is in memory alone would not survive the process.",
		}, []string{"where"}),
	}
}

// register shows the metrics of a ledger.
func (m *metrics) register(l *Ledger, to prometheus.Registerer) error {
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_ledger_up",
		Help: "Whether the database of the ledger takes what it gets.",
	}, func() float64 {
		if l.Healthy() {
			return 1
		}
		return 0
	})
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_ledger_open_intents",
		Help: "Exchanges of this process that have contacted an upstream and have no record yet.",
	}, func() float64 { return float64(l.openExchanges()) })
	for _, c := range []prometheus.Collector{
		m.commit, m.operations, m.failures, m.refused, m.spooled, m.recovered, m.spool, up, open,
	} {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	m.setSpool(0, 0)
	return nil
}

func (m *metrics) setSpool(disk, memory int64) {
	m.spool.WithLabelValues("disk").Set(float64(disk))
	m.spool.WithLabelValues("memory").Set(float64(memory))
}

// committed notes a transaction.
func (m *metrics) committed(since time.Time, entries int, err error) {
	if err != nil {
		m.failures.Inc()
		return
	}
	m.commit.Observe(time.Since(since).Seconds())
	m.operations.Observe(float64(entries))
}
