package balance

import (
	"sync"
	"time"
)

const (
	// retriesPerSecond are allowed however few requests there are, so that a model with
	// little traffic can retry at all.
	retriesPerSecond = 3
	// savedRetries bounds what quiet times save up for the moment when everything fails.
	savedRetries = 50
)

// budget keeps a provider that fails from being asked twice as often: requests pay for
// retries.
type budget struct {
	percent int64

	mu    sync.Mutex
	saved int64     // hundredths of a retry, paid by requests
	floor float64   // retries that time has paid, up to retriesPerSecond
	since time.Time // when floor was right
}

func newBudget(percent int) budget {
	return budget{percent: int64(max(percent, 0)), floor: retriesPerSecond, since: time.Now()}
}

// Began tells that a request began, which pays for a part of a retry.
func (g *Group) Began() {
	b := &g.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = min(b.saved+b.percent, savedRetries*100)
}

// MayRetry takes one retry out of the budget, and reports false if there is none left.
// Over a time, it allows retryPercent of the requests that Began, and a few each second.
// With 0 percent there are none.
func (g *Group) MayRetry() bool {
	b := &g.budget
	if b.percent == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.saved >= 100 {
		b.saved -= 100
		return true
	}
	now := time.Now()
	b.floor = min(b.floor+now.Sub(b.since).Seconds()*retriesPerSecond, retriesPerSecond)
	b.since = now
	if b.floor < 1 {
		return false
	}
	b.floor--
	return true
}
