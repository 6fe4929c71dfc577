package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/config"
)

// books are the ledger of a configuration and what is behind it.
type books struct {
	accounting.Ledger
	// db is nil where the ledger is in memory.
	db *ledger.Books
	// durable is the ledger itself, nil where it is in memory.
	durable *ledger.Ledger
}

// bookOptions is what the ledger tells others.
type bookOptions struct {
	cfg      *config.Config
	logger   *slog.Logger
	registry prometheus.Registerer
	pricer   *pricer.Pricer
	// crashed is told of each exchange that a dead process had left open.
	crashed func(*accounting.Record)
}

// openBooks opens the ledger of a configuration.
func (s *service) openBooks(ctx context.Context, db *ledger.Books, o bookOptions) (*books, error) {
	if db == nil {
		memory := accounting.NewMemory(o.cfg.Records)
		s.closers = append(s.closers, memory.Close)
		return &books{Ledger: memory}, nil
	}
	spool, err := o.cfg.SpoolFolder()
	if err != nil {
		return nil, err
	}
	durable, err := ledger.New(ctx, ledger.Options{
		Books: db, Instance: instance, Recent: o.cfg.Records,
		Spool: int64(o.cfg.Spool), SpoolDir: spool, Logger: o.logger, Registerer: o.registry,
		Complete: o.pricer.Price, Crashed: o.crashed,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	s.closers = append(s.closers, durable.Close)
	s.keepPruned(db, o)
	return &books{Ledger: durable, db: db, durable: durable}, nil
}

// openDatabase opens the database of the ledger, nil where it is in memory.
func (s *service) openDatabase(ctx context.Context, cfg *config.Config) (*ledger.Books, error) {
	url, err := cfg.LedgerURL()
	if err != nil {
		return nil, err
	}
	if url == config.LedgerMemory {
		return nil, nil
	}
	db, err := ledger.OpenBooks(ctx, url)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, db.Close)
	return db, nil
}

// pruneEvery is how often what is too old is removed from the books.
const pruneEvery = time.Hour

// keepPruned removes what is too old from the books until the service closes.
func (s *service) keepPruned(db *ledger.Books, o bookOptions) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		db.KeepPruned(ctx, pruneEvery, ledger.Retention{Records: o.cfg.Keep.Std(), Captures: o.cfg.Capture.Keep.Std()}, o.logger)
	}()
	s.closers = append(s.closers, func() error {
		stop()
		<-ended
		return nil
	})
}
