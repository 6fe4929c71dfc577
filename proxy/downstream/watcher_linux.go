package downstream

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher notices departures on all connections with one goroutine. Its epoll
// instance is itself a pollable file that Go's network poller waits on, so it
// blocks no thread and wakes only when a client leaves. EPOLLRDHUP reports a FIN
// without a byte being read, hence also behind pipelined bytes and below TLS.
type watcher struct {
	file *os.File
	rc   syscall.RawConn
	done chan struct{}

	mu    sync.Mutex
	conns map[int32]*Conn // by descriptor
	last  int32
}

// registration is what the watcher notes on a connection. An event carries both
// numbers, so that one left over from a closed descriptor never reaches the
// connection that reuses it.
type registration struct{ fd, generation int32 }

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	w := &watcher{
		file:  os.NewFile(uintptr(fd), "epoll"),
		done:  make(chan struct{}),
		conns: make(map[int32]*Conn),
	}
	if w.rc, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	go w.run()
	return w, nil
}

// add registers the connection for as long as its descriptor is open.
func (w *watcher) add(c *Conn) error {
	var failure error
	err := c.wire.rc.Control(func(fd uintptr) {
		w.mu.Lock()
		w.last++
		c.watched = registration{int32(fd), w.last}
		w.conns[c.watched.fd] = c
		w.mu.Unlock()
		event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.watched.fd, Pad: c.watched.generation}
		failure = w.control(unix.EPOLL_CTL_ADD, int(fd), &event)
	})
	if err := errors.Join(err, failure); err != nil {
		w.remove(c)
		return fmt.Errorf("watching a connection: %w", err)
	}
	return nil
}

func (w *watcher) control(op, fd int, event *unix.EpollEvent) error {
	var failure error
	err := w.rc.Control(func(epoll uintptr) {
		failure = unix.EpollCtl(int(epoll), op, fd, event)
	})
	return errors.Join(err, failure)
}

// remove forgets the connection. It must come before its descriptor is closed,
// which takes it out of the epoll instance.
func (w *watcher) remove(c *Conn) {
	w.mu.Lock()
	if w.conns[c.watched.fd] == c {
		delete(w.conns, c.watched.fd)
	}
	w.mu.Unlock()
}

func (w *watcher) run() {
	defer close(w.done)
	var events [128]unix.EpollEvent
	for {
		n := 0
		err := w.rc.Read(func(fd uintptr) bool {
			for {
				var failure error
				n, failure = unix.EpollWait(int(fd), events[:], 0)
				if errors.Is(failure, unix.EINTR) {
					continue
				}
				return n != 0
			}
		})
		if err != nil || n < 0 {
			return
		}
		for i := range n {
			w.deliver(&events[i])
		}
	}
}

// deliver runs outside every lock of the watcher.
func (w *watcher) deliver(event *unix.EpollEvent) {
	w.mu.Lock()
	c := w.conns[event.Fd]
	w.mu.Unlock()
	if c == nil || c.watched.generation != event.Pad {
		return
	}
	left := halfClosed
	if event.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		left = departed
	}
	c.tellDeparture(left)
}

// begin and end bracket a watch; registration at accept covers it here.
func (w *watcher) begin(*Conn) {}
func (w *watcher) end(*Conn)   {}

// close stops the goroutine and waits for it. It must not be called from a
// departure callback.
func (w *watcher) close() {
	_ = w.file.Close()
	<-w.done
}
