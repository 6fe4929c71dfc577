package proxy

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// ending says how an exchange ends: its outcome and, where a client or an
// operator needs to know more, the error code that belongs to it.
type ending struct {
	outcome accounting.Outcome
	code    string
	// halfClosed tells that the client had only shut its sending side.
	halfClosed bool
}

// closer is whatever must be closed to stop an upstream call in its present
// phase: the cancel function of a dial, or the connection itself. Close may be
// called from any goroutine and must not wait.
type closer interface{ Close() }

type closeFunc func()

func (f closeFunc) Close() { f() }

// valve owns the upstream side of one exchange. Every cause that can end the
// exchange goes through it: the first cause wins, the upstream is closed by the
// goroutine that brought that cause, and every later cause is a no-op. The
// goroutine that pumps bytes finds out because its read or write fails, asks
// for the ending and writes what belongs to it.
type valve struct {
	// onEnd runs once, before the upstream is closed and before anyone can see
	// the ending. It must not block.
	onEnd func(ending)

	mu       sync.Mutex
	upstream closer
	decided  bool
	kept     bool // the upstream was left to the pump
	end      ending
	at       time.Time
	closedIn time.Duration
}

// shut ends the exchange with e and closes the upstream. It reports whether e
// is the ending that counts.
func (v *valve) shut(e ending) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.decided {
		return false
	}
	v.decide(e)
	if v.upstream != nil {
		v.upstream.Close()
		v.upstream = nil
		v.closedIn = time.Since(v.at)
	}
	return true
}

// settle ends the exchange with e but leaves the upstream open and to the caller,
// who must pool or close it: the answer was read to an end that may allow reuse.
// It reports whether e is the ending that counts.
func (v *valve) settle(e ending) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.decided {
		return false
	}
	v.decide(e)
	v.kept = true
	v.upstream = nil
	return true
}

func (v *valve) decide(e ending) {
	v.decided = true
	v.end = e
	v.at = time.Now()
	if v.onEnd != nil {
		v.onEnd(e)
	}
}

// bind puts c under the valve in place of what was there. When the exchange has
// ended already, c is closed at once and bind reports false.
func (v *valve) bind(c closer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.decided {
		c.Close()
		return false
	}
	v.upstream = c
	return true
}

// unbind forgets what was bound: it has closed by itself.
func (v *valve) unbind() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.upstream = nil
}

// ended returns the ending and whether there is one yet.
func (v *valve) ended() (ending, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.end, v.decided
}

// leftOpen tells whether the exchange ended with its upstream left to the pump.
func (v *valve) leftOpen() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.kept
}

// closing returns how long the upstream socket took to close once the ending
// was decided; ok is false when there was nothing to close.
func (v *valve) closing() (d time.Duration, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closedIn, v.closedIn > 0
}

// interrupter is an upstream connection whose blocked read can be woken without
// losing data.
type interrupter interface{ Interrupt() }

// interrupt wakes the pump from its read, if the valve still holds a connection.
func (v *valve) interrupt() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.upstream.(interrupter); ok {
		c.Interrupt()
	}
}
