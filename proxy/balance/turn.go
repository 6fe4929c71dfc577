package balance

import (
	"sync/atomic"
	"time"
)

// Verdict is what the end of a turn says about the target.
type Verdict uint8

const (
	// Neutral says nothing: the client left, the request was wrong (4xx), somebody
	// cancelled it, or another call was quicker.
	Neutral Verdict = iota
	// Good is an answer.
	Good
	// Failed is anything that another target might have done better.
	Failed
)

// Turn is the right to have one request at a target. Whoever has one must Leave. Its
// methods may be called by several goroutines, and on nil.
type Turn struct {
	target *Target
	done   func(error) // nil if the breaker does not count it
	began  time.Time
	token  atomic.Bool
	left   atomic.Bool
}

func (t *Target) begin() *Turn {
	return &Turn{target: t, done: t.breaker.Load().begin(), began: time.Now()}
}

// FirstToken tells how long the target took to its first token. Only the first call
// counts.
func (t *Turn) FirstToken(after time.Duration) {
	if t == nil || t.token.Swap(true) {
		return
	}
	t.target.mu.Lock()
	defer t.target.mu.Unlock()
	t.target.latency.add(after)
}

// Leave ends the turn and lets the next in the queue have its place. Only the first call
// counts.
func (t *Turn) Leave(v Verdict) {
	if t == nil || t.left.Swap(true) {
		return
	}
	// The breaker is told first, so that the next turn begins with what it knows.
	t.tell(v)
	lasted := time.Since(t.began)
	target := t.target
	target.mu.Lock()
	defer target.mu.Unlock()
	if v == Failed && !t.token.Load() && target.latency.samples > 0 && lasted > target.latency.value() {
		// It would have taken longer still. Without this a target that hangs would go
		// on being the quickest.
		target.latency.add(lasted)
	}
	target.hold.add(lasted)
	target.running--
	target.admit()
}

func (t *Turn) tell(v Verdict) {
	verdict := errNeutral
	switch v {
	case Good:
		verdict = nil
		t.target.failures.Store(0)
	case Failed:
		verdict = errFailed
		t.target.failures.Add(1)
	}
	if t.done != nil {
		t.done(verdict)
	}
}
