// Package downstream serves the connections of those who call us. fasthttp
// parses requests and answers the small ones; a request that needs an upstream
// exchange is detached from it and run on a goroutine of its own, which writes
// its response itself and then gives the connection back. While it runs, a
// watcher tells it the moment its client leaves.
package downstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// closeGrace is how long Close waits for goroutines whose connections it has
// had to close.
const closeGrace = time.Second

// Server accepts connections and serves them with a fasthttp.Server.
type Server struct {
	cfg     Config
	live    atomic.Pointer[bounds]
	handler fasthttp.RequestHandler
	explain func(*fasthttp.RequestCtx, error)
	watcher *watcher

	smallInboxes sync.Pool
	largeInboxes sync.Pool

	draining atomic.Bool
	drained  chan struct{} // closed when draining starts

	census census

	mu        sync.Mutex
	closing   bool
	conns     map[*Conn]struct{}
	listeners map[net.Listener]struct{}

	// goroutines counts those that serve connections or run exchanges.
	goroutines sync.WaitGroup
	stop       sync.Once
}

// NewServer makes a server that handles requests with http, whose Handler and
// ErrorHandler must be set. It wraps both and sets the options it depends on, so
// http must not be used otherwise. ErrorHandler is always given a *RequestError,
// and its response ends the connection.
func NewServer(cfg Config, http *fasthttp.Server) (*Server, error) {
	switch {
	case http.Handler == nil || http.ErrorHandler == nil:
		return nil, errors.New("downstream: the server needs a Handler and an ErrorHandler")
	case http.MaxConnsPerIP > 0:
		return nil, errors.New("downstream: MaxConnsPerIP hides the connections and cannot be used")
	}
	s := &Server{
		cfg:       cfg.withDefaults(),
		census:    census{byIP: make(map[netip.Addr]int)},
		handler:   http.Handler,
		explain:   http.ErrorHandler,
		drained:   make(chan struct{}),
		conns:     make(map[*Conn]struct{}),
		listeners: make(map[net.Listener]struct{}),
	}
	http.Handler, http.ErrorHandler = s.handle, s.refuse
	live := cfg.live()
	s.live.Store(&bounds{Live: live, engine: newEngine(http, live.MaxHeaderBytes)})
	var err error
	s.watcher, err = newWatcher(s.cfg.Watcher)
	return s, err
}

// handle runs the handler of one request, and contains its panics: fasthttp
// would let them end the process.
func (s *Server) handle(rc *fasthttp.RequestCtx) {
	ss := rc.Conn().(*session)
	defer func() {
		if v := recover(); v != nil {
			s.logPanic("panic in a request handler", v)
			ss.run = nil
			rc.Hijack(nil)
			rc.HijackSetNoResponse(false)
			rc.Response.Reset()
			s.explain(rc, errPanic)
			rc.SetConnectionClose()
		}
	}()
	s.handler(rc)
	if !ss.conn.KeepAlive() {
		rc.SetConnectionClose()
	}
}

// refuse answers a request that could not be read. What fasthttp says of it may
// quote the request, so only our own words are passed on.
func (s *Server) refuse(rc *fasthttp.RequestCtx, _ error) {
	ss := rc.Conn().(*session)
	if ss.aborted {
		return
	}
	err := ss.rejected
	if err == nil {
		err = errNotHTTP
	}
	s.explain(rc, err)
	if err.RetryAfter > 0 {
		rc.Response.Header.Set("Retry-After", strconv.Itoa(int(err.RetryAfter.Seconds())))
	}
}

// Draining tells whether Drain or Close was called.
func (s *Server) Draining() bool { return s.draining.Load() }

// Drain stops accepting, closes the connections that wait for a request, and
// lets the others end after the request or exchange they are in.
func (s *Server) Drain() {
	s.mu.Lock()
	first := !s.draining.Swap(true)
	if first {
		close(s.drained)
		for ln := range s.listeners {
			_ = ln.Close()
		}
	}
	s.mu.Unlock()
	if !first {
		return
	}
	for _, c := range s.open() {
		// A request that has arrived and is not read yet will be answered.
		if !c.wire.unread() && c.idle.CompareAndSwap(true, false) {
			c.Close()
		}
	}
}

// Close drains, and waits until every connection and exchange has ended. When
// ctx ends first, it closes all connections and returns the error of ctx. It may
// be called repeatedly.
func (s *Server) Close(ctx context.Context) error {
	s.Drain()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		s.goroutines.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("closing connections: %w", ctx.Err())
		for _, c := range s.open() {
			c.Close()
			c.tellDeparture(departed) // an exchange that only waits learns of it too
		}
		select {
		case <-ended:
		case <-time.After(closeGrace):
		}
	}
	s.stop.Do(s.watcher.close)
	return err
}

// open returns the connections that are open.
func (s *Server) open() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// spawn runs f on a goroutine that Close waits for. The caller is such a
// goroutine itself, or holds mu and has seen that the server is not closing.
func (s *Server) spawn(f func()) {
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		f()
	}()
}

// admit takes an accepted socket in and serves it, or closes it at once when there
// are too many.
func (s *Server) admit(conn net.Conn) {
	from, limits := origin(conn.RemoteAddr()), s.live.Load()
	if refused := s.census.enter(from, limits.MaxConns, limits.MaxConnsPerIP); refused != "" {
		_ = conn.Close()
		s.cfg.OnRefusedConn(refused)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		s.census.leave(from)
		_ = conn.Close()
		return
	}
	s.spawn(func() {
		c, err := s.newConn(conn, from)
		if err != nil {
			s.census.leave(from)
			_ = conn.Close()
			s.cfg.Logger.Warn("could not take a connection in", "error", err)
			return
		}
		if c.handshake() {
			c.serve()
		}
	})
}

// newConn registers the connection with the server and the watcher.
func (s *Server) newConn(conn net.Conn, from netip.Addr) (*Conn, error) {
	w, err := newWire(conn)
	if err != nil {
		return nil, err
	}
	if err := s.tune(w); err != nil {
		// The client can be served all the same: MPTCP, for one, lacks an option.
		s.cfg.Logger.Debug("a socket option was refused", "error", err)
	}
	c := &Conn{srv: s, wire: w, stream: w, origin: from}
	c.presence.finish = s.cfg.HalfCloseFinish
	if s.cfg.TLS != nil {
		c.tls = tls.Server(w, s.cfg.TLS)
		c.stream = c.tls
	}
	if err := s.watcher.add(c); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c, nil
}

func (s *Server) tune(w *wire) error {
	var failures [3]error
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		failures[0] = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable:   s.cfg.KeepAliveIdle > 0,
			Idle:     s.cfg.KeepAliveIdle,
			Interval: s.cfg.KeepAliveInterval,
			Count:    s.cfg.KeepAliveCount,
		})
	}
	if sized, ok := w.Conn.(interface{ SetWriteBuffer(bytes int) error }); ok && s.cfg.SendBuffer > 0 {
		failures[1] = sized.SetWriteBuffer(s.cfg.SendBuffer)
	}
	failures[2] = w.tune(&s.cfg)
	return errors.Join(failures[:]...)
}

// forget ends the registrations of a connection about to be closed.
func (s *Server) forget(c *Conn) {
	s.watcher.remove(c)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.census.leave(c.origin)
}

// handshake makes the TLS handshake, if there is to be one.
func (c *Conn) handshake() bool {
	defer c.contain()
	if c.tls == nil {
		return true
	}
	_ = c.wire.SetDeadline(deadlineAfter(c.srv.live.Load().HeaderTimeout)) // the handshake tells
	if c.tls.Handshake() != nil {
		c.Close()
		return false
	}
	_ = c.wire.SetDeadline(time.Time{})
	return true
}

// panicText tells of a panic what cannot hold a client's data.
func panicText(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", value)
}
