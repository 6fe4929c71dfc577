package upstream

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// longAgo is a deadline that has passed.
var longAgo, noDeadline = time.Unix(1, 0), time.Time{}

// Conn is one connection to the provider of a Pool. One goroutine reads (through a
// Reader) and one may write at the same time; Close and Interrupt may be called from
// anywhere.
type Conn struct {
	tcp    *net.TCPConn
	raw    syscall.RawConn
	tls    *tls.Conn // the innermost TLS session, nil on a plain connection
	layers []*recordLayer

	reused    bool
	idleSince time.Time // set while the connection lies in the pool

	closed  atomic.Bool
	writing atomic.Int32

	stay

	// Of the reading goroutine.
	tryRead func(fd uintptr) bool // made once, so that a read allocates nothing
	fd      uintptr               // valid inside tryRead
	mode    wireMode
	got     *block
	gotN    int
	readErr error // found behind bytes that had to be handed out first
}

func newConn(tcp *net.TCPConn) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, socketError("dialing", err, false)
	}
	c := &Conn{tcp: tcp, raw: raw}
	c.tryRead = c.readNow
	return c, nil
}

// Reused tells whether the connection has carried an exchange before.
func (c *Conn) Reused() bool { return c.reused }

// Close closes the socket at once, without a TLS goodbye and without waiting for
// whoever uses the connection: blocked reads and writes return. A request that is
// still being written is cut off, so that the upstream does not get to read what is
// left of it in the kernel. Calls after the first do nothing.
func (c *Conn) Close() {
	if c.closed.Swap(true) || c.abandon() {
		return
	}
	if c.writing.Load() > 0 {
		_ = c.tcp.SetLinger(0) // fails only on a dead socket
	}
	c.release()
}

// release closes the descriptor.
func (c *Conn) release() {
	if c.watcher != nil {
		c.watcher.Remove(c.watched)
	}
	_ = c.tcp.Close() // the socket is gone whatever it says
}

// Interrupt makes the read that is blocked now, or the next one, return
// ErrInterrupted. No data is lost and the connection stays good. Interrupts that
// nobody has seen yet count as one.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	_ = c.tcp.SetReadDeadline(longAgo) // fails only on a closed socket, which wakes readers itself
}

// settle takes back what woke the reader, once it has seen it or nobody waits for it
// any more. It reports whether that was an Interrupt.
func (c *Conn) settle() (interrupted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	interrupted = c.interrupted
	if c.interrupted || c.woken {
		c.interrupted, c.woken = false, false
		_ = c.tcp.SetReadDeadline(noDeadline)
	}
	return interrupted
}

// Write writes p whole or fails with an *Error.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	write := c.tcp.Write
	if c.tls != nil {
		write = c.tls.Write
	}
	n, err := write(p)
	if err != nil && c.closed.Load() {
		err = net.ErrClosed
	}
	return n, socketError("writing to", err, c.tls != nil)
}

// receive waits for bytes and returns them in a block, where n of them begin at
// Headroom. Nothing is held while it waits. The block is the caller's.
func (c *Conn) receive() (b *block, n int, err error) {
	if c.readErr != nil {
		return nil, 0, socketError("reading from", c.readErr, c.tls != nil)
	}
	if err = c.wait(); err == nil {
		b, n = c.got, c.gotN
		c.got = nil
		if n > 0 {
			return b, n, nil
		}
		err = c.readErr
	}
	err = socketError("reading from", err, c.tls != nil)
	if err == ErrInterrupted { //nolint:errorlint // socketError returns it bare
		c.settle()
	}
	return nil, 0, err
}

// taken keeps the result of one attempt to fill b. It reports whether there is
// something to return: bytes, the end or an error; false means that nothing has
// arrived yet.
func (c *Conn) taken(b *block, n int, err error) bool {
	if n == 0 {
		giveBlock(b)
		if err == errNothingYet { //nolint:errorlint // comes bare from the wire
			return false
		}
		b = nil
	}
	c.got, c.gotN, c.readErr = b, n, err
	return true
}

// readTLS fills p with what TLS yields: one record, and then the records that came
// along with it, without asking the socket again.
func (c *Conn) readTLS(p []byte) (n int, err error) {
	top := c.layers[len(c.layers)-1]
	n, err = c.tls.Read(p)
	for err == nil && n > 0 && n < len(p) && top.mayHoldMore() {
		var m int
		m, err = c.silently(p[n:])
		n += m
	}
	if n > 0 && err == errNothingYet { //nolint:errorlint // comes bare from the wire
		top.whole = 0
		err = nil
	}
	return n, err
}

// silently reads what TLS has already taken from the socket.
func (c *Conn) silently(p []byte) (int, error) {
	mode := c.mode
	c.mode = wireSilent
	n, err := c.tls.Read(p)
	c.mode = mode
	return n, err
}

// clean tells whether nothing that the upstream sent lies between the socket and
// the reader: no plain text, no part of a record.
func (c *Conn) clean() bool {
	if c.readErr != nil {
		return false
	}
	if c.tls == nil {
		return true
	}
	var one [1]byte
	n, err := c.silently(one[:])
	if n > 0 || err != errNothingYet { //nolint:errorlint // comes bare from the wire
		return false
	}
	for _, l := range c.layers {
		if !l.atBoundary() {
			return false
		}
	}
	return true
}

// wireMode says how a wire reads.
type wireMode uint8

const (
	wireBlocking wireMode = iota // waits, as every net.Conn
	wireTrying                   // inside tryRead: never waits
	wireSilent                   // does not touch the socket
)

// errNothingYet is what TLS is told when there is nothing to read now. TLS takes a
// temporary error for what it is: the session goes on with the next read.
var errNothingYet = os.ErrDeadlineExceeded

// wire is the socket as TLS sees it.
type wire struct{ c *Conn }

func (w wire) Read(p []byte) (int, error) {
	switch w.c.mode {
	case wireSilent:
		return 0, errNothingYet
	case wireTrying:
		return readSocket(w.c.fd, p)
	default:
		return w.c.tcp.Read(p)
	}
}

func (w wire) Write(p []byte) (int, error)        { return w.c.tcp.Write(p) }
func (w wire) Close() error                       { w.c.Close(); return nil }
func (w wire) LocalAddr() net.Addr                { return w.c.tcp.LocalAddr() }
func (w wire) RemoteAddr() net.Addr               { return w.c.tcp.RemoteAddr() }
func (w wire) SetDeadline(t time.Time) error      { return w.c.tcp.SetDeadline(t) }
func (w wire) SetReadDeadline(t time.Time) error  { return w.c.tcp.SetReadDeadline(t) }
func (w wire) SetWriteDeadline(t time.Time) error { return w.c.tcp.SetWriteDeadline(t) }

var (
	_ net.Conn  = wire{}
	_ io.Writer = (*Conn)(nil)
)
