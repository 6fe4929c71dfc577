// Package fakeprovider is a scripted upstream for tests. It speaks HTTP/1.1 over
// bare sockets, so that a script can misbehave in any way a broken or hostile
// server can, and it stamps the moment at which it sees its peer leave.
//
// Every accepted connection has a goroutine that reads all the time, whatever
// the script is doing, which is how a close is noticed at once. Everything a
// Provider started has ended when the test's cleanup is over.
//
// What goes wrong before a request is a method of Provider: RefuseAll and
// AcceptAgain, AcceptThenSilent, NeverHandshake, BreakHandshake, TLS with the
// certificates of an Authority. What goes wrong in an answer is a Script: Refusal
// with the RetryAfterForms, Silent, Stalled, Failing, Page, WrongJSON, Cut,
// Unsolicited, Late, or one of the test's own. InTurn gives each call another one.
// CallsTo tells in which order several providers were called.
package fakeprovider

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait of this package. It is generous on purpose: a wait
// that reaches it is a failure, not a slow machine.
const Patience = 10 * time.Second

// Script answers one request. It runs in the goroutine of the connection; when
// it returns, the connection goes on to the next request if the answer was a
// complete framed one, and is closed otherwise (see Exchange).
type Script func(e *Exchange)

// Provider is one listening upstream on 127.0.0.1. Its methods may be called from
// any goroutine. Methods that change how connections are treated (TLS, HoldBody,
// ReceiveBuffer and their like) act on connections accepted afterwards, so they
// belong before the first request.
type Provider struct {
	tb   testing.TB
	addr *net.TCPAddr
	wg   sync.WaitGroup

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced whenever the fields below change
	ln         *net.TCPListener
	closed     bool
	script     Script
	mode       mode
	conns      []*Conn
	exchanges  []*Exchange
	bad        int
	tlsRefused int
}

// mode is how a connection is treated from its first byte on.
type mode struct {
	tls       *tls.Config
	https     bool // what URL says
	handshake Handshake
	silent    bool
	holdBody  bool
	slowBytes int
	slowEvery time.Duration
}

// New starts an upstream that answers every request with DefaultScript. It is
// closed by tb's cleanup.
func New(tb testing.TB) *Provider {
	tb.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatalf("listening for the fake provider: %v", err)
	}
	p := &Provider{tb: tb, ln: ln, addr: ln.Addr().(*net.TCPAddr), script: DefaultScript, changed: make(chan struct{})}
	p.wg.Go(func() { p.accept(ln) })
	tb.Cleanup(p.Close)
	return p
}

// URL is the base URL without a path: http://127.0.0.1:port, or https after TLS
// or NeverHandshake.
func (p *Provider) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode.https {
		return "https://" + p.Addr()
	}
	return "http://" + p.Addr()
}

// Addr is the host:port the provider listens on.
func (p *Provider) Addr() string { return p.addr.String() }

// Handle sets the script of requests that arrive from now on.
func (p *Provider) Handle(s func(e *Exchange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = s
}

// TLS makes new connections speak TLS (1.2 and up, no HTTP/2) with cert.
func (p *Provider) TLS(cert tls.Certificate) {
	p.TLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
}

// TLSConfig makes new connections speak TLS as cfg says.
func (p *Provider) TLSConfig(cfg *tls.Config) {
	p.setMode(func(m *mode) { m.tls, m.https = cfg, true })
}

// NeverHandshake accepts connections and never answers a ClientHello. URL says
// https.
func (p *Provider) NeverHandshake() {
	p.setMode(func(m *mode) { m.silent, m.https = true, true })
}

// AcceptThenSilent accepts connections, reads what comes and never says a word. No
// exchange appears; use WaitConn to see the connection and when it went.
func (p *Provider) AcceptThenSilent() { p.setMode(func(m *mode) { m.silent = true }) }

// HoldBody runs the script of a connection's first request as soon as its head
// is complete and leaves the body in the kernel until Exchange.ReadBody. On
// Linux the peer's leaving is still noticed meanwhile, as far as its FIN or RST
// gets through a closed window.
func (p *Provider) HoldBody() { p.setMode(func(m *mode) { m.holdBody = true }) }

// ReadSlowly reads at most n bytes of a request every interval.
func (p *Provider) ReadSlowly(n int, every time.Duration) {
	p.setMode(func(m *mode) { m.slowBytes, m.slowEvery = n, every })
}

// ReceiveBuffer sets SO_RCVBUF for connections accepted from now on; a small one
// makes the peer's writes block early.
func (p *Provider) ReceiveBuffer(bytes int) {
	p.tb.Helper()
	raw, err := p.listener().SyscallConn()
	if err == nil {
		err = setReceiveBuffer(raw, bytes)
	}
	if err != nil {
		p.tb.Fatalf("setting the receive buffer: %v", err)
	}
}

func (p *Provider) listener() *net.TCPListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ln
}

// RefuseAll closes the listening socket: new connections are refused, those that
// are open stay.
func (p *Provider) RefuseAll() {
	if err := p.listener().Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.tb.Errorf("closing the fake provider's listener: %v", err)
	}
}

// AcceptAgain takes connections again after RefuseAll, on the same address. It fails
// the test if somebody else has the address now; call it from the test's own goroutine.
func (p *Provider) AcceptAgain() {
	p.tb.Helper()
	ln, err := net.ListenTCP("tcp4", p.addr)
	if err != nil {
		p.tb.Fatalf("listening for the fake provider again: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = ln.Close()
		return
	}
	p.ln = ln
	p.wg.Go(func() { p.accept(ln) })
}

// Close closes the listener and every connection and waits until all scripts and
// goroutines have ended. A script that waits for something other than its
// connection beyond Patience fails the test. Further calls do nothing.
func (p *Provider) Close() {
	p.mu.Lock()
	p.closed = true
	conns := p.conns
	p.mu.Unlock()
	p.RefuseAll()
	for _, c := range conns {
		c.Close()
	}
	ended := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(Patience):
		p.tb.Errorf("a script of the fake provider still runs %v after its connections were closed", Patience)
	}
}

func (p *Provider) setMode(change func(*mode)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.mode)
}

func (p *Provider) accept(ln *net.TCPListener) {
	for {
		raw, err := ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		p.start(raw)
	}
}

// start registers one connection and runs its two goroutines.
func (p *Provider) start(raw *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = raw.Close()
		return
	}
	c := newConn(p, raw, len(p.conns)+1, p.mode)
	p.conns = append(p.conns, c)
	p.notify()
	p.wg.Add(2)
	go c.pump()
	go c.serve()
}

// notify wakes every wait; p.mu is held.
func (p *Provider) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Provider) addExchange(e *Exchange) Script {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, e)
	e.Seq, e.order = len(p.exchanges), arrivals.Add(1)
	p.notify()
	return p.script
}

func (p *Provider) addBad(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
	p.notify()
}

// Exchanges lists the requests seen so far, oldest first.
func (p *Provider) Exchanges() []*Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Exchange(nil), p.exchanges...)
}

// Conns counts the connections accepted so far.
func (p *Provider) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// BadRequests counts requests that were malformed or cut short.
func (p *Provider) BadRequests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad
}

// RefusedHandshakes counts TLS handshakes that failed, usually because the peer
// did not trust the certificate.
func (p *Provider) RefusedHandshakes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tlsRefused
}

// OpenConns counts the connections whose peer is still there.
func (p *Provider) OpenConns() int {
	p.mu.Lock()
	conns := p.conns
	p.mu.Unlock()
	open := 0
	for _, c := range conns {
		if !c.IsGone() {
			open++
		}
	}
	return open
}

// WaitExchange blocks until n requests have been seen and returns the n-th,
// counted from 1. It fails the test after Patience; call it from the test's own
// goroutine.
func (p *Provider) WaitExchange(n int) *Exchange {
	p.tb.Helper()
	if !p.wait(func() bool { return len(p.exchanges) >= n }) {
		p.tb.Fatalf("the fake provider saw %d requests, want %d", len(p.Exchanges()), n)
	}
	return p.Exchanges()[n-1]
}

// WaitConn blocks until n connections have been accepted and returns the n-th,
// counted from 1. It fails the test after Patience; call it from the test's own
// goroutine.
func (p *Provider) WaitConn(n int) *Conn {
	p.tb.Helper()
	if !p.wait(func() bool { return len(p.conns) >= n }) {
		p.tb.Fatalf("the fake provider accepted %d connections, want %d", p.Conns(), n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[n-1]
}

// wait reports whether cond, called with p.mu held, came true within Patience.
func (p *Provider) wait(cond func() bool) bool {
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		ok, changed := cond(), p.changed
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}
