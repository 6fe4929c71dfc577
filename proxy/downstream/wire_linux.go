package downstream

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wire is an accepted socket that knows at any moment how much of what was
// written to it the client's kernel has acknowledged. TLS, if any, runs on top.
type wire struct {
	net.Conn
	rc syscall.RawConn

	accepted atomic.Int64 // bytes that our kernel took

	writing sync.Mutex
	rest    []byte
	failure error
	// push is tryWrite bound once, so that a write allocates nothing.
	push func(fd uintptr) bool
}

var errNotASocket = errors.New("downstream: the listener accepted something that is not a socket")

func newWire(conn net.Conn) (*wire, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errNotASocket
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, rc: rc}
	w.push = w.tryWrite
	return w, nil
}

// Write writes all of p or fails. It counts what each call of the kernel took
// rather than what one Write did, so that a long write shows its progress.
func (w *wire) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.rest, w.failure = p, nil
	err := w.rc.Write(w.push)
	n := len(p) - len(w.rest)
	w.rest = nil
	if err == nil {
		err = w.failure
	}
	return n, err
}

func (w *wire) tryWrite(fd uintptr) bool {
	for len(w.rest) > 0 {
		n, err := send(fd, w.rest)
		switch {
		case n > 0:
			w.accepted.Add(int64(n))
			w.rest = w.rest[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			w.failure = os.NewSyscallError("write", err)
			return true
		default:
			w.failure = io.ErrShortWrite
			return true
		}
	}
	return true
}

// send hands p to the kernel without ever waiting. Because it cannot block it is a
// raw system call: the scheduler need not find other work for this thread's
// processor meanwhile, nor notice afterwards that it is back, which together cost a
// busy proxy more than the call's own bookkeeping.
func send(fd uintptr, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// progress counts the bytes that the client has acknowledged so far.
func (w *wire) progress() int64 {
	accepted := w.accepted.Load()
	var queued int
	err := w.rc.Control(func(fd uintptr) {
		queued, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
	})
	if err != nil {
		return accepted
	}
	return max(0, accepted-int64(queued))
}

// unread tells whether bytes have arrived that nobody has read.
func (w *wire) unread() bool {
	var waiting int
	err := w.rc.Control(func(fd uintptr) {
		waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	return err == nil && waiting > 0
}

// answersWithin tells whether the client's kernel has acknowledged anything lately.
// One whose program does not read still answers the probes of its closed window.
func (w *wire) answersWithin(limit time.Duration) bool {
	var info *unix.TCPInfo
	err := w.rc.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	return err == nil && info != nil && time.Duration(info.Last_ack_recv)*time.Millisecond < limit
}

// limitUnacknowledged sets how long sent data may stay unacknowledged; 0 is for ever.
func (w *wire) limitUnacknowledged(d time.Duration) {
	_ = w.rc.Control(func(fd uintptr) { // fails only on a closed connection
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// tune sets the options of the socket that the standard library has no call for.
func (w *wire) tune(cfg *Config) error {
	if _, ok := w.Conn.(*net.TCPConn); !ok || cfg.UserTimeout < 0 {
		return nil
	}
	var failure error
	err := w.rc.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(cfg.UserTimeout.Milliseconds()))
	})
	return errors.Join(err, failure)
}
