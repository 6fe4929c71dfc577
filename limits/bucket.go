package limits

import (
	"math"
	"time"
)

// minute is what a full bucket holds, in microseconds. All rates are counted in the time
// that what was used takes to come back: of a limit of 60, one costs a second.
const minute = 60e6

// precision forgives what fractions and other clocks do to a sum: a microsecond.
const precision = 1

// cost is what n of a limit take to come back.
func cost(n, limit int64) float64 { return float64(n) * minute / float64(limit) }

// bucket counts what was used of a rate. It is a queue of work that is done at an even
// speed: what came in is gone when its time has passed.
type bucket struct {
	// level is how long what is in the bucket takes; above a minute it is in debt.
	level float64
	// at is when level was right.
	at float64
	// returned is all that was ever given back.
	returned float64
}

// mark is where a charge stands in the queue.
type mark struct {
	cost float64
	// due is when it will have come back, if nothing before it is given back.
	due float64
	// returned is that of the bucket at the time.
	returned float64
}

// advance lets time pass. A clock that went back only stands still.
func (b *bucket) advance(now float64) {
	if now > b.at {
		b.level = max(0, b.level-(now-b.at))
	}
	b.at = now
}

// wait is how long a charge has to; 0 when it fits. Call advance first.
func (b *bucket) wait(cost float64) float64 {
	w := b.level + cost - minute
	if cost > minute {
		w = b.level
	}
	if w <= precision {
		return 0
	}
	return w
}

func (b *bucket) take(cost float64) mark {
	b.level += cost
	return mark{cost: cost, due: b.at + b.level, returned: b.returned}
}

// settle corrects a charge to what was used. What has come back by itself in the
// meantime is not given back again: then any minute has at most a minute's worth of what
// was really used. What was used above the charge is charged now.
func (b *bucket) settle(m mark, used float64) {
	if used >= m.cost {
		b.level += used - m.cost
		return
	}
	waiting := m.due - b.at - (b.returned - m.returned)
	back := max(0, min(m.cost-used, waiting, b.level))
	b.level -= back
	b.returned += back
}

// state tells what is left of a limit.
func rateState(level float64, limit int64) RateState {
	if limit <= 0 {
		return RateState{}
	}
	left := math.Floor((minute-level)*float64(limit)/minute + 1e-3)
	return RateState{Limit: limit, Remaining: int64(max(0, left)), Reset: duration(level), Set: true}
}

// duration rounds up, so that who waits that long need not come again.
func duration(microseconds float64) time.Duration {
	return time.Duration(math.Ceil(min(microseconds, 1e15))) * time.Microsecond
}
