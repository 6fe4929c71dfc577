package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger/spool"
)

// New begins to write to the books. Before it returns it gives the database what dead
// processes have left in the spool, and closes the exchanges that they have left open.
func New(ctx context.Context, options Options) (*Ledger, error) {
	l := &Ledger{
		options: options, books: options.Books, instance: newInstance(options.Instance),
		log: options.Logger, memory: accounting.NewMemory(options.Recent), metrics: newMetrics(),
		open: make(map[accounting.UID]int),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if l.options.Lease <= 0 {
		l.options.Lease = DefaultLease
	}
	if l.options.CommitTimeout <= 0 {
		l.options.CommitTimeout = DefaultCommitTimeout
	}
	if l.options.spoolTimeout <= 0 {
		l.options.spoolTimeout = l.options.CommitTimeout / 4
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.room.Store(l.options.Spool)
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	if options.Registerer != nil {
		if err := l.metrics.register(l, options.Registerer); err != nil {
			return nil, errors.Join(fmt.Errorf("registering the metrics of the ledger: %w", err), l.Close())
		}
	}
	return l, nil
}

// start recovers and begins to write.
func (l *Ledger) start(ctx context.Context) error {
	k := newKeeper(l)
	if err := k.register(ctx); err != nil {
		return err
	}
	s, err := newStore(l.books)
	if err == nil {
		if err = l.catchUp(s); err != nil {
			_ = s.close()
		}
	}
	if err != nil {
		k.unlock()
		return fmt.Errorf("recovering the ledger: %w", err)
	}
	k.recoverFirst(ctx)
	k.start()
	go l.run(k, s)
	return nil
}

func (l *Ledger) newCommitter(s store) *committer {
	return &committer{store: s, instance: l.instance, timeout: l.options.CommitTimeout, metrics: l.metrics, refuse: l.refuse}
}

// refuse notes what the database refuses for what it is.
func (l *Ledger) refuse(e *entry, err error) {
	l.metrics.refused.Inc()
	l.log.Error("the ledger's database refuses an entry", "kind", string(e.kind), "uid", e.uid().String(), "reason", reason(err))
}

// catchUp gives the database what dead processes have left in the spool.
func (l *Ledger) catchUp(s store) error {
	spools, err := spool.Abandoned(l.options.SpoolDir)
	if err != nil {
		return err
	}
	c := l.newCommitter(s)
	for _, left := range spools {
		for _, segment := range left.Segments() {
			if err == nil {
				err = replayAll(c, &replaying{spool: left, segment: segment})
			}
		}
		if e := left.Close(); err == nil {
			err = e
		}
	}
	return err
}

func replayAll(c *committer, r *replaying) error {
	defer r.rewind()
	for {
		j := &job{replay: true, segment: r}
		if err := c.do(j); err != nil {
			return err
		}
		if j.ended {
			r.spool.Drop(r.segment)
			return r.segment.Delete()
		}
	}
}

// run writes until the ledger is closed.
func (l *Ledger) run(k *keeper, s store) {
	defer close(l.done)
	w := newWriter(l, spool.New(l.options.SpoolDir, l.instance))
	w.look = k.look
	if l.options.wrap != nil {
		s = l.options.wrap(s)
	}
	c := l.newCommitter(s)
	go c.run(w.jobs, w.did)
	go w.runSpooler()
	w.run()
	k.stop()
	l.err = w.end(k, c)
}

// errLost is how a ledger ends whose last entries neither the database nor a disk took.
var errLost = errors.New("the last entries of the ledger could not be kept: neither the database nor the disk of the spool answers")

// end lets go of everything. What is stuck is left behind, and ends when it is not.
func (w *writer) end(k *keeper, c *committer) error {
	var errs []error
	close(w.jobs)
	written := w.awaitCommitter()
	close(w.appends)
	spooled := w.awaitSpooler()
	if written {
		errs = append(errs, c.closed)
		if w.segment != nil {
			w.segment.rewind()
		}
	}
	if spooled {
		errs = append(errs, w.spoolClosed)
	}
	if len(w.pending) > 0 {
		errs = append(errs, errLost)
	}
	for _, e := range w.waiting {
		w.settle(e, accounting.ErrLedgerClosed)
	}
	w.settlePending(w.number)
	if w.l.down.Load() {
		k.unlock()
	} else if err := k.leave(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// awaitCommitter waits some time for the committer to end and reports whether it has.
func (w *writer) awaitCommitter() bool {
	late := time.NewTimer(w.timeout + time.Second)
	defer late.Stop()
	for {
		select {
		case j, more := <-w.did:
			switch {
			case !more:
				return true
			case !j.replay || j.failure != nil:
			case j.segment == nil:
				w.forgetPending(j.upTo)
			case j.ended:
				w.segmentEnded()
			}
		case <-late.C:
			return false
		}
	}
}

// awaitSpooler waits some time for the spooler to end and reports whether it has.
func (w *writer) awaitSpooler() bool {
	late := time.NewTimer(w.timeout + time.Second)
	defer late.Stop()
	for {
		select {
		case a, more := <-w.appended:
			switch {
			case !more:
				return true
			case len(a.payloads) > 0:
				w.forgetPending(a.upTo)
			}
		case <-late.C:
			return false
		}
	}
}

// Close implements accounting.Ledger. It takes a few seconds at the most: while the
// database is down, what it has not got is left in the spool for the next process.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.memory.Close()
	l.poke()
	<-l.done
	return l.err
}
