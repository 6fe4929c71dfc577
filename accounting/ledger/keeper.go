package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// keeper says that this process lives, and looks for others that do not any more: with
// SQLite by locks of files, with PostgreSQL by the time at which each was seen last.
type keeper struct {
	l     *Ledger
	lease time.Duration
	locks locks        // with SQLite
	lock  *flock.Flock // of this process

	occasion chan struct{} // with SQLite: there is a reason to look
	quit     chan struct{}
	done     sync.WaitGroup
	end      context.CancelFunc
	ctx      context.Context

	mu     sync.Mutex
	looked time.Time // when an occasion was taken last

	// beat is when the database was told last that this process lives, and steady since
	// when it has been told so without a gap: after an outage the others need time to
	// say so too before they may be taken for dead.
	beat, steady time.Time
}

func newKeeper(l *Ledger) *keeper {
	k := &keeper{l: l, lease: l.options.Lease, occasion: make(chan struct{}, 1), quit: make(chan struct{}), looked: time.Now()}
	k.ctx, k.end = context.WithCancel(context.Background())
	if l.books.engine == SQLite {
		k.locks = locksOf(l.books.path)
	}
	return k
}

// register says for the first time that this process lives.
func (k *keeper) register(ctx context.Context) (err error) {
	if k.l.books.engine == SQLite {
		if k.lock, err = k.locks.hold(k.l.instance); err != nil {
			return err
		}
	}
	if err := k.seen(ctx); err != nil {
		k.unlock()
		return err
	}
	k.steady = time.Now().Add(-k.lease)
	return nil
}

func (k *keeper) unlock() {
	if k.lock != nil {
		k.locks.release(k.lock)
		k.lock = nil
	}
}

// seen tells the database that this process lives.
func (k *keeper) seen(ctx context.Context) error {
	query := upsertInstance.sqlite
	args := []any{k.l.instance}
	if k.l.books.engine == PostgreSQL {
		query, args = upsertInstance.postgres, arrays(upsertInstance, [][]any{args})
	}
	if _, err := k.l.books.db.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("registering: %w", redact(err))
	}
	k.beat = time.Now()
	return nil
}

// start begins to work until stop.
func (k *keeper) start() {
	if k.l.books.engine == SQLite {
		k.done.Go(k.watchLocks)
		return
	}
	k.done.Go(k.watchLeases)
}

// stop ends the work.
func (k *keeper) stop() {
	close(k.quit)
	k.end()
	k.done.Wait()
}

// leave says that this process is no more. Exchanges that are open all the same are left
// to the next one.
func (k *keeper) leave() error {
	defer k.unlock()
	s, err := newStore(k.l.books)
	if err != nil {
		return err
	}
	name := [][]any{{k.l.instance}}
	err = k.l.newCommitter(s).write(&batch{left: name, over: name})
	if e := s.close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("leaving the ledger: %w", redact(err))
	}
	return nil
}

// look is an occasion to look for dead processes, with SQLite: nothing wakes up while
// nothing happens.
func (k *keeper) look() {
	if k.l.books.engine != SQLite {
		return
	}
	k.mu.Lock()
	due := time.Since(k.looked) >= k.lease
	if due {
		k.looked = time.Now()
	}
	k.mu.Unlock()
	if due {
		select {
		case k.occasion <- struct{}{}:
		default:
		}
	}
}

func (k *keeper) watchLocks() {
	for {
		select {
		case <-k.quit:
			return
		case <-k.occasion:
			k.sweep()
		}
	}
}

// watchLeases tells the database three times in a lease that this process lives.
func (k *keeper) watchLeases() {
	tick := time.NewTicker(k.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(k.ctx, k.lease/3)
		before := k.beat
		err := k.seen(ctx)
		cancel()
		switch {
		case err != nil:
			continue // the writer finds out by itself and says so
		case k.beat.Sub(before) > k.lease*2/3:
			k.steady = k.beat
		}
		if time.Since(k.steady) >= k.lease {
			k.sweep()
		}
	}
}

// firstTries is how often a start tries to close what dead processes have left open. It
// does not fail over that: a database that is slow for a while gets it with a later look.
const firstTries = 3

func (k *keeper) recoverFirst(ctx context.Context) {
	var err error
	for range firstTries {
		if err = k.recover(ctx); err == nil || ctx.Err() != nil {
			return
		}
	}
	k.l.log.Warn("what dead processes have left in the ledger is closed later", "reason", reason(err))
	k.looked = time.Time{} // as soon as something is written
}

func (k *keeper) sweep() {
	if err := k.recover(k.ctx); err != nil && k.ctx.Err() == nil {
		k.l.log.Warn("what a dead process has left in the ledger could not be closed", "reason", reason(err))
	}
}

// recover closes what dead processes have left open.
func (k *keeper) recover(ctx context.Context) error {
	dead, err := k.dead(ctx)
	if err != nil || len(dead) == 0 {
		return err
	}
	s, err := newStore(k.l.books)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	r := recovery{
		books: k.l.books, committer: k.l.newCommitter(s),
		complete: k.l.options.Complete, crashed: k.l.options.Crashed,
	}
	var errs []error
	for _, instance := range dead {
		errs = append(errs, k.closeOne(ctx, &r, instance))
	}
	return errors.Join(errs...)
}

func (k *keeper) closeOne(ctx context.Context, r *recovery, instance string) error {
	if k.l.books.engine == SQLite {
		release, err := k.locks.inherit(instance)
		if err != nil || release == nil {
			return err
		}
		defer release()
	}
	made, err := r.close(ctx, instance)
	if made > 0 {
		k.l.metrics.recovered.Add(float64(made))
		k.l.log.Warn("exchanges that a dead process had left open are closed", "instance", instance, "exchanges", made)
	}
	return err
}

// dead lists the instances that may be dead: with PostgreSQL those that are, with SQLite
// all others, of which the lock tells.
func (k *keeper) dead(ctx context.Context) ([]string, error) {
	query := "SELECT instance FROM instances WHERE instance <> ? UNION SELECT instance FROM intents WHERE instance <> ?"
	args := []any{k.l.instance, k.l.instance}
	if k.l.books.engine == PostgreSQL {
		query = "SELECT instance FROM instances WHERE instance <> ? AND seen_at < " + clocks[PostgreSQL] + " - ?" +
			" UNION SELECT instance FROM intents WHERE instance <> ?" +
			" AND NOT EXISTS (SELECT 1 FROM instances WHERE instances.instance = intents.instance)"
		args = []any{k.l.instance, k.lease.Microseconds(), k.l.instance}
	}
	rows, err := k.l.books.db.QueryContext(ctx, k.l.books.rebind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("looking for dead processes: %w", redact(err))
	}
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var instance string
		if err := rows.Scan(&instance); err != nil {
			return nil, fmt.Errorf("looking for dead processes: %w", err)
		}
		found = append(found, instance)
	}
	return found, rows.Err()
}
