package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/simulator"
)

// service is a sluice that serves, and all that it consists of.
type service struct {
	cfg      *config.Config // that it was started with
	logger   *slog.Logger
	level    *slog.LevelVar
	stdout   io.Writer
	registry *prometheus.Registry
	reload   *reloader

	server   *proxy.Server
	keys     *access.Keyring
	prices   livePrices
	db       *ledger.Books
	durable  *ledger.Ledger // nil where the ledger is in memory
	draining drainClock

	closers []func() error // called in reverse order
	failed  chan error     // what a listener ended with, if it did not end by our will
}

func newService(cfg *config.Config, logger *slog.Logger) *service {
	return &service{cfg: cfg, logger: logger, registry: prometheus.NewRegistry(), failed: make(chan error, 3)}
}

// serve opens the listeners and serves until ctx ends or a signal comes, then drains.
func (s *service) serve(ctx context.Context) (err error) {
	stop := notifyShutdown(ctx)
	defer stop.release()
	hup := notifyHangup()
	defer hup.ignore()
	defer func() { err = errors.Join(err, s.close()) }()
	warn(s.logger, s.cfg)
	logProcessLimits(s.logger, s.cfg)
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.shutdown(stop.now)
	api, err := downstream.Listen(s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("opening the API listener: %w", err)
	}
	s.start("API", func() error { return s.server.Serve(api) })
	s.reload.apply = s.apply
	defer s.reload.close()
	admin, err := s.startAdmin()
	if err != nil {
		return err
	}
	defer reloadOnHangup(hup.signals, s.reload.reload)()
	banner(s.stdout, s.cfg, shownAddr(api), admin)
	select {
	case err = <-s.failed:
	case <-stop.drain.Done():
		s.draining.start()
		s.logger.Info("draining", "limit", s.drainTime().String())
	}
	return err
}

// drainTime is how long a drain may take, by the configuration of the moment.
func (s *service) drainTime() time.Duration { return s.reload.current.Load().Timeouts.Drain.Std() }

// shutdown lets exchanges go on for what is left of the time for the drain, or until now
// ends, and then ends them.
func (s *service) shutdown(now context.Context) {
	deadline, cancel := context.WithTimeout(now, s.draining.left(s.drainTime()))
	defer cancel()
	s.server.Shutdown(deadline)
}

// open opens the server and everything that it uses. What is open after an error is closed
// by close.
func (s *service) open(ctx context.Context) error {
	cfg := s.cfg
	simulated, err := s.startSimulator()
	if err != nil {
		return err
	}
	prices, err := pricer.New(cfg, nil)
	if err != nil {
		return fmt.Errorf("reading the prices: %w", err)
	}
	s.prices.Store(prices)
	if err := s.openDatabase(ctx); err != nil {
		return err
	}
	if err := s.openKeys(ctx); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	shared, err := s.openRedis()
	if err != nil {
		return err
	}
	limiter := s.openLimits(shared)
	kept, err := s.openBooks(ctx, func(r *accounting.Record) { proxy.ChargeCrash(limiter, s.reload.current.Load(), s.keys, r) })
	if err != nil {
		return err
	}
	options := proxy.Options{
		Logger: s.logger, Registry: s.registry, Version: buildInfo().Version, Simulator: simulated,
		Ledger: kept, Books: s.db, Keys: s.keys, Limiter: limiter, Pricer: prices,
		BodyMemory: bodyMemory(memoryLimit()),
	}
	if s.durable != nil {
		options.Capture = s.durable.Capture
	}
	if s.server, err = proxy.New(cfg, options); err != nil {
		return err
	}
	if err := s.joinReplicas(ctx, shared); err != nil {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		s.server.Shutdown(ended)
		return err
	}
	return nil
}

// livePrices are the prices of the configuration that counts.
type livePrices struct{ atomic.Pointer[pricer.Pricer] }

// price puts the cost into a record.
func (l *livePrices) price(r *accounting.Record) { l.Load().Price(r) }

// apply makes a configuration count whose fixed settings are those of the one before. The
// server is the only one that can refuse it.
func (s *service) apply(next *config.Config) error {
	prices, err := pricer.New(next, nil)
	if err != nil {
		return fmt.Errorf("reading the prices: %w", err)
	}
	if err := s.server.Reload(next, prices); err != nil {
		return err
	}
	s.prices.Store(prices)
	if err := s.keys.SetConfigured(next.Keys); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	s.level.Set(levelOf(next.Log))
	return nil
}

// openKeys makes the keyring of the configured keys and those in the books.
func (s *service) openKeys(ctx context.Context) error {
	o := access.Options{Configured: s.cfg.Keys, Logger: s.logger, Registerer: s.registry}
	if s.db != nil {
		o.Store = s.db
	}
	keys, err := access.New(ctx, o)
	if err != nil {
		return err
	}
	s.keys = keys
	s.closers = append(s.closers, func() error {
		keys.Close()
		return nil
	})
	return nil
}

// start runs a listener until it is closed.
func (s *service) start(name string, serve func() error) {
	go func() {
		if err := serve(); err != nil {
			s.failed <- fmt.Errorf("serving the %s listener: %w", name, err)
		}
	}()
}

func (s *service) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// startSimulator serves the simulator on a free loopback port if a provider of the
// configuration needs it, and returns its base URL.
func (s *service) startSimulator() (string, error) {
	if !usesSimulator(s.cfg) {
		return "", nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening the simulator's listener: %w", err)
	}
	sim := simulator.New(simulator.Options{Logger: s.logger})
	s.start("simulator", func() error { return sim.Serve(ln) })
	s.closers = append(s.closers, sim.Close)
	return "http://" + ln.Addr().String() + "/v1", nil
}

// shownAddr is the address of a listener in the form of the configuration.
func shownAddr(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	return ln.Addr().String()
}
