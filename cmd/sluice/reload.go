package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/admin"
)

// reloader replaces the configuration of a running sluice, all or nothing.
type reloader struct {
	// load reads the configuration from where the first one came from.
	load func() (*config.Config, error)
	// apply makes a configuration count, or leaves all as it was.
	apply   func(*config.Config) error
	logger  *slog.Logger
	metrics *reloadMetrics

	current atomic.Pointer[config.Config]
	busy    chan struct{} // held by the one who reloads
	closed  bool          // under busy
}

func newReloader(cfg *config.Config, load func() (*config.Config, error), logger *slog.Logger, registry prometheus.Registerer) *reloader {
	r := &reloader{load: load, logger: logger, metrics: newReloadMetrics(registry), busy: make(chan struct{}, 1)}
	r.current.Store(cfg)
	return r
}

// reload loads the configuration again and makes it count. An error leaves the one before; it
// is logged, and counted. by says who asks, for the log. Only one reload runs at a time;
// ctx bounds the wait for others.
func (r *reloader) reload(ctx context.Context, by string) error {
	select {
	case r.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting for another reload: %w", ctx.Err())
	}
	defer func() { <-r.busy }()
	if r.closed {
		return errStopping
	}
	next, err := r.replace()
	r.metrics.count(err)
	if err != nil {
		r.logger.Error("the configuration was not reloaded: the one before goes on", "by", by,
			"digest", r.current.Load().Digest(), "reason", err.Error())
		return err
	}
	r.logger.Info("the configuration was reloaded", "by", by, "digest", next.Digest())
	warn(r.logger, next)
	return nil
}

// errStopping means that it is too late for a reload.
var errStopping = errors.New("sluice is stopping")

// close waits for a reload that runs, and has the later ones fail.
func (r *reloader) close() {
	r.busy <- struct{}{}
	r.closed = true
	<-r.busy
}

// errReloadPanic tells of a panic without its value, which may hold what nobody should read.
var errReloadPanic = errors.New("an internal error occurred: the log has the stack")

// replace does a reload, and contains its panics.
func (r *reloader) replace() (next *config.Config, err error) {
	defer func() {
		if recover() != nil {
			r.logger.Error("panic in a reload", "stack", string(debug.Stack()))
			err = errReloadPanic
		}
	}()
	if next, err = r.load(); err != nil {
		return nil, err
	}
	now := r.current.Load()
	if fixed := fixedChanges(now, next); len(fixed) > 0 {
		return nil, &admin.FixedError{Settings: fixed}
	}
	if err := r.apply(next); err != nil {
		return nil, err
	}
	r.current.Store(next)
	return next, nil
}

// fixedChanges names what is different and needs a restart.
func fixedChanges(now, next *config.Config) []string {
	fixed := config.FixedChanges(now, next)
	if usesSimulator(next) && !usesSimulator(now) {
		fixed = append(fixed, "providers: a first one with dialect sim")
	}
	return fixed
}

// usesSimulator tells whether a provider is the built-in simulator.
func usesSimulator(cfg *config.Config) bool {
	for _, p := range cfg.Providers {
		if p.Dialect == config.DialectSim {
			return true
		}
	}
	return false
}

// warn logs what a configuration should not have without need.
func warn(logger *slog.Logger, cfg *config.Config) {
	for _, warning := range cfg.Warnings() {
		logger.Warn("the configuration has something unusual", "setting", warning)
	}
}

// The results of a reload in the metrics.
const (
	reloadOK     = "ok"
	reloadFailed = "failed" // the configuration cannot be used
	reloadFixed  = "fixed"  // it changes what needs a restart
)

// reloadMetrics say how the last reload went. The start counts as one for the gauges.
type reloadMetrics struct {
	successful prometheus.Gauge
	succeeded  prometheus.Gauge
	reloads    *prometheus.CounterVec
}

func newReloadMetrics(registry prometheus.Registerer) *reloadMetrics {
	m := &reloadMetrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_config_last_reload_successful",
			Help: "Whether the last reload of the configuration succeeded.",
		}),
		succeeded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last loaded successfully.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_config_reloads_total", Help: "Reloads of the configuration, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{reloadOK, reloadFailed, reloadFixed} {
		m.reloads.WithLabelValues(result)
	}
	m.successful.Set(1)
	m.succeeded.SetToCurrentTime()
	registry.MustRegister(m.successful, m.succeeded, m.reloads)
	return m
}

func (m *reloadMetrics) count(err error) {
	result := reloadOK
	switch {
	case err == nil:
		m.successful.Set(1)
		m.succeeded.SetToCurrentTime()
	case errors.As(err, new(*admin.FixedError)):
		result = reloadFixed
	default:
		result = reloadFailed
	}
	if err != nil {
		m.successful.Set(0)
	}
	m.reloads.WithLabelValues(result).Inc()
}
