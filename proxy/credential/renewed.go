package credential

import (
	"context"
	"sync/atomic"
	"time"
)

// renewPause is the least time between two attempts to renew what is still good.
const renewPause = 5 * time.Second

// lease is a fetched value and how long it is good for.
type lease[T any] struct {
	value T
	// renew is when a new one should be fetched, while this one is still used; end is
	// when it must not be used any more, zero for never.
	renew, end time.Time
}

// renewed keeps what a fetch brings, and has it renewed in the background before it
// ends, so that only the first request waits.
type renewed[T any] struct {
	fetching shared[*lease[T]]
	current  atomic.Pointer[lease[T]]
	tried    atomic.Pointer[time.Time] // the last renewal
}

// prepare sets how the value is fetched. It is called before the first get.
func (r *renewed[T]) prepare(life context.Context, op string, fetch func(context.Context) (*lease[T], error)) {
	r.fetching.op, r.fetching.life, r.fetching.limit = op, life, fetchLimit
	r.fetching.fetch = func(ctx context.Context) (*lease[T], error) {
		l, err := fetch(ctx)
		if err == nil {
			r.current.Store(l)
		}
		return l, err
	}
}

// get returns the value, and waits only where there is none that can be used.
func (r *renewed[T]) get(ctx context.Context) (T, error) {
	if l := r.current.Load(); l != nil {
		now := time.Now()
		usable := l.end.IsZero() || now.Before(l.end)
		if usable && !now.Before(l.renew) {
			r.renewAhead()
		}
		if usable {
			return l.value, nil
		}
	}
	l, err := r.fetching.get(ctx)
	if err != nil {
		var none T
		return none, err
	}
	return l.value, nil
}

// renewAhead starts a fetch for which nobody waits. If it fails, a later request
// tries again.
func (r *renewed[T]) renewAhead() {
	now, last := time.Now(), r.tried.Load()
	if (last == nil || now.Sub(*last) >= renewPause) && r.tried.CompareAndSwap(last, &now) {
		r.fetching.start()
	}
}
