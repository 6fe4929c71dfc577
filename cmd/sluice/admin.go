package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/admin"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/proxy/manage"
)

// startAdmin serves the admin listener, if there is one, and returns its address.
func (s *service) startAdmin() (string, error) {
	if !s.cfg.Admin.Enabled() {
		return "", nil
	}
	ln, err := downstream.Listen(s.cfg.Admin.Listen)
	if err != nil {
		return "", fmt.Errorf("opening the admin listener: %w", err)
	}
	listener := admin.New(admin.Options{
		Registry: s.server.Registry(), Ready: s.ready,
		API:       manage.New(manage.Options{Books: s.db, Keys: s.keys, Changed: s.server.KeysChanged, Logger: s.logger}),
		Targets:   func() any { return s.server.Targets() },
		Reload:    func(ctx context.Context) error { return s.reload.reload(ctx, "the admin listener") },
		Leaving:   s.draining.start,
		Drain:     s.beginDrain,
		Drained:   s.server.Empty,
		DrainWait: s.drainTime,
		Keys:      s.keys, NeedsKey: s.cfg.Admin.NeedsKey(), Origins: s.cfg.Admin.CORS, Hosts: hostsOf(s.cfg.Admin.Listen),
		Logger: s.logger,
	})
	s.start("admin", func() error { return listener.Serve(ln) })
	s.closers = append(s.closers, listener.Close)
	return shownAddr(ln), nil
}

// hostsOf are the names of a listener besides its addresses.
func hostsOf(listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" || strings.HasPrefix(listen, "unix:") {
		return nil
	}
	return []string{host}
}

// beginDrain begins the drain for a call of the admin listener.
func (s *service) beginDrain() {
	s.logger.Info("draining, and going on until a signal comes", "limit", s.drainTime().String())
	s.server.Drain()
}

// Why sluice is not ready. Probes show it to anyone.
var (
	errDraining = errors.New("draining")
	errNoBooks  = errors.New("the ledger cannot keep new requests")
)

// ready tells why new requests would be refused, nil if they would not.
func (s *service) ready() error {
	switch {
	case !s.server.Ready():
		return errDraining
	case s.durable == nil:
		return nil
	case s.durable.Ready() != nil:
		return errNoBooks
	case !s.durable.Healthy() && s.reload.current.Load().OnLedgerFailure == config.OnLedgerFailureRefuse:
		return errNoBooks
	}
	return nil
}
