package downstream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Conn is one accepted connection. It lives across keep-alive requests, and is
// used by one goroutine at a time: the server's while a request is read and
// answered by its handler, and after Detach the one that runs the exchange.
// Close, Gone, Progress, SetWriteDeadline and KeepAlive are safe at any time and
// from any goroutine; Write is safe beside them.
type Conn struct {
	srv    *Server
	wire   *wire
	tls    *tls.Conn // nil without TLS
	stream net.Conn  // tls, or else wire

	presence presence
	watched  registration
	// origin is where the census counts the connection.
	origin netip.Addr

	// held are bytes that arrived behind the request being served.
	held []byte
	// persistent is what the current request says of keep-alive.
	persistent atomic.Bool
	// idle is true while the server waits for a first byte. Whoever swaps it to
	// false, the server on that byte or a drain, has the connection.
	idle   atomic.Bool
	closed atomic.Bool
	// lifted is true while the kernel's limit on unacknowledged data is off.
	lifted atomic.Bool
	// reserved is what the present request's body holds of Config.Memory.
	reserved atomic.Int64
	// turn counts the changes of owner, so that an exchange which forgot to end
	// its turn can be told from one whose connection has moved on.
	turn atomic.Uint64
	// requestStart is when the first byte of the present request was read.
	requestStart time.Time
	// first receives a request's first byte, so that waiting for it holds no
	// buffer.
	first [1]byte
}

// FromContext returns the connection of a request served by a Server.
func FromContext(rc *fasthttp.RequestCtx) *Conn {
	return rc.Conn().(*session).conn
}

// Detach hands the connection to run once the handler has returned: fasthttp
// writes no response and gives all its buffers back, and then run is called on a
// new goroutine of its own. It must end with exactly one Resume, Part or Close. rc and
// whatever belongs to it are not valid in run.
func (c *Conn) Detach(rc *fasthttp.RequestCtx, run func(c *Conn)) {
	rc.Conn().(*session).run = run
	rc.HijackSetNoResponse(true)
	rc.Hijack(func(net.Conn) {})
}

// Watch calls gone once, when the client leaves. A client that has left already
// is reported at once, on the caller's goroutine; otherwise gone runs on a
// goroutine shared by all connections, so it must be quick, and must call
// neither Unwatch nor the server's Close. There is one watch at a time.
func (c *Conn) Watch(gone func(Gone)) {
	c.presence.watch(gone)
	c.srv.watcher.begin(c)
}

// Unwatch ends the watch. When it returns, gone is not running and will not be
// called any more.
func (c *Conn) Unwatch() {
	c.srv.watcher.end(c)
	c.presence.unwatch()
}

// Gone tells whether the client is known to have left. With HalfCloseFinish a
// half-close does not count.
func (c *Conn) Gone() bool { return c.presence.isGone() }

// tellDeparture contains a panic of the callback: it runs on the goroutine that
// watches everyone.
func (c *Conn) tellDeparture(left departure) {
	defer func() {
		if v := recover(); v != nil {
			c.srv.logPanic("panic while telling of a departure", v)
			c.Close()
		}
	}()
	c.presence.note(left)
}

// Write writes all of p to the client, through TLS if there is any, and blocks
// until the kernel has taken it, the write deadline passes or the connection is
// closed. It does not keep p.
func (c *Conn) Write(p []byte) (int, error) { return c.stream.Write(p) }

// SetWriteDeadline sets the deadline of present and future writes; the zero time
// means none. It may be called while a write blocks.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.wire.SetWriteDeadline(t) }

// Progress counts bytes on their way to the client, in the encoding of the wire:
// on Linux those the client has acknowledged, elsewhere those this kernel has
// taken. It stands still if and only if nothing gets through, so a reader that is
// slow can be told from one that has stopped.
func (c *Conn) Progress() int64 { return c.wire.progress() }

// WaitForReader tells the kernel whether a write is waiting for a client that does
// not read. While it is, the limit of Config.UserTimeout is lifted if the client's
// host still answers: the kernel cannot tell a closed window from a dead peer, and the
// caller has a limit of its own for a client that stalls. It is called now and then,
// by one goroutine.
func (c *Conn) WaitForReader(waiting bool) {
	limit := c.srv.cfg.UserTimeout
	if limit < 0 || waiting == c.lifted.Load() || waiting && !c.wire.answersWithin(limit/2) {
		return
	}
	c.lifted.Store(waiting)
	if waiting {
		limit = 0
	}
	c.wire.limitUnacknowledged(limit)
}

// KeepAlive tells whether the connection will serve another request after this
// one: the request is HTTP/1.1 without a close in its Connection fields, and the
// server is not draining.
func (c *Conn) KeepAlive() bool { return c.persistent.Load() && !c.srv.Draining() }

// RequestStart is when the first byte of the present request was read. Only the
// handler, and the exchange it detaches, may ask.
func (c *Conn) RequestStart() time.Time { return c.requestStart }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// IsTLS tells whether the client speaks TLS.
func (c *Conn) IsTLS() bool { return c.tls != nil }

// Resume ends an exchange whose response is complete. The next request is served
// on a new goroutine, or, when there shall be none, the connection is closed so
// that the client still gets every byte. The caller must not use the connection
// afterwards.
func (c *Conn) Resume() {
	c.turn.Add(1)
	c.ReleaseMemory()
	if c.KeepAlive() && !c.Gone() {
		c.srv.spawn(c.serve)
		return
	}
	c.srv.spawn(c.part)
}

// Part ends an exchange as Resume does, but always closes the connection: after
// a response that was cut, or one whose end is the end of the connection. Unlike
// Close it lets the client read every byte that was written, and says farewell
// under TLS. The caller must not use the connection afterwards.
func (c *Conn) Part() {
	c.turn.Add(1)
	c.ReleaseMemory()
	c.srv.spawn(c.part)
}

// Close closes the socket at once, without a TLS farewell, from any goroutine. A
// write that blocks fails. Repeated calls do nothing.
func (c *Conn) Close() {
	c.ReleaseMemory() // each time: a body may go on arriving for a moment
	if c.closed.Swap(true) {
		return
	}
	c.srv.forget(c)
	_ = c.wire.Close()
}

// serve lets fasthttp serve requests until the connection ends or an exchange
// detaches it.
func (c *Conn) serve() {
	defer c.contain()
	for c.serveWith(c.srv.live.Load()) {
	}
}

// serveWith serves requests with one engine, and tells whether the next one needs
// another.
func (c *Conn) serveWith(limits *bounds) (again bool) {
	s := &session{conn: c, limits: limits}
	_ = limits.engine.http.ServeConn(s) // its errors may quote what the client sent
	run := s.run
	s.release()
	if run != nil {
		c.launch(run)
		return false
	}
	c.ReleaseMemory()
	switch {
	case s.moving:
		return true
	case s.parting():
		c.part()
	default:
		c.Close()
	}
	return false
}

// contain closes the connection of a goroutine that panicked.
func (c *Conn) contain() {
	if v := recover(); v != nil {
		c.srv.logPanic("panic while serving a connection", v)
		c.Close()
	}
}

// launch starts the exchange on a goroutine of its own: this one's stack has
// grown with what parsed and handled the request.
func (c *Conn) launch(run func(*Conn)) {
	_ = c.wire.SetReadDeadline(time.Time{}) // fails only on a closed connection
	_ = c.wire.SetWriteDeadline(time.Time{})
	turn := c.turn.Add(1)
	c.srv.spawn(func() { c.exchange(run, turn) })
}

func (c *Conn) exchange(run func(*Conn), turn uint64) {
	defer func() {
		v := recover()
		if v != nil {
			c.srv.logPanic("panic in a detached exchange", v)
		}
		if c.turn.Load() != turn {
			return
		}
		c.ReleaseMemory()
		if !c.closed.Load() {
			c.Close()
			c.Unwatch()
		}
	}()
	run(c)
}

// logPanic writes the stack, and of the value only what cannot hold a client's
// data.
func (s *Server) logPanic(message string, value any) {
	s.cfg.Logger.Error(message, "panic", panicText(value), "stack", string(debug.Stack()))
}
