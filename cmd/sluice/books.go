package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

// openBooks opens the ledger of the configuration. crashed is told of each exchange that a
// dead process had left open.
func (s *service) openBooks(ctx context.Context, crashed func(*accounting.Record)) (accounting.Ledger, error) {
	if s.db == nil {
		memory := accounting.NewMemory(s.cfg.Records)
		s.closers = append(s.closers, memory.Close)
		return memory, nil
	}
	spool, err := s.cfg.SpoolFolder()
	if err != nil {
		return nil, err
	}
	durable, err := ledger.New(ctx, ledger.Options{
		Books: s.db, Instance: host, Recent: s.cfg.Records,
		Spool: int64(s.cfg.Spool), SpoolDir: spool, Logger: s.logger, Registerer: s.registry,
		Complete: s.prices.price, Crashed: crashed,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	s.durable = durable
	s.closers = append(s.closers, durable.Close)
	s.keepPruned()
	return durable, nil
}

// openDatabase opens the database of the ledger, if it is not in memory.
func (s *service) openDatabase(ctx context.Context) error {
	url, err := s.cfg.LedgerURL()
	if err != nil || url == config.LedgerMemory {
		return err
	}
	db, err := ledger.OpenBooks(ctx, url)
	if err != nil {
		return err
	}
	s.db = db
	s.closers = append(s.closers, db.Close)
	return nil
}

// pruneEvery is how often what is too old is removed from the books.
const pruneEvery = time.Hour

// keepPruned removes what is too old from the books until the service closes.
func (s *service) keepPruned() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.db.KeepPruned(ctx, pruneEvery, ledger.Retention{Records: s.cfg.Keep.Std(), Captures: s.cfg.Capture.Keep.Std()}, s.logger)
	}()
	s.closers = append(s.closers, func() error {
		stop()
		<-ended
		return nil
	})
}
