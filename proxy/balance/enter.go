package balance

import (
	"context"
	"time"
)

// Busy is the error of a target that has all the requests it may have, and too many that
// wait.
type Busy struct {
	// RetryAfter is when a place may be free, by what turns have taken so far. It is
	// between a second and a minute.
	RetryAfter time.Duration
}

// Error implements error.
func (*Busy) Error() string { return "the target has too many requests waiting" }

// The bounds of Busy.RetryAfter.
const (
	leastBusy = time.Second
	mostBusy  = time.Minute
)

// doubt is how many times longer than allowed a wait must be by estimate to be refused at
// once: turns differ a lot, and who is refused cannot be lucky.
const doubt = 2

// Enter takes a turn at the target, whether it is available or not. While MaxConcurrent
// others have one it waits, and owners that wait have their turns one after the other. The
// error is that of ctx when it ends first, or *Busy if the queue is full, QueueWait is over,
// or turns take so long that it is useless to wait. With an error there is no turn.
func (t *Target) Enter(ctx context.Context, owner string) (*Turn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if turn, ok := t.TryEnter(); ok {
		return turn, nil
	}
	w, wait, err := t.enqueue(ctx, owner)
	if err != nil {
		return nil, err
	}
	if err := t.wait(ctx, w, wait); err != nil {
		return nil, err
	}
	return t.begin(), nil
}

// TryEnter is Enter without waiting. It goes before nobody who waits: they take all the
// room that there is.
func (t *Target) TryEnter() (*Turn, bool) {
	t.mu.Lock()
	room := t.room()
	if room {
		t.running++
	}
	t.mu.Unlock()
	if !room {
		return nil, false
	}
	return t.begin(), true
}

// room tells whether one more turn may run. The mutex is held.
func (t *Target) room() bool {
	return t.options.MaxConcurrent <= 0 || t.running < t.options.MaxConcurrent
}

// admit gives turns to those who wait, as far as there is room. The mutex is held.
func (t *Target) admit() {
	for t.queue.length > 0 && t.room() {
		t.running++
		t.queue.pop()
	}
}

// enqueue puts a waiter into the queue, for wait at most unless that is 0, or refuses it.
func (t *Target) enqueue(ctx context.Context, owner string) (w *waiter, wait time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queue.length >= t.options.QueueMax && !t.room() {
		return nil, 0, t.busy()
	}
	wait = t.options.QueueWait
	if t.hopeless(ctx, owner, wait) {
		return nil, 0, t.busy()
	}
	w = t.queue.push(owner)
	t.admit() // a place may have become free meanwhile
	return w, wait, nil
}

// wait returns when w has its turn. With an error it has none and is out of the queue.
func (t *Target) wait(ctx context.Context, w *waiter, most time.Duration) error {
	var over <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
	case <-over:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	queued, err := w.place != nil, ctx.Err()
	switch {
	case queued:
		t.queue.remove(w)
		if err == nil {
			err = t.busy()
		}
	case err != nil: // nobody is left to use the turn
		t.running--
		t.admit()
	}
	return err
}

// hopeless tells whether a new waiter would be at its end long before its turn. The mutex
// is held.
func (t *Target) hopeless(ctx context.Context, owner string, wait time.Duration) bool {
	if t.hold.samples < enoughSamples || t.room() {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); wait <= 0 || left < wait {
			wait = left
		}
	}
	return wait > 0 && t.estimate(t.queue.position(owner)) > doubt*float64(wait)
}

// estimate is the time in nanoseconds until the waiter of that position has its turn, by
// what turns have taken. The mutex is held.
func (t *Target) estimate(position int) float64 {
	return t.hold.mean * float64(position) / float64(max(t.options.MaxConcurrent, 1))
}

// busy refuses one. The mutex is held.
func (t *Target) busy() *Busy {
	wait := t.estimate(t.queue.length + 1)
	return &Busy{time.Duration(min(max(wait, float64(leastBusy)), float64(mostBusy)))}
}
