package credential

import (
	"context"
	"sync"
	"time"
)

// Services for credentials are near and answer within milliseconds.
const (
	// fetchLimit bounds a fetch, and the wait of a request for it.
	fetchLimit = 15 * time.Second
	// callLimit bounds one call within a fetch, and connectLimit its beginning.
	callLimit    = 5 * time.Second
	connectLimit = 2 * time.Second
)

// shared runs a fetch at most once at a time, for everyone who waits for it then. The
// fetch belongs to nobody who waits: it ends by itself, at limit, or with life.
type shared[T any] struct {
	op    string // for errors
	life  context.Context
	limit time.Duration
	fetch func(context.Context) (T, error)

	mu      sync.Mutex
	running *run[T] // nil when there is none
}

// run is one fetch. Its result may be read when done is closed.
type run[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// get waits for a fetch until ctx ends.
func (s *shared[T]) get(ctx context.Context) (none T, err error) {
	if ctx.Err() != nil {
		return none, abandoned(ctx, s.op)
	}
	r := s.start()
	// A fetch may be slow to notice its limit; those who wait are not.
	limit := time.NewTimer(s.limit)
	defer limit.Stop()
	select {
	case <-r.done:
		return r.value, r.err
	case <-limit.C:
		return none, plainError(s.op, context.DeadlineExceeded)
	case <-ctx.Done():
		return none, abandoned(ctx, s.op)
	}
}

// start returns the running fetch, or begins one.
func (s *shared[T]) start() *run[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = &run[T]{done: make(chan struct{})}
		go s.carryOut(s.running)
	}
	return s.running
}

func (s *shared[T]) carryOut(r *run[T]) {
	ctx, cancel := context.WithTimeout(s.life, s.limit)
	defer cancel()
	defer func() {
		if recover() != nil {
			// What failed is somebody else's code; requests must not pay for it.
			r.err = &Error{Op: s.op, Detail: "an internal failure"}
		}
		s.mu.Lock()
		s.running = nil
		s.mu.Unlock()
		close(r.done)
	}()
	r.value, r.err = s.fetch(ctx)
}
