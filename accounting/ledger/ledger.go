package ledger

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/accounting"
)

// The defaults of Options.
const (
	DefaultLease         = 15 * time.Second
	DefaultCommitTimeout = 2 * time.Second
)

// Options say how a Ledger works.
type Options struct {
	// Books are the open database. The ledger does not close it.
	Books *Books
	// Instance is a name for this process, such as that of the host. The ledger adds a
	// random suffix, so that no two are the same.
	Instance string
	// Recent is how many records are remembered in memory.
	Recent int
	// Spool bounds, in bytes, what is kept beside the database while it is down. It is
	// kept in SpoolDir, and in memory where that cannot be written either.
	Spool    int64
	SpoolDir string
	// Lease is how long a process that shares a PostgreSQL database may be silent before
	// it counts as dead; DefaultLease when zero or less.
	Lease time.Duration
	// CommitTimeout is the longest a receipt may take before the database counts as
	// down; DefaultCommitTimeout when zero or less.
	CommitTimeout time.Duration
	// Logger is told what goes wrong; nil means slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Complete puts the cost and the like into the record of a crash before it is kept;
	// it may be nil.
	Complete func(*accounting.Record)
	// Crashed is told once of each record that this process has made for an exchange
	// which a dead process left open; it may be nil. The record is shared: read only.
	Crashed func(*accounting.Record)

	// spoolTimeout is how long the disk of the spool is waited for; a quarter of
	// CommitTimeout when zero.
	spoolTimeout time.Duration
	// wrap is put around the connection that writes; nil in earnest.
	wrap func(store) store
	// spoolDisk is called before the disk of the spool is used; nil in earnest.
	spoolDisk func()
}

// Ledger is the writing side of the books, for one running process. One goroutine writes
// everything that has gathered meanwhile in one transaction, so that a thousand exchanges
// that end together cost a few commits. While the database is down the spool takes what
// comes, and when it answers again it gets what the spool has.
type Ledger struct {
	options  Options
	books    *Books
	instance string
	log      *slog.Logger
	memory   *accounting.Memory
	metrics  *metrics

	mu           sync.Mutex
	queue        []*entry // what the writer has not taken yet
	captures     []Capture
	captureBytes int
	running      []accounting.Checkpoint
	checkpointed bool // running is newer than what the writer has taken
	open         map[accounting.UID]int
	closed       bool

	down atomic.Bool  // the database does not take anything
	room atomic.Int64 // bytes that are left in the spool
	wake chan struct{}
	done chan struct{} // closed when the writer has ended
	err  error         // of the end
}

var _ accounting.Ledger = (*Ledger)(nil)

// reserved is the room that the spool keeps free for the record of an open exchange.
const reserved = 4 << 10

// Begin implements accounting.Ledger.
func (l *Ledger) Begin(intent accounting.Intent) *accounting.Receipt {
	if intent.UID.IsZero() {
		return accounting.Settled(accounting.ErrNoID)
	}
	if intent.Required && l.down.Load() {
		return accounting.Settled(accounting.ErrLedgerUnavailable)
	}
	return l.enqueue(&entry{kind: kindIntent, intent: &intent})
}

// Finish implements accounting.Ledger.
func (l *Ledger) Finish(r *accounting.Record) *accounting.Receipt {
	if r == nil || r.UID.IsZero() {
		return accounting.Settled(accounting.ErrNoID)
	}
	if err := l.memory.Finish(r).Err(); err != nil {
		return accounting.Settled(err)
	}
	return l.enqueue(&entry{kind: kindFinish, record: r})
}

// Amend implements accounting.Ledger.
func (l *Ledger) Amend(r *accounting.Record) *accounting.Receipt {
	if r == nil || r.UID.IsZero() {
		return accounting.Settled(accounting.ErrNoID)
	}
	r.RawUsage = slices.Clone(r.RawUsage) // which memory does not do with a record that it has forgotten
	l.memory.Amend(r)
	return l.enqueue(&entry{kind: kindAmend, record: r})
}

// enqueue hands an entry to the writer.
func (l *Ledger) enqueue(e *entry) *accounting.Receipt {
	receipt := accounting.NewReceipt()
	e.instance, e.receipt, e.queued = l.instance, receipt, time.Now()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return accounting.Settled(accounting.ErrLedgerClosed)
	}
	switch e.kind {
	case kindIntent:
		l.open[e.intent.UID]++
	case kindFinish:
		delete(l.open, e.record.UID)
	}
	l.queue = append(l.queue, e)
	first := len(l.queue) == 1
	l.mu.Unlock()
	if first {
		l.poke()
	}
	return receipt
}

// captured notes that prompts and answers wait no more.
func (l *Ledger) captured(gone []Capture) {
	size := 0
	for i := range gone {
		size += gone[i].size()
	}
	l.mu.Lock()
	l.captureBytes -= size
	l.mu.Unlock()
}

// poke wakes the writer.
func (l *Ledger) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Checkpoint implements accounting.Ledger.
func (l *Ledger) Checkpoint(running []accounting.Checkpoint) {
	l.mu.Lock()
	wanted := !l.closed && (len(running) > 0 || len(l.running) > 0)
	if wanted {
		l.running, l.checkpointed = running, true
	}
	l.mu.Unlock()
	if wanted {
		l.poke()
	}
}

// maxCaptured bounds what waits to be captured, in bytes.
const maxCaptured = 16 << 20

// Capture keeps the prompt and the answer of an exchange some time later, or not at all
// when there is too much to do or the database is down.
func (l *Ledger) Capture(c Capture) {
	if c.UID.IsZero() || l.down.Load() {
		return
	}
	l.mu.Lock()
	kept := !l.closed && l.captureBytes+c.size() <= maxCaptured
	if kept {
		l.captures = append(l.captures, c)
		l.captureBytes += c.size()
	}
	l.mu.Unlock()
	if kept {
		l.poke()
	}
}

// Get implements accounting.Ledger: what this process does not remember is asked of the
// database.
func (l *Ledger) Get(ctx context.Context, id string) (*accounting.Record, bool) {
	if r, ok := l.memory.Get(ctx, id); ok {
		return r, true
	}
	r, err := l.books.Latest(ctx, id)
	if err != nil {
		if !errors.Is(err, ErrNoRecord) {
			l.log.Warn("a record could not be read from the ledger", "error", err)
		}
		return nil, false
	}
	return r, true
}

// Recent implements accounting.Ledger.
func (l *Ledger) Recent(limit int) []*accounting.Record { return l.memory.Recent(limit) }

// Healthy reports that the database takes what it gets.
func (l *Ledger) Healthy() bool { return !l.down.Load() }

// Full reports that the database is down and the spool has no room for further
// exchanges: Begin comes to accounting.ErrLedgerUnavailable.
func (l *Ledger) Full() bool { return l.down.Load() && l.room.Load() < 2*reserved }

// Ready reports whether the intents of new exchanges can be kept now, be it in the spool. It
// costs nothing: nil, accounting.ErrLedgerUnavailable or accounting.ErrLedgerClosed.
func (l *Ledger) Ready() error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return accounting.ErrLedgerClosed
	case l.Full():
		return accounting.ErrLedgerUnavailable
	}
	return nil
}

// Instance is the name of this process in the books.
func (l *Ledger) Instance() string { return l.instance }
