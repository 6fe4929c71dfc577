package proxy

import (
	"math"
	"sync"
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
	mu    sync.Mutex // held for a look
	timer *time.Timer

	// Clock readings in nanoseconds since the start of the exchange.
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

// look has the limits looked at soon: an attempt has begun that has limits of its own.
func (l *timeLimits) look(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, over := x.valve.ended(); !over {
		l.timer.Reset(time.Millisecond)
	}
}

func (x *exchange) clock() int64 { return int64(time.Since(x.start)) }

// tick ends the exchange if a limit is crossed, asks the pump for a keep-alive
// comment if one is due, and sets the timer for the next look.
func (x *exchange) tick() {
	x.timer.mu.Lock()
	defer x.timer.mu.Unlock()
	if _, over := x.valve.ended(); over {
		return
	}
	now := x.clock()
	next := min(x.checkTotal(now), x.checkDuration(now), x.checkUpstream(now), x.checkHedge(now), x.checkClient(now), x.checkPing(now))
	if next == never {
		return
	}
	x.timer.timer.Reset(time.Duration(max(next-now, int64(time.Millisecond))))
}

func (x *exchange) checkTotal(now int64) int64 {
	total := int64(x.gen.cfg.Timeouts.Total)
	switch {
	case total == 0:
		return never
	case now >= total:
		x.fail(accounting.OutcomeUpstreamTimeout, translate.CodeUpstreamTimeout)
	}
	return total
}

// checkDuration watches for the time that the limits of the request allow.
func (x *exchange) checkDuration(now int64) int64 {
	limit := int64(x.quota.duration)
	if a := x.attempts.lead(); a != nil {
		limit = least(limit, int64(a.target.provider.Limits.MaxDuration))
	}
	switch {
	case limit == 0:
		return never
	case now >= limit:
		x.fail(accounting.OutcomeLimit, translate.CodeDurationLimit)
	}
	return limit
}

// checkUpstream watches the attempts that go on; between two of them the limits of the
// next one have not begun to run.
func (x *exchange) checkUpstream(now int64) int64 {
	next := soonest(now, x.gen.firstToken(&x.route), x.gen.cfg.Timeouts.Idle)
	for _, a := range x.attempts.open() {
		next = min(next, a.checkUpstream(now))
	}
	return next
}

// firstToken is the limit of a route's model, or that of the configuration.
func (g *generation) firstToken(r *route) config.Duration {
	if r.model != nil && r.model.FirstToken > 0 {
		return r.model.FirstToken
	}
	return g.cfg.Timeouts.FirstToken
}

// checkUpstream watches for the first token, from the moment that the request begins
// to be sent, and after it for silence. While a write to the client is under way the
// upstream is not read, so its silence is not its fault.
func (a *attempt) checkUpstream(now int64) int64 {
	first, idle := a.gen.firstToken(&a.route), a.gen.cfg.Timeouts.Idle
	switch p := accounting.Phase(a.phase.Load()); {
	case p < accounting.PhaseSending || p < accounting.PhaseStreaming && first == 0:
		return soonest(now, first, idle)
	case p < accounting.PhaseStreaming:
		// With the first token the other limit begins to run.
		return min(a.due(now, a.sentAt.Load(), int64(first)), soonest(now, idle))
	case idle == 0:
		return never
	case a.timer.writingSince.Load() != 0:
		a.timer.slowWrite.Store(true)
		return now + int64(idle)
	default:
		return a.due(now, max(a.upstreamAt.Load(), a.timer.downstreamAt.Load()), int64(idle))
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

// due ends the attempt as an upstream timeout when limit has passed since the
// clock reading from, and else returns when it will have.
func (a *attempt) due(now, from, limit int64) int64 {
	if limit == 0 {
		return never
	}
	if now-from >= limit {
		a.fail(accounting.OutcomeUpstreamTimeout, translate.CodeUpstreamTimeout)
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
	stall := int64(x.gen.cfg.Timeouts.ClientStall)
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
	interval := int64(x.gen.cfg.KeepAlive)
	if interval == 0 || !x.streams() {
		return never
	}
	last := max(x.timer.downstreamAt.Load(), x.timer.pingAt)
	if now-last >= interval {
		x.timer.pingAt = now
		if a := x.attempts.lead(); a != nil {
			a.valve.interrupt()
		}
		last = now
	}
	return last + interval
}

// pingDue tells the pump, after it was woken, whether to write a comment.
func (x *exchange) pingDue() bool {
	interval := int64(x.gen.cfg.KeepAlive)
	return interval > 0 && x.clock()-x.timer.downstreamAt.Load() >= interval
}
