package access

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts of a snapshot.
type counts struct{ configured, enabled, refused, admins int }

func (c *counts) add(h *holder) {
	switch {
	case h.refused:
		c.refused++
		return
	case h.caller.Admin:
		c.admins++
	}
	if h.caller.Stored {
		c.enabled++
	} else {
		c.configured++
	}
}

// metrics are made from the snapshot when they are asked for.
type metrics struct {
	ring       *Keyring
	registerer prometheus.Registerer
	keys, age  *prometheus.Desc
	failures   prometheus.Counter
}

// register makes the metrics of the keyring, and puts them into a registry if there is one.
func (k *Keyring) register(r prometheus.Registerer) error {
	k.metrics = &metrics{
		ring: k, registerer: r,
		keys: prometheus.NewDesc("sluice_keys",
			"Keys of clients, by where they are kept and whether they may be used.", []string{"source", "state"}, nil),
		age: prometheus.NewDesc("sluice_keys_age_seconds",
			"Time since the stored keys were read.", nil, nil),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_keys_refresh_failures_total", Help: "Failures to read the stored keys.",
		}),
	}
	if r == nil {
		return nil
	}
	if err := r.Register(k.metrics); err != nil {
		return fmt.Errorf("registering the metrics of the keys: %w", err)
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m)
	}
}

// Describe is that of prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.keys
	to <- m.age
	m.failures.Describe(to)
}

// Collect is that of prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	now := m.ring.current.Load()
	gauge := func(n int, source, state string) {
		to <- prometheus.MustNewConstMetric(m.keys, prometheus.GaugeValue, float64(n), source, state)
	}
	gauge(now.counts.configured, SourceConfig, "enabled")
	gauge(now.counts.enabled, SourceLedger, "enabled")
	gauge(now.counts.refused, SourceLedger, "disabled")
	if m.ring.store != nil {
		to <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, time.Since(now.readAt).Seconds())
	}
	m.failures.Collect(to)
}
