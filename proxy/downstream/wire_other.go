//go:build !linux

package downstream

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// maxPiece bounds one call of the kernel, so that a long write shows its
// progress piece by piece.
const maxPiece = 16 << 10

// wire is an accepted socket that counts what was written to it. TLS, if any,
// runs on top.
type wire struct {
	net.Conn
	rc       syscall.RawConn
	accepted atomic.Int64 // bytes that our kernel took
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
	return &wire{Conn: conn, rc: rc}, nil
}

// Write writes all of p or fails.
func (w *wire) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := w.Conn.Write(p[written:min(len(p), written+maxPiece)])
		written += n
		w.accepted.Add(int64(n))
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// progress counts the bytes that this kernel has taken so far.
func (w *wire) progress() int64 { return w.accepted.Load() }

// unread is not known here.
func (w *wire) unread() bool { return false }

func (w *wire) tune(*Config) error { return nil }

func (w *wire) answersWithin(time.Duration) bool { return false }

func (w *wire) limitUnacknowledged(time.Duration) {}
