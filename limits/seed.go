package limits

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// seedTimeout bounds one question to Options.Seed.
	seedTimeout = 5 * time.Second
	// seedPatience is how long a request waits for the answer that may go on without.
	seedPatience = 500 * time.Millisecond
	// seedAgain is when a question that the books did not answer is put again, shortly one
	// whose answer could not be put down.
	seedAgain = time.Second
	shortly   = 20 * time.Millisecond
)

// seeder asks what was spent in windows before, each once at a time.
type seeder struct {
	ask  func(ctx context.Context, s Subject, b Budget, window string, since time.Time) (int64, error)
	stop context.CancelFunc
	ctx  context.Context // of all questions; ends with the limiter

	mu      sync.Mutex
	flights map[flightKey]*flight
	group   sync.WaitGroup
}

type flightKey struct {
	name   name
	slot   slot
	window string
}

// flight is one question.
type flight struct {
	begun time.Time
	// done is closed when the answer is installed or err is set.
	done chan struct{}
	err  error
	// ended is when it was done, again when a failed question may be put again.
	ended, again time.Time
}

// answers reports that the flight is the answer to who found at that time that
// something is missing.
func (f *flight) answers(found, now time.Time) bool {
	switch {
	case f.ended.IsZero():
		return true
	case f.err != nil:
		return now.Before(f.again)
	}
	return f.ended.After(found)
}

func newSeeder(o *Options) *seeder {
	ctx, stop := context.WithCancel(context.Background())
	return &seeder{ask: o.Seed, ctx: ctx, stop: stop, flights: make(map[flightKey]*flight)}
}

// counter is where a question comes from and an answer goes to.
type counter interface {
	// before notes what is counted when the question is put: the books have that already.
	before(ctx context.Context) error
	// seed adds what was counted since to what the books say.
	seed(ctx context.Context, spent int64) error
}

// start puts the question unless it is being put, has been answered since the time when
// the answer was found missing, or has failed just now. The counter has the answer before
// the flight is done.
func (s *seeder) start(key flightKey, found time.Time, subject Subject, budget Budget, to counter) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if f := s.flights[key]; f != nil && f.answers(found, now) {
		return f
	}
	f := &flight{begun: now, done: make(chan struct{})}
	if s.ctx.Err() != nil {
		f.err = ErrClosed
		close(f.done)
		return f
	}
	s.flights[key] = f
	s.group.Go(func() { s.fly(key, f, subject, budget, to) })
	return f
}

func (s *seeder) fly(key flightKey, f *flight, subject Subject, budget Budget, to counter) {
	ctx, cancel := context.WithTimeout(s.ctx, seedTimeout)
	defer cancel()
	err := to.before(ctx)
	var spent int64
	again := shortly
	if err == nil && s.ask != nil {
		if spent, err = s.ask(ctx, subject, budget, key.window, key.slot.since(key.window)); err != nil {
			again = seedAgain
		}
	}
	if err == nil {
		err = to.seed(ctx, max(spent, 0))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.err, f.ended = err, time.Now()
	f.again = f.ended.Add(again)
	close(f.done)
}

// errSlow is behind the answer that did not come in time.
var errSlow = errors.New("what was spent before is not known yet")

// wait returns when the answer is there, or when the request may go on without.
func (f *flight) wait(ctx context.Context, closed bool) error {
	select {
	case <-f.done:
		return f.err
	default:
	}
	patience := seedTimeout + time.Second
	if !closed {
		patience = seedPatience
	}
	timer := time.NewTimer(patience - time.Since(f.begun))
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-timer.C:
		return errSlow
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// forget drops the answers that nobody asks about any more.
func (s *seeder) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for key, f := range s.flights {
		if !f.ended.IsZero() && now.After(f.again) {
			delete(s.flights, key)
		}
	}
}

func (s *seeder) close() {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.group.Wait()
}
