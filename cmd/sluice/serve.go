package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

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

// serve opens the listeners of cfg and serves until ctx ends or a signal comes,
// then drains.
func serve(ctx context.Context, cfg *config.Config, logger *slog.Logger, stdout io.Writer) (err error) {
	stop := notifyShutdown(ctx)
	defer stop.release()
	running := &service{failed: make(chan error, 3)}
	defer func() { err = errors.Join(err, running.close()) }()

	simulated, err := running.startSimulator(cfg, logger)
	if err != nil {
		return err
	}
	server, err := running.openServer(ctx, cfg, logger, simulated)
	if err != nil {
		return err
	}
	defer func() {
		deadline, cancel := context.WithTimeout(stop.now, cfg.Timeouts.Drain.Std())
		defer cancel()
		server.Shutdown(deadline)
	}()
	api, err := downstream.Listen(cfg.Listen)
	if err != nil {
		return fmt.Errorf("opening the API listener: %w", err)
	}
	running.start("API", func() error { return server.Serve(api) })
	admin, err := running.startAdmin(cfg, server)
	if err != nil {
		return err
	}
	banner(stdout, cfg, shownAddr(api), admin)
	select {
	case err = <-running.failed:
	case <-stop.drain.Done():
		logger.Info("draining", "limit", cfg.Timeouts.Drain.String())
	}
	return err
}

// openServer opens the server and everything that it uses.
func (s *service) openServer(ctx context.Context, cfg *config.Config, logger *slog.Logger, simulated string) (*proxy.Server, error) {
	registry := prometheus.NewRegistry()
	prices, err := pricer.New(cfg, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the prices: %w", err)
	}
	db, err := s.openDatabase(ctx, cfg)
	if err != nil {
		return nil, err
	}
	keys, err := s.openKeys(ctx, cfg, db, logger, registry)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	shared, err := s.openRedis(cfg)
	if err != nil {
		return nil, err
	}
	limiter := s.openLimits(shared, db, logger, registry)
	kept, err := s.openBooks(ctx, db, bookOptions{
		cfg: cfg, logger: logger, registry: registry, pricer: prices,
		crashed: func(r *accounting.Record) { proxy.ChargeCrash(limiter, cfg, keys, r) },
	})
	if err != nil {
		return nil, err
	}
	options := proxy.Options{
		Logger: logger, Registry: registry, Version: buildInfo().Version, Simulator: simulated,
		Ledger: kept.Ledger, Books: db, Keys: keys, Limiter: limiter, Pricer: prices,
	}
	if kept.durable != nil {
		options.Capture = kept.durable.Capture
	}
	server, err := proxy.New(cfg, options)
	if err != nil {
		return nil, err
	}
	return server, s.joinReplicas(ctx, shared, server, logger, registry)
}

// openKeys makes the keyring of the configured keys and those in the books.
func (s *service) openKeys(ctx context.Context, cfg *config.Config, db *ledger.Books, logger *slog.Logger, registry prometheus.Registerer) (*access.Keyring, error) {
	o := access.Options{Configured: cfg.Keys, Logger: logger, Registerer: registry}
	if db != nil {
		o.Store = db
	}
	keys, err := access.New(ctx, o)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error {
		keys.Close()
		return nil
	})
	return keys, nil
}

// service is what runs besides the API: it is closed in reverse order.
type service struct {
	closers []func() error
	failed  chan error // what a listener ended with, if it did not end by our will
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

// startSimulator serves the simulator on a free loopback port if a provider of cfg
// needs it, and returns its base URL.
func (s *service) startSimulator(cfg *config.Config, logger *slog.Logger) (string, error) {
	needed := false
	for _, p := range cfg.Providers {
		needed = needed || p.Dialect == config.DialectSim
	}
	if !needed {
		return "", nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening the simulator's listener: %w", err)
	}
	sim := simulator.New(simulator.Options{Logger: logger})
	s.start("simulator", func() error { return sim.Serve(ln) })
	s.closers = append(s.closers, sim.Close)
	return "http://" + ln.Addr().String() + "/v1", nil
}

// startAdmin serves the admin listener, if there is one, and returns its address.
func (s *service) startAdmin(cfg *config.Config, server *proxy.Server) (string, error) {
	if !cfg.Admin.Enabled() {
		return "", nil
	}
	ln, err := downstream.Listen(cfg.Admin.Listen)
	if err != nil {
		return "", fmt.Errorf("opening the admin listener: %w", err)
	}
	admin := proxy.NewAdmin(server)
	s.start("admin", func() error { return admin.Serve(ln) })
	s.closers = append(s.closers, admin.Close)
	return shownAddr(ln), nil
}

// shownAddr is the address of a listener in the form of the configuration.
func shownAddr(ln net.Listener) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	return ln.Addr().String()
}
