package upstream

import (
	"errors"
	"net"
)

// Each calls f for every piece of the body and for every error, as ReadBody would
// return them one after the other, until f returns false or the error is one that
// ReadBody would repeat. What ReadBody says of its results and of Frame holds while f
// runs, and after Each until the next call if f has returned false.
//
// Each is ReadBody in a loop, except that on Linux, on a plain connection of a pool
// with a Watcher, it does not ask the socket in vain before each wait. Then the
// socket stays reserved while f runs: Conn.Close ends the connection at once but
// leaves its descriptor to Each. f must not call ReadBody, Each or Reset.
func (r *Reader) Each(f func(b []byte, err error) (more bool)) {
	if r.kind != bodyUnknown && r.conn.enter() {
		defer r.conn.leave()
		r.eachWaiting(f)
		return
	}
	for r.next(f) {
		continue
	}
}

// next lets f have what ReadBody returns.
func (r *Reader) next(f func([]byte, error) bool) (more bool) {
	b, err := r.ReadBody()
	return r.lend(f, b, err) && (err == nil || errors.Is(err, ErrInterrupted))
}

// lend calls f with ReadBody barred.
func (r *Reader) lend(f func([]byte, error) bool, b []byte, err error) (more bool) {
	r.lent = true
	more = f(b, err)
	r.lent = false
	return more
}

// eachWaiting is Each between enter and leave of the connection.
func (r *Reader) eachWaiting(f func([]byte, error) bool) {
	p := &pump{r: r, f: f, more: true}
	ready := p.ready
	for p.deliver() {
		r.drop()
		p.err = nil
		err := r.conn.raw.Read(ready)
		if err == nil {
			err = p.err
		}
		if err == nil {
			continue
		}
		if r.conn.closed.Load() {
			err = net.ErrClosed
		}
		err = socketError("reading from", err, false)
		if errors.Is(err, ErrInterrupted) && !r.conn.settle() {
			continue // woken by the watcher alone
		}
		if err = r.ended(err); err != nil {
			p.more = r.lend(f, nil, err)
		}
	}
	if p.more {
		r.next(f) // the end, for which there is nothing to wait
	}
}

// pump is one Each at work.
type pump struct {
	r    *Reader
	f    func([]byte, error) bool
	more bool  // f wants to be called again
	err  error // of the socket
}

// ready runs whenever the socket may have something, and returns false to wait until
// it does again. It begins with a read, because what arrived before the wait began is
// announced no more. Behind a read that did not fill its buffer there is nothing, and
// what arrives afterwards ends the wait, so it need not read until there is nothing:
// only the end of the connection can have been announced together with those bytes,
// and of that the watcher tells. (A read also stops at urgent data, which HTTP has not.)
func (p *pump) ready(fd uintptr) (done bool) {
	r := p.r
	for !r.conn.closed.Load() {
		b := takeBlock()
		n, err := readSocket(fd, b.room())
		if n == 0 {
			giveBlock(b)
			if err == errNothingYet { //nolint:errorlint // comes bare from the socket
				return false
			}
			p.err = err
			return true
		}
		full := n == len(b.room())
		r.block, r.pos, r.end = b, Headroom, Headroom+n
		if !p.deliver() {
			return true
		}
		r.drop()
		if !full && !r.conn.hungUp.Load() {
			return false
		}
	}
	p.err = net.ErrClosed
	return true
}

// deliver hands over what has been received. It reports whether the socket has to be
// asked for more.
func (p *pump) deliver() bool {
	r := p.r
	for p.more && r.pos < r.end {
		if b := r.decode(); len(b) > 0 {
			p.more = r.lend(p.f, b, nil)
		}
	}
	return p.more && !r.done && r.err == nil
}
