package proxy

import (
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// maxWithheld bounds what is kept of an answer that may still give way to another. Where
// more comes before the first token, the answer counts as begun.
const maxWithheld = 64 << 10

// codeHedgeLost is why an attempt was cut whose rival had the first token.
const codeHedgeLost = "hedge_lost"

// commit makes the attempt the one whose answer the client gets: whatever was withheld
// leaves, its rivals are cut, and nothing else may take over from now on. It reports false
// when a rival was first. Only the goroutine that pumps the attempt calls it.
func (a *attempt) commit() bool {
	if a.committed.Load() {
		return true
	}
	rivals, won := a.attempts.win(a)
	if !won {
		return false
	}
	a.committed.Store(true)
	for _, r := range rivals {
		r.valve.shut(ending{outcome: accounting.OutcomeCancelled, code: codeHedgeLost})
	}
	if e, over := a.valve.ended(); over && !a.valve.leftOpen() { // it has failed at the same moment
		a.exchange.shut(e)
	}
	_ = a.written(a.client.release())
	a.letGo()
	return true
}

// win reports whether a is the attempt that serves the client, with those that race it.
func (l *attempts) win(a *attempt) (rivals []*attempt, won bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.winner == nil {
		l.winner = a
		for _, other := range l.begun {
			if other != a {
				rivals = append(rivals, other)
			}
		}
	}
	return rivals, l.winner == a
}

// withdraw forgets an answer that the client has got nothing of.
func (a *attempt) withdraw() {
	if a.client.drop() {
		a.relay.broken, a.relay.failed = false, false
	}
}

// mayGiveWay tells whether another attempt could still take over from this one, so that
// its answer is better withheld until its first token.
func (a *attempt) mayGiveWay() bool {
	switch {
	case a.committed.Load() || a.request == nil:
		return false
	case len(a.attempts.open()) > 1: // a race is on
		return true
	case a.hedgeAfter() > 0 && a.attempts.count() < a.gen.cfg.Retry.Attempts:
		return true
	}
	return a.route.model != nil && a.route.model.FirstTokenFailover && a.mayFollow()
}

// count is the number of attempts so far.
func (l *attempts) count() int { return len(l.all()) }

// letGo gives back the memory of the request once no further attempt can need it. What is
// still being sent is given back with the first token.
func (a *attempt) letGo() {
	a.received.release()
	if a.sending == nil || a.sending.finished() {
		a.down.ReleaseMemory()
	}
}

// hedgeAfter is how long the first attempt may be without a token before another one is
// made beside it; 0 for never.
func (x *exchange) hedgeAfter() time.Duration {
	if x.request == nil || x.route.model == nil {
		return 0
	}
	return x.route.model.HedgeAfter.Std()
}

// checkHedge begins a second attempt when the first has been silent for long enough since
// it was sent. It returns when to look again.
func (x *exchange) checkHedge(now int64) int64 {
	after := int64(x.hedgeAfter())
	if after == 0 {
		return never
	}
	all := x.attempts.all()
	switch {
	case len(all) == 0:
		return now + after
	case x.plan.hedged, len(all) > 1, all[0].committed.Load():
		return never
	}
	switch sent := all[0].sentAt.Load(); {
	case sent == 0: // whenever that happens, the next look is not too late
		return now + after
	case now < sent+after:
		return sent + after
	}
	x.plan.hedged = true // and never again, however soon the next look is
	x.hedge(all[0])
	return never
}

// hedge makes another attempt beside the first. The one that has its first token first
// serves the client, and the other is cut.
func (x *exchange) hedge(first *attempt) {
	if !x.attempts.race(first) {
		return
	}
	started := x.srv.background.start(x.srv, "hedging a request", func() {
		defer x.attempts.racing.Done()
		if a := x.rival(first); a != nil {
			a.run()
			a.hedgeDecided()
		}
	})
	if !started {
		x.attempts.racing.Done()
	}
}

// race makes room for a rival of an attempt that is under way.
func (l *attempts) race(first *attempt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.winner != nil || l.running != first {
		return false
	}
	l.racing.Add(1)
	return true
}

// hedgeDecided deals with what a second attempt leaves behind, unless it has served the
// client.
func (a *attempt) hedgeDecided() {
	result := "won"
	if !a.committed.Load() {
		result = "lost"
		a.settle()
		a.pauseTarget()
	}
	if a.n > 0 { // else it came too late to begin
		a.srv.routing.Hedged(a.target.provider.Name, a.target.label, result)
	}
}

// decisive is the attempt whose ending counts after one that the exchange was in: its
// rival if that has served the client, or has failed too and nothing of the first speaks
// against making the request once more.
func (x *exchange) decisive(first *attempt) *attempt {
	all := x.attempts.all()
	if len(all) == 0 {
		return first
	}
	rival := all[len(all)-1]
	if rival.committed.Load() || first.mayRepeat() {
		return rival
	}
	return first
}
