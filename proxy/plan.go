package proxy

import (
	"sync"
	"time"
)

// plan is what an exchange may still do after the attempt that it is in. It is changed by
// the goroutine of the exchange, and while that is in an attempt by the one that makes a
// rival for it.
type plan struct {
	route   route           // of the model that was asked for, or of a fallback
	repeats int             // how often targets were asked again
	waited  time.Duration   // for the first target
	fellTo  map[string]bool // also from
	hedged  bool            // a rival has been made, or was not to be had; of the timer's goroutine

	mu   sync.Mutex
	rest []target // not asked yet, in the order in which they are to be asked
}

// follow plans for the targets of a route.
func (p *plan) follow(to route, sticky string) {
	p.route = to
	p.keep(to.order(sticky))
}

// keep sets the targets that are left.
func (p *plan) keep(rest []target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = rest
}

// left are the targets that have not been asked.
func (p *plan) left() []target {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rest
}

// pop takes the next target out; ok is false if there is none.
func (p *plan) pop() (t target, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) == 0 {
		return target{}, false
	}
	t = p.rest[0]
	p.rest = p.rest[1:]
	return t, true
}
