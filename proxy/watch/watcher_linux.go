package watch

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watcher watches any number of connections with one goroutine. Its epoll instance
// is itself a pollable file that Go's network poller waits on, so it blocks no
// thread and wakes only when a connection ends. EPOLLRDHUP reports a FIN without a
// byte being read, hence also behind bytes that nobody wants yet and below TLS.
type Watcher struct {
	file *os.File
	rc   syscall.RawConn
	done chan struct{}

	mu      sync.Mutex
	watched map[int32]entry // by descriptor
	last    int32
}

// entry is one watched connection.
type entry struct {
	generation int32
	notify     func(Event)
}

// Registration is one connection's place in a Watcher. Both numbers come back with
// an event, so that one left over from a closed descriptor never reaches the
// connection that reuses it. The zero value stands for none.
type Registration struct{ fd, generation int32 }

// New starts a watcher. Its goroutine runs until Close. Where there is no such thing
// the error matches errors.ErrUnsupported.
func New() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	w := &Watcher{
		file:    os.NewFile(uintptr(fd), "epoll"),
		done:    make(chan struct{}),
		watched: make(map[int32]entry),
	}
	if w.rc, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
		return nil, fmt.Errorf("creating the connection watcher: %w", err)
	}
	go w.run()
	return w, nil
}

// Add watches the connection of rc and calls notify for each Event, possibly before
// Add returns and, if the connection has ended already, at once. notify runs on the
// goroutine that watches everyone, with no lock of the watcher held: it must be
// quick, must not panic, and must not call Close.
func (w *Watcher) Add(rc syscall.RawConn, notify func(Event)) (Registration, error) {
	var r Registration
	var failure error
	err := rc.Control(func(fd uintptr) {
		r = w.enter(int32(fd), notify)
		event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: r.fd, Pad: r.generation}
		failure = w.control(unix.EPOLL_CTL_ADD, int(fd), &event)
	})
	if err := errors.Join(err, failure); err != nil {
		w.Remove(r)
		return Registration{}, fmt.Errorf("watching a connection: %w", err)
	}
	return r, nil
}

func (w *Watcher) enter(fd int32, notify func(Event)) Registration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	w.watched[fd] = entry{w.last, notify}
	return Registration{fd, w.last}
}

func (w *Watcher) control(op, fd int, event *unix.EpollEvent) error {
	var failure error
	err := w.rc.Control(func(epoll uintptr) {
		failure = unix.EpollCtl(int(epoll), op, fd, event)
	})
	return errors.Join(err, failure)
}

// Remove forgets a connection. It must come before its descriptor is closed, which
// takes it out of the epoll instance. A notification may be under way meanwhile, and
// end after Remove has returned.
func (w *Watcher) Remove(r Registration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.watched[r.fd]; ok && e.generation == r.generation {
		delete(w.watched, r.fd)
	}
}

// Close stops the goroutine and waits for it. Nothing is notified afterwards. Calls
// after the first do nothing.
func (w *Watcher) Close() {
	_ = w.file.Close() // fails only on the second call
	<-w.done
}

func (w *Watcher) run() {
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
func (w *Watcher) deliver(event *unix.EpollEvent) {
	w.mu.Lock()
	e, ok := w.watched[event.Fd]
	w.mu.Unlock()
	if !ok || e.generation != event.Pad {
		return
	}
	if event.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.notify(Lost)
	} else {
		e.notify(HalfClosed)
	}
}
