package proxy

import (
	"sync"

	"github.com/sluicehq/sluice/accounting"
)

// attempts are the upstream calls of an exchange: those that have ended, and one that
// goes on, or two while it is not decided which of them serves the client.
type attempts struct {
	mu     sync.Mutex
	begun  []*attempt
	winner *attempt // whose answer the client gets
	lately *attempt // the latest; nil between two
	// running is the one that the goroutine of the exchange is in: rivals are made beside
	// it, and waited for after it.
	running *attempt
	none    *attempt // stands for the calls of an exchange that has made none
	racing  sync.WaitGroup
}

// lead is the attempt that the exchange is in: the one that serves the client, else the
// latest. It is nil while there is none.
func (l *attempts) lead() *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.winner != nil {
		return l.winner
	}
	return l.lately
}

// last is the attempt that the record is about: the one that serves the client, else the
// one that the exchange is in, else the latest. One that never began stands in where there
// was none.
func (x *exchange) last() *attempt {
	l := &x.attempts
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.winner != nil:
		return l.winner
	case l.lately != nil:
		return l.lately
	case len(l.begun) > 0:
		return l.begun[len(l.begun)-1]
	case l.none == nil:
		l.none = x.bareAttempt(x.route.targets[0], accounting.AttemptFirst)
	}
	return l.none
}

// all are those that have begun, in their order. The caller must not change the slice.
func (l *attempts) all() []*attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun[:len(l.begun):len(l.begun)]
}

// open are those that have begun and not ended.
func (l *attempts) open() []*attempt {
	var out []*attempt
	for _, a := range l.all() {
		if _, over := a.valve.ended(); !over {
			out = append(out, a)
		}
	}
	return out
}

// begin adds a to the calls of the exchange. A hedge does not take the lead. It reports
// false, and adds nothing, when another attempt serves the client already.
func (l *attempts) begin(a *attempt) bool {
	a.uses(a)
	l.mu.Lock()
	if l.winner != nil {
		l.mu.Unlock()
		return false
	}
	l.begun = append(l.begun, a)
	a.n = len(l.begun)
	if a.kind != accounting.AttemptHedge {
		l.lately, l.running = a, a
	}
	l.mu.Unlock()
	if a.n > 1 {
		a.timer.look(a.exchange)
	}
	if e, over := a.exchange.valve.ended(); over {
		a.valve.shut(e)
	}
	return true
}

// lastWord notes that the exchange ends as this attempt did.
func (l *attempts) lastWord(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lately = a
}

// between notes that no call goes on.
func (l *attempts) between() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lately = nil
}

// shut ends all calls with the ending of the exchange.
func (l *attempts) shut(e ending) {
	for _, a := range l.all() {
		a.valve.shut(e)
	}
}

// join waits for the calls that race each other. No more of them begin.
func (l *attempts) join() {
	l.mu.Lock()
	l.running = nil
	l.mu.Unlock()
	l.racing.Wait()
}
