package upstream

import (
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/proxy/watch"
)

// stay lets a reader stay at the socket for a whole body, in Reader.Each: it is woken
// when the connection ends, and keeps nobody from closing it.
type stay struct {
	watcher *watch.Watcher // nil on a connection that is not watched
	watched watch.Registration
	hungUp  atomic.Bool // the upstream has ended its side, or the connection

	mu          sync.Mutex // guards the rest together with the read deadline
	interrupted bool       // by Interrupt
	woken       bool       // by the watcher
	inside      bool       // a reader is in Each and holds the descriptor
	abandoned   bool       // Close came meanwhile: leave closes the descriptor
}

// watch has the end of a plain connection reported, without which Each does not stay
// at the socket. A connection that cannot be watched works as well.
func (c *Conn) watch(w *watch.Watcher) {
	if w == nil || c.tls != nil {
		return
	}
	if r, err := w.Add(c.raw, c.hangUp); err == nil {
		c.watcher, c.watched = w, r
	}
}

// hangUp is called by the watcher.
func (c *Conn) hangUp(watch.Event) {
	c.hungUp.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside {
		c.woken = true
		_ = c.tcp.SetReadDeadline(longAgo) // fails only on a closed socket
	}
}

// enter begins a stay at the socket, unless the connection cannot be watched or is
// closed. leave ends it.
func (c *Conn) enter() bool {
	if c.watcher == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.inside = true
	return true
}

// leave closes the descriptor if Close left it to the reader.
func (c *Conn) leave() {
	if c.left() {
		c.release()
	}
}

func (c *Conn) left() (abandoned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside = false
	if c.woken && !c.interrupted {
		_ = c.tcp.SetReadDeadline(noDeadline) // fails only on a closed socket
	}
	c.woken = false
	return c.abandoned
}

// abandon ends the connection for both sides but keeps the descriptor, if a reader is
// inside: closing it would wait for that reader, who may wait for its client or for a
// lock of whoever closes.
func (c *Conn) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inside {
		return false
	}
	c.abandoned = true
	_ = c.raw.Control(c.cut)       // fails only on a closed socket
	_ = c.tcp.SetDeadline(longAgo) // wakes whoever reads or writes
	return true
}
