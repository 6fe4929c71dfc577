//go:build unix && !linux

package downstream

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/proxy/watch"
)

// watcher notices departures with one goroutine per watched exchange that waits
// for the socket to become readable and peeks at it. It sees a FIN and a reset,
// but neither behind pipelined bytes, which end the watch.
type watcher struct{}

// registration is what the watcher notes on a connection.
type registration struct{ done chan struct{} }

func newWatcher(*watch.Watcher) (*watcher, error) { return &watcher{}, nil }

func (w *watcher) add(*Conn) error { return nil }
func (w *watcher) remove(*Conn)    {}
func (w *watcher) close()          {}

func (w *watcher) begin(c *Conn) {
	_ = c.wire.SetReadDeadline(time.Time{}) // fails only on a closed connection
	done := make(chan struct{})
	c.watched.done = done
	go func() {
		defer close(done)
		var left departure
		err := c.wire.rc.Read(func(fd uintptr) bool {
			var one [1]byte
			n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			switch {
			case err == nil && n == 0:
				left = halfClosed
			case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
				return false
			case err != nil:
				left = departed
			}
			return true
		})
		if err == nil && left != present {
			c.tellDeparture(left)
		}
	}()
}

func (w *watcher) end(c *Conn) {
	if c.watched.done == nil {
		return
	}
	_ = c.wire.SetReadDeadline(time.Unix(1, 0))
	<-c.watched.done
	c.watched.done = nil
	_ = c.wire.SetReadDeadline(time.Time{})
}
