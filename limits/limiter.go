package limits

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Options say how a Limiter works. The zero value counts in memory.
type Options struct {
	// Redis is a Redis (5 or later) or Valkey server that several processes count in; nil
	// for one process alone. Its settings are taken over into connections of the
	// Limiter's own, except for clients other than those of one server or one cluster:
	// they should heed the deadlines of contexts and must not repeat calls.
	Redis redis.UniversalClient
	// Namespace is before all names in Redis; sluice when empty.
	Namespace string
	// Instance names the process among those of the namespace. It may be empty.
	Instance string
	// Seed tells what the books say was spent in a window (2026-11-21, 2026-11, total)
	// that began at since; nano-USD or tokens, as the budget counts. It is asked when a
	// window is first used, and when Redis has lost its data; several calls may run at
	// once. nil: nothing was spent.
	Seed func(ctx context.Context, s Subject, b Budget, window string, since time.Time) (int64, error)
	// Now is time.Now when nil. With Redis, its clock is the one that counts.
	Now func() time.Time
	// Lease is how long Redis holds what a dead process had; 15 s when 0.
	Lease time.Duration
	// Timeout is how long a request waits for Redis, from its turn on; 100 ms when 0.
	Timeout time.Duration
	// Logger hears when Redis goes and comes back; nil: nobody does.
	Logger *slog.Logger
	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
}

func (o *Options) setDefaults() {
	if o.Namespace == "" {
		o.Namespace = "sluice"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lease <= 0 {
		o.Lease = 15 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 100 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Limiter decides who may start and who may go on. Its methods are safe for concurrent
// use.
type Limiter struct {
	memory  *memory
	seeder  *seeder
	metrics *metrics
	// shared, queue and worker are nil without Redis.
	shared *shared
	queue  *queue
	worker *worker

	closed    atomic.Bool
	closeOnce sync.Once
	quit      chan struct{}
	janitor   sync.WaitGroup
}

// New returns a Limiter. It does not wait for Redis. The caller closes it.
func New(o Options) *Limiter {
	o.setDefaults()
	l := &Limiter{memory: newMemory(&o), seeder: newSeeder(&o), quit: make(chan struct{})}
	l.metrics = newMetrics(o.Registerer, o.Redis != nil, l.Held)
	if o.Redis != nil {
		l.shared = newShared(&o, l.metrics.seconds)
		l.queue = newQueue(l.metrics.dropped.Inc)
		l.worker = &worker{
			shared: l.shared, memory: l.memory, queue: l.queue, process: o.Instance + ":" + rand.Text(),
			logger: o.Logger, onState: l.metrics.setUp,
			wake: make(chan struct{}, 1), requests: make(chan request), quit: make(chan struct{}), done: make(chan struct{}),
		}
		go l.worker.run()
	}
	l.janitor.Go(l.tidy)
	return l
}

// tidy forgets what is idle.
func (l *Limiter) tidy() {
	ticker := time.NewTicker(evictEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-ticker.C:
			l.memory.evict()
			l.seeder.forget()
		}
	}
}

// Reserve admits a request to all of its subjects or to none. The error is a *Refused,
// an *Unavailable, or the cause of the context's end. What is reserved is held until
// Settle; the caller settles whatever happens. A request that nothing bounds costs
// nothing.
func (l *Limiter) Reserve(ctx context.Context, ask Ask) (*Reservation, error) {
	limited := 0
	for i := range ask.Subjects {
		if ask.Subjects[i].Quota.limited() {
			limited++
		}
	}
	if limited == 0 {
		return unbounded, nil
	}
	r := newReservation(l, ask, limited)
	if l.closed.Load() {
		return nil, unavailable(r.parts[0].subject, ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var err error
	if l.shared == nil {
		err = l.reserveHere(ctx, r)
	} else {
		err = l.reserveShared(ctx, r)
	}
	if err != nil {
		l.count(err)
		return nil, err
	}
	return r, nil
}

func (l *Limiter) count(err error) {
	if err == nil {
		return
	}
	var refused *Refused
	var unavailable *Unavailable
	switch {
	case errors.As(err, &refused):
		l.metrics.refused.WithLabelValues(string(refused.Subject.Kind), string(refused.Limit)).Inc()
	case errors.As(err, &unavailable):
		l.metrics.refused.WithLabelValues(string(unavailable.Subject.Kind), "unavailable").Inc()
	}
}

// reserveHere decides in this process.
func (l *Limiter) reserveHere(ctx context.Context, r *Reservation) error {
	for {
		found := time.Now()
		missing, refused := l.memory.reserve(r)
		if refused != nil {
			return refused
		}
		if len(missing) == 0 {
			return nil
		}
		if err := l.learn(ctx, r, missing, found, l.seedHere); err != nil {
			return err
		}
	}
}

// mostRounds bounds how often the shared counters are asked, which may lose their data
// time and again.
const mostRounds = 5

// reserveShared asks the shared counters, and decides in this process where they cannot
// be asked and the quotas allow it.
func (l *Limiter) reserveShared(ctx context.Context, r *Reservation) error {
	done, tried, err := l.askShared(ctx, r, func() (answer, error) { return l.shared.decide(ctx, r, l.memory) })
	if done {
		if err == nil {
			l.askLax(r)
		}
		return err
	}
	if ctx.Err() == nil {
		err = l.reserveMeanwhile(ctx, r, err)
	}
	if err != nil && tried {
		l.undo(r)
	}
	return err
}

// askShared puts a question to the shared counters until they have what they need for the
// answer: the error, or none. If they cannot be asked it is not done and the error says
// why; if it was tried they may have answered all the same.
func (l *Limiter) askShared(ctx context.Context, r *Reservation, question func() (answer, error)) (done, tried bool, err error) {
	told := false
	for round := 0; l.shared.up.Load() && round < mostRounds; round++ {
		found := time.Now()
		waiting := l.queue.waits(r)
		said, err := question()
		if err != nil {
			return false, true, err
		}
		if said.refused == nil && len(said.missing) == 0 {
			return true, true, nil
		}
		switch {
		case said.refused == nil:
			if err := l.learn(ctx, r, said.missing, found, l.seedShared); err != nil {
				return true, true, err
			}
		case !told && waiting&bit(said.refused.part) != 0:
			// Who waited for an end here must find its place free.
			told = true
			l.worker.now(ctx, l.worker.flush)
		default:
			return true, true, said.refused
		}
		tried = true
	}
	return false, tried, errDown
}

// reserveMeanwhile decides while the shared counters are down.
func (l *Limiter) reserveMeanwhile(ctx context.Context, r *Reservation, cause error) error {
	for i := range r.parts {
		if q := r.parts[i].subject.Quota; q.closed() {
			return unavailable(r.parts[i].subject, cause)
		}
		r.parts[i].lax = 0
	}
	r.state, r.stale = State{}, true
	return l.reserveHere(ctx, r)
}

// closed reports that the quota does not allow to count without the others.
func (q *Quota) closed() bool {
	if q.Fail == Closed && q.counted() {
		return true
	}
	for i := range q.Budgets {
		if q.Budgets[i].closed() {
			return true
		}
	}
	return false
}

// undo takes back what the shared counters may have admitted unheard.
func (l *Limiter) undo(r *Reservation) {
	for i := range r.parts {
		if p := &r.parts[i]; p.held() {
			l.queue.add(settlement{name: nameOf(p.subject), id: r.id})
		}
	}
	l.worker.nudge()
}

// extend raises an allowance.
func (l *Limiter) extend(ctx context.Context, r *Reservation, want Amount) error {
	if l.shared == nil || !r.bounded {
		err := l.memory.extend(r, want, r.bounded)
		l.count(err)
		return err
	}
	r.extending.Lock()
	defer r.extending.Unlock()
	have, settled := l.memory.allowance(r)
	if settled {
		return ErrSettled
	}
	want = want.atLeast(have)
	if want == have {
		return nil
	}
	err := l.extendShared(ctx, r, want)
	l.count(err)
	return err
}

func (l *Limiter) extendShared(ctx context.Context, r *Reservation, want Amount) error {
	done, tried, err := l.askShared(ctx, r, func() (answer, error) { return l.shared.more(ctx, r, want, l.memory) })
	if done {
		if err == nil {
			if err = l.memory.extend(r, want, false); err != nil {
				l.undo(r) // settled meanwhile: the lease may have been taken again
			}
		}
		return err
	}
	if tried {
		l.memory.doubt(r)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i := range r.parts {
		for _, b := range r.parts[i].hardBudgets() {
			if b.closed() {
				return unavailable(r.parts[i].subject, err)
			}
		}
	}
	l.memory.doubt(r)
	return l.memory.extend(r, want, true)
}

// settle ends a reservation.
func (l *Limiter) settle(r *Reservation, used Amount) {
	if !l.memory.settle(r, used) || l.shared == nil || l.closed.Load() {
		return
	}
	for i := range r.parts {
		p := &r.parts[i]
		s := settlement{name: nameOf(p.subject), counters: p.all, day: p.day, spent: used}
		if p.held() {
			s.id = r.id
		}
		if p.charged {
			s.charge, s.used = p.remote, p.charge(used.Tokens)
		}
		if s.id != "" || p.charged || p.all != 0 {
			l.queue.add(s)
		}
	}
	l.worker.nudge()
}

// Charge adds to the budgets of subjects what an exchange used that began at that time
// and that has no reservation here, because its process died. The books that Options.Seed
// reads should have it by then.
func (l *Limiter) Charge(subjects []Subject, used Amount, at time.Time) {
	used = used.clamped()
	day := at.UTC().Format(time.DateOnly)
	for _, s := range subjects {
		if s.Quota == nil || len(s.Quota.Budgets) == 0 {
			continue
		}
		counters := l.memory.charge(s, used, day)
		if l.shared != nil {
			l.queue.addSum(nameOf(s), counters, day, used)
			l.worker.nudge()
		}
	}
}

// Held is what this process holds. It is all zero when nothing runs and Redis has been
// told everything.
func (l *Limiter) Held() Held {
	l.memory.mu.Lock()
	h := l.memory.held
	l.memory.mu.Unlock()
	if l.queue != nil {
		h.Queued = l.queue.len() + l.worker.sending.Load()
	}
	return h
}

// Close tells Redis what was settled, once and with a bounded wait, and ends the Limiter.
// What is not settled by then runs out with its lease.
func (l *Limiter) Close() {
	l.closeOnce.Do(func() {
		l.closed.Store(true)
		close(l.quit)
		l.seeder.close()
		if l.worker != nil {
			l.worker.stop()
			l.shared.close()
		}
		l.janitor.Wait()
	})
}
