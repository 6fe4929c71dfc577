package downstream

import "sync"

// Gone says how a client left.
type Gone struct {
	// HalfClose is true when the client has ended its sending side and nothing
	// more is known: it closed, or shut down one direction and still reads. The
	// two look alike on the wire until something is sent. It is false after a
	// reset or when the kernel gave the client up.
	HalfClose bool
}

type departure uint8

const (
	present departure = iota
	halfClosed
	departed
)

// presence knows whether the client of one connection is still there, and whom
// to tell when it leaves.
type presence struct {
	mu   sync.Mutex
	left departure
	// finish makes a half-close count as presence.
	finish bool
	tell   func(Gone)
	// telling is true while tell runs on the goroutine that noted the departure,
	// which then holds busy. A departure is final, so it is told at most once.
	telling bool
	busy    sync.Mutex
}

// gone tells whether the departure counts. The caller holds mu.
func (p *presence) gone() bool {
	return p.left == departed || p.left == halfClosed && !p.finish
}

// note records a departure and tells the watching exchange, if there is one.
// The callback runs without mu held.
func (p *presence) note(left departure) {
	p.mu.Lock()
	if left > p.left {
		p.left = left
	}
	tell := p.tell
	if tell == nil || !p.gone() {
		p.mu.Unlock()
		return
	}
	g := Gone{HalfClose: p.left == halfClosed}
	p.tell = nil
	p.busy.Lock() // free: nobody has been told yet
	p.telling = true
	p.mu.Unlock()

	defer func() {
		p.mu.Lock()
		p.telling = false
		p.mu.Unlock()
		p.busy.Unlock()
	}()
	tell(g)
}

// watch sets whom to tell, and tells at once when the client is gone already.
func (p *presence) watch(tell func(Gone)) {
	p.mu.Lock()
	if p.gone() {
		g := Gone{HalfClose: p.left == halfClosed}
		p.mu.Unlock()
		tell(g)
		return
	}
	p.tell = tell
	p.mu.Unlock()
}

// unwatch forgets whom to tell and waits for a telling under way.
func (p *presence) unwatch() {
	p.mu.Lock()
	p.tell = nil
	telling := p.telling
	p.mu.Unlock()
	if telling {
		p.busy.Lock()
		p.busy.Unlock() //nolint:staticcheck // the wait is the purpose
	}
}

func (p *presence) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone()
}
