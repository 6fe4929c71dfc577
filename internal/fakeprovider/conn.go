package fakeprovider

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one accepted connection. Its methods may be called from any goroutine,
// at any time, also long after the exchange on it has ended: that is how a test
// sends unsolicited bytes or closes an idle connection.
type Conn struct {
	// ID counts the provider's connections from 1.
	ID int

	provider *Provider
	raw      *net.TCPConn
	stream   net.Conn // raw, or TLS over it
	mode     mode
	in       *inbox
	left     *departure

	writeMu sync.Mutex

	closeOnce sync.Once
	closed    chan struct{}
	freeOnce  sync.Once
	free      chan struct{} // closed when a held body may be read
}

func newConn(p *Provider, raw *net.TCPConn, id int, m mode) *Conn {
	c := &Conn{
		ID: id, provider: p, raw: raw, stream: raw, mode: m,
		in: newInbox(), left: newDeparture(),
		closed: make(chan struct{}), free: make(chan struct{}),
	}
	if m.tls != nil && !m.silent && m.handshake == Finished {
		c.stream = tls.Server(raw, m.tls)
	}
	return c
}

// Close ends the connection with FIN; under TLS a close_notify goes first.
func (c *Conn) Close() { c.end(true) }

// Cut ends the connection with FIN at once, under TLS without a close_notify.
func (c *Conn) Cut() { c.end(false) }

// Reset ends the connection with RST.
func (c *Conn) Reset() {
	_ = c.raw.SetLinger(0)
	c.end(false)
}

// CloseWrite sends FIN (under TLS after a close_notify) and keeps reading.
func (c *Conn) CloseWrite() {
	if t, ok := c.stream.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = c.raw.CloseWrite()
}

func (c *Conn) end(polite bool) {
	c.closeOnce.Do(func() {
		c.left.stamp(GoneSelf)
		close(c.closed)
		if t, ok := c.stream.(*tls.Conn); ok && polite {
			_ = c.raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_ = t.CloseWrite()
		}
		_ = c.raw.Close()
	})
}

// Raw writes p as it is, in one write, and reports whether all of it was taken.
func (c *Conn) Raw(p []byte) bool {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	_, err := c.stream.Write(p)
	return err == nil
}

// pump moves bytes from the socket into the inbox until the peer leaves. It is
// the only reader of the socket and the only judge of how the peer left.
func (c *Conn) pump() {
	defer c.provider.wg.Done()
	if !c.handshake() {
		return
	}
	buf := make([]byte, 64<<10)
	held := c.mode.holdBody
	for {
		limit := len(buf)
		switch {
		case held && c.in.headComplete():
			held = false
			c.waitHeld()
			continue
		case held:
			limit = 1
		case c.mode.slowBytes > 0:
			if !c.pause(c.mode.slowEvery) {
				return
			}
			limit = min(limit, c.mode.slowBytes)
		}
		n, err := c.stream.Read(buf[:limit])
		c.in.add(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.raw.SetReadDeadline(time.Time{})
			continue
		}
		if err != nil {
			c.finish(err)
			return
		}
	}
}

// handshake reports whether the connection can be read. A refused handshake is
// counted and closes the connection.
func (c *Conn) handshake() bool {
	if c.mode.handshake != Finished {
		c.breakHandshake()
		return false
	}
	t, ok := c.stream.(*tls.Conn)
	if !ok {
		return true
	}
	if err := t.Handshake(); err != nil {
		c.provider.addBad(&c.provider.tlsRefused)
		c.finish(err)
		c.Cut()
		return false
	}
	return true
}

// finish stamps the end of the stream. A TLS stream that ended politely may still
// have an open socket, so the FIN is waited for.
func (c *Conn) finish(err error) {
	if c.stream != net.Conn(c.raw) && errors.Is(err, io.EOF) {
		var scrap [512]byte
		for err = nil; err == nil; {
			_, err = c.raw.Read(scrap[:])
		}
	}
	how := GoneReset
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		how = GoneEOF
	case errors.Is(err, net.ErrClosed):
		how = GoneSelf
	}
	c.left.stamp(how)
	c.in.end()
	if errors.Is(err, syscall.ECONNRESET) {
		c.end(false)
	}
}

// waitHeld waits until the body may be read, watching the peer meanwhile.
func (c *Conn) waitHeld() {
	if how := c.watchHeld(); how != "" {
		c.left.stamp(how)
	}
	select {
	case <-c.free:
	case <-c.closed:
	}
}

// release lets the pump read on.
func (c *Conn) release() {
	c.freeOnce.Do(func() {
		close(c.free)
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // wakes watchHeld; the pump clears it
	})
}

func (c *Conn) isFree() bool {
	select {
	case <-c.free:
		return true
	default:
		return false
	}
}

// pause reports false when the connection was closed meanwhile.
func (c *Conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.closed:
		c.finish(net.ErrClosed)
		return false
	}
}

// serve parses requests and runs their scripts, one after the other.
func (c *Conn) serve() {
	defer c.provider.wg.Done()
	defer c.Close()
	if c.mode.silent {
		c.Hold()
		return
	}
	for n := 1; ; n++ {
		e := &Exchange{Conn: c, N: n, ended: make(chan struct{})}
		if !c.receive(e, c.mode.holdBody && n == 1) {
			return
		}
		c.run(e)
		if !e.reusable() {
			return
		}
	}
}

// receive reads one request and reports whether a script should see it.
func (c *Conn) receive(e *Exchange, held bool) bool {
	req, err := readHead(c.in)
	if err == nil {
		e.Request = req
		if req.wantsContinue() && !held {
			c.Raw([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
		}
		if held {
			e.bodyHeld = req.hasBody()
			if !e.bodyHeld {
				c.release()
			}
		} else {
			req.Body, err = readBody(c.in, req)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.provider.addBad(&c.provider.bad)
	}
	return err == nil
}

func (c *Conn) run(e *Exchange) {
	defer close(e.ended)
	defer func() {
		if v := recover(); v != nil {
			c.provider.tb.Errorf("script of exchange %d panicked: %v", e.Seq, v)
			e.Cut()
		}
	}()
	c.provider.addExchange(e)(e)
}

// inbox is what the pump has read and the parser has not. It grows without limit,
// because a pump that waits for a parser cannot see its peer leave.
type inbox struct {
	mu    sync.Mutex
	more  sync.Cond
	buf   []byte
	seen  []byte // the last bytes added, to find the end of a head
	head  bool
	ended bool
}

func newInbox() *inbox {
	b := &inbox{}
	b.more.L = &b.mu
	return b
}

func (b *inbox) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p...)
	if !b.head {
		b.seen = append(b.seen, p...)
		b.head = bytes.Contains(b.seen, []byte("\r\n\r\n"))
	}
	b.more.Broadcast()
}

func (b *inbox) headComplete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.head
}

func (b *inbox) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.more.Broadcast()
}

// Read gives the oldest bytes, waiting for some; io.EOF after the last ones.
func (b *inbox) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.buf) == 0 && !b.ended {
		b.more.Wait()
	}
	if len(b.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.buf)
	b.buf = b.buf[n:]
	return n, nil
}

// ReadByte is Read for one byte; the parser of heads and chunk sizes needs it.
func (b *inbox) ReadByte() (byte, error) {
	var one [1]byte
	_, err := b.Read(one[:])
	return one[0], err
}
