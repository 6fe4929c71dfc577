// Package balance decides which target serves a request, and learns from how it went. A
// target is a model at a provider: it has so many turns at a time, a queue for those
// that come too many, and a breaker that opens when it keeps failing. A group orders the
// targets of one public model. There are no sockets here and no requests.
package balance

import (
	"sync"
	"sync/atomic"
	"time"
)

// Options are the name and the limits of a target.
type Options struct {
	// Provider and Model are the labels of its metrics. Model may be empty, or * for all
	// that a provider has.
	Provider, Model string
	// MaxConcurrent bounds the turns at the same time. 0 sets no bound.
	MaxConcurrent int
	// QueueMax bounds those that wait for a turn; at 0 nobody waits.
	QueueMax int
	// QueueWait is the longest wait. 0 leaves it to the context.
	QueueWait time.Duration
	// Failures in a row open the breaker. At 0 there is none.
	Failures int
	// Open is how long it stays open before one turn may try the target again. 0 stands
	// for a minute.
	Open time.Duration
}

// Target counts the turns at a model of a provider and keeps its health. It may be used
// by several goroutines, and by several groups.
type Target struct {
	provider, model string

	opened   atomic.Uint64 // times the breaker opened
	failures atomic.Uint32 // turns that Failed since the last Good one
	trip     atomic.Int64  // Options.Failures, for the breaker
	breaker  atomic.Pointer[breaker]

	mu      sync.Mutex
	options Options
	running int
	queue   queue
	latency average // to the first token
	hold    average // of a slot by one turn
	paused  time.Time
}

// NewTarget returns a target with nothing known about its health, which counts as good.
func NewTarget(o Options) *Target {
	t := &Target{provider: o.Provider, model: o.Model}
	t.queue.init()
	t.Configure(o)
	return t
}

// Configure changes the limits; names stay what they are. Turns that run or wait keep
// counting: a lower limit makes others wait until enough have left, a higher one lets
// those in at once that it has room for, and who waits keeps its QueueWait. What was
// learned stays, except that another time to stay open, or a breaker where there was
// none, begins with a closed breaker.
func (t *Target) Configure(o Options) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trip.Store(int64(o.Failures))
	switch {
	case o.Failures <= 0:
		t.breaker.Store(nil)
	case t.breaker.Load() == nil || o.Open != t.options.Open:
		t.breaker.Store(t.newBreaker(o.Open))
	}
	t.options = o
	t.admit()
}

// Name is the provider, or provider/model.
func (t *Target) Name() string {
	if t.model == "" {
		return t.provider
	}
	return t.provider + "/" + t.model
}

// Pause makes the target unavailable for d from now, as its provider has asked for. It
// never shortens a pause. The caller bounds d.
func (t *Target) Pause(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := time.Now().Add(d); until.After(t.paused) {
		t.paused = until
	}
}

// Available tells whether a request should be sent there: the breaker is closed, or would
// let one turn try, and there is no pause. It may have changed before a turn is taken;
// that turn is just as good.
func (t *Target) Available() bool {
	if _, allows := t.breaker.Load().state(); !allows {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !time.Now().Before(t.paused)
}

// firstTokenAverage is the average time to the first token, 0 while there is none.
func (t *Target) firstTokenAverage() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latency.value()
}

// average is an exponentially weighted moving average of durations. The zero value has
// none yet.
type average struct {
	mean    float64 // of nanoseconds
	samples int     // up to enoughSamples
}

const (
	// averageWeight is the part of the newest value: the last ten make up nine tenths.
	averageWeight = 0.2
	// enoughSamples is from where the mean says something about what comes next.
	enoughSamples = 8
)

func (a *average) add(d time.Duration) {
	value := float64(max(d, 0))
	if a.samples == 0 {
		a.mean = value
	} else {
		a.mean += averageWeight * (value - a.mean)
	}
	a.samples = min(a.samples+1, enoughSamples)
}

func (a *average) value() time.Duration { return time.Duration(a.mean) }
