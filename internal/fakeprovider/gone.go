package fakeprovider

import (
	"sync"
	"time"
)

// How a connection ended, as the provider's socket saw it.
const (
	// GoneEOF is a FIN from the peer.
	GoneEOF = "eof"
	// GoneReset is an RST from the peer, or any other socket error.
	GoneReset = "reset"
	// GoneSelf means that the provider closed the connection first.
	GoneSelf = "self"
)

// Gone says when and how a connection ended. The zero Gone means that it has not.
type Gone struct {
	At  time.Time
	How string // GoneEOF, GoneReset or GoneSelf
}

// departure holds the first Gone of a connection and hands it to all who wait.
type departure struct {
	mu   sync.Mutex
	gone Gone
	done chan struct{} // closed once gone is set
}

func newDeparture() *departure { return &departure{done: make(chan struct{})} }

// stamp keeps the first end; later ones are ignored.
func (d *departure) stamp(how string) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone.How != "" {
		return
	}
	d.gone = Gone{At: now, How: how}
	close(d.done)
}

func (d *departure) get() Gone {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// Gone returns a channel that delivers the end of the connection once. Every call
// returns a channel of its own.
func (c *Conn) Gone() <-chan Gone {
	ch := make(chan Gone, 1)
	if c.IsGone() {
		ch <- c.left.get()
		return ch
	}
	c.provider.wg.Go(func() {
		<-c.left.done
		ch <- c.left.get()
	})
	return ch
}

// IsGone reports whether the connection has ended.
func (c *Conn) IsGone() bool {
	select {
	case <-c.left.done:
		return true
	default:
		return false
	}
}

// WaitGone blocks until the connection has ended. If that takes longer than
// within, it marks the test as failed and returns the zero Gone.
func (c *Conn) WaitGone(within time.Duration) Gone {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.left.done:
	case <-timer.C:
		c.provider.tb.Errorf("the peer of connection %d is still there after %v", c.ID, within)
	}
	return c.left.get()
}

// Hold does nothing until the connection has ended.
func (c *Conn) Hold() Gone {
	<-c.left.done
	return c.left.get()
}
