package proxy

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/translate"
)

// timeLimits watches the time limits of one exchange with one timer. The pump only
// stores clock readings; the timer compares them when it fires and sleeps until
// the next moment at which a limit could be crossed.
type timeLimits struct {
	timer *time.Timer

	// Clock readings in nanoseconds since the start of the exchange.
	attemptAt    atomic.Int64 // the upstream call began
	sentAt       atomic.Int64 // writing the request began
	upstreamAt   atomic.Int64 // last bytes from the upstream, or the request sent
	downstreamAt atomic.Int64 // last write to the client finished
	writingSince atomic.Int64 // a write to the client is under way since then; 0: none
	slowWrite    atomic.Bool  // a look of the timer fell into a write

	// Of the timer's goroutine only.
	progress   int64 // what the client had accepted at progressAt
	progressAt int64
	pingAt     int64
}

// never is a deadline that is not set.
const never = int64(math.MaxInt64)

func (l *timeLimits) start(x *exchange) {
	l.timer = time.AfterFunc(time.Hour, func() { x.aside(x.tick) })
	x.tick()
}

func (l *timeLimits) stop() { l.timer.Stop() }

func (x *exchange) clock() int64 { return int64(time.Since(x.start)) }

// tick ends the exchange if a limit is crossed, asks the pump for a keep-alive
// comment if one is due, and sets the timer for the next look.
func (x *exchange) tick() {
	if _, over := x.valve.ended(); over {
		return
	}
	now := x.clock()
	next := min(x.checkTotal(now), x.checkDuration(now), x.checkUpstream(now), x.checkClient(now), x.checkPing(now))
	if next == never {
		return
	}
	x.timer.timer.Reset(time.Duration(max(next-now, int64(time.Millisecond))))
}

func (x *exchange) checkTotal(now int64) int64 {
	return x.due(now, 0, int64(x.srv.cfg.Timeouts.Total))
}

// checkDuration watches for the time that the limits of the request allow.
func (x *exchange) checkDuration(now int64) int64 {
	limit := int64(x.quota.duration)
	switch {
	case limit == 0:
		return never
	case now >= limit:
		x.fail(accounting.OutcomeLimit, translate.CodeDurationLimit)
	}
	return limit
}

// checkUpstream watches for the first token, from the moment that the request begins
// to be sent, and after it for silence. While a write to the client is under way the
// upstream is not read, so its silence is not its fault.
func (x *exchange) checkUpstream(now int64) int64 {
	t := x.srv.cfg.Timeouts
	switch p := x.phaseNow(); {
	case p < accounting.PhaseSending || p < accounting.PhaseStreaming && t.FirstToken == 0:
		return soonest(now, t.FirstToken, t.Idle)
	case p < accounting.PhaseStreaming:
		// With the first token the other limit begins to run.
		return min(x.due(now, x.timer.sentAt.Load(), int64(t.FirstToken)), soonest(now, t.Idle))
	case t.Idle == 0:
		return never
	case x.timer.writingSince.Load() != 0:
		x.timer.slowWrite.Store(true)
		return now + int64(t.Idle)
	default:
		return x.due(now, max(x.timer.upstreamAt.Load(), x.timer.downstreamAt.Load()), int64(t.Idle))
	}
}

// soonest is the first moment at which a limit could be crossed whose time has not
// begun to run.
func soonest(now int64, limits ...config.Duration) int64 {
	next := never
	for _, limit := range limits {
		if limit > 0 {
			next = min(next, now+int64(limit))
		}
	}
	return next
}

// due ends the exchange as an upstream timeout when limit has passed since the
// clock reading from, and else returns when it will have.
func (x *exchange) due(now, from, limit int64) int64 {
	if limit == 0 {
		return never
	}
	if now-from >= limit {
		x.fail(accounting.OutcomeUpstreamTimeout, translate.CodeUpstreamTimeout)
	}
	return from + limit
}

// maxLook bounds the time between two looks at a client that is written to, so that
// it is known to be alive before the kernel gives it up.
const maxLook = int64(5 * time.Second)

// checkClient ends the exchange when a write to the client is under way and the
// client has accepted nothing for the stall limit. It looks often enough to notice
// within a quarter of the limit.
func (x *exchange) checkClient(now int64) int64 {
	stall := int64(x.srv.cfg.Timeouts.ClientStall)
	if stall == 0 {
		return never
	}
	look := now + min(stall/4, maxLook)
	l := &x.timer
	since := l.writingSince.Load()
	x.down.WaitForReader(since != 0)
	if since == 0 {
		l.progressAt = 0
		return look
	}
	l.slowWrite.Store(true)
	progress := x.down.Progress()
	switch {
	case l.progressAt < since: // the first look into this write
		l.progress, l.progressAt = progress, since
	case progress != l.progress:
		l.progress, l.progressAt = progress, now
	case now-l.progressAt >= stall:
		x.shut(ending{outcome: accounting.OutcomeClientStalled})
	}
	return look
}

// checkPing wakes the pump of a silent stream, so that it may write a comment.
func (x *exchange) checkPing(now int64) int64 {
	interval := int64(x.srv.cfg.KeepAlive)
	if interval == 0 || !x.streams() {
		return never
	}
	last := max(x.timer.downstreamAt.Load(), x.timer.pingAt)
	if now-last >= interval {
		x.timer.pingAt = now
		x.valve.interrupt()
		last = now
	}
	return last + interval
}

// pingDue tells the pump, after it was woken, whether to write a comment.
func (x *exchange) pingDue() bool {
	interval := int64(x.srv.cfg.KeepAlive)
	return interval > 0 && x.clock()-x.timer.downstreamAt.Load() >= interval
}
