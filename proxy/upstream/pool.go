// Package upstream owns the connections to one provider: it dials them, keeps those
// that may be used again, and reads HTTP/1.1 responses from them strictly.
package upstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/proxy/watch"
)

const (
	defaultConnectTimeout = 5 * time.Second
	// defaultIdleConn stays below the five seconds after which common servers of
	// models drop an idle connection, so that a request does not meet the drop.
	defaultIdleConn = 4 * time.Second
	defaultMaxIdle  = 256
)

// Options say how a provider is reached. The zero value of a field means its default.
type Options struct {
	// BaseURL is the provider's http or https URL. Its path is put in front of the
	// path of every request as it is.
	BaseURL string
	// CAFile names a PEM file of authorities to trust beside the system's.
	CAFile string
	// ConnectTimeout bounds name resolution, TCP, proxy and TLS together; 5 s.
	ConnectTimeout time.Duration
	// IdleConn is how long an unused connection is kept; 4 s. Negative keeps none.
	IdleConn time.Duration
	// MaxIdle is the number of unused connections kept; 256.
	MaxIdle int
	// Watcher reports the ends of connections, which lets Reader.Each do with fewer
	// system calls. It is closed after the last connection of the pool. None if nil.
	Watcher *watch.Watcher
	// Resolver replaces the system's name resolution.
	Resolver *net.Resolver
	// DenyPrivate refuses to connect to an address that is not public: loopback,
	// private, link-local, multicast, reserved and the like, also where IPv6 wraps
	// them. It looks at what the name resolved to, at the moment of connecting; of
	// several addresses the public ones are used. Dial fails with CodeConnectFailed
	// when none is left. With a proxy it is the proxy that resolves the name, so
	// only an address written in BaseURL is refused here and the proxy has to do the
	// rest; the proxy's own address may be private.
	DenyPrivate bool
	// Control is called with each socket before it connects.
	Control func(network, address string, c syscall.RawConn) error
}

// Pool makes connections to one provider and keeps the idle ones. It is safe for
// concurrent use and has no goroutine of its own.
type Pool struct {
	address address
	options Options
	dialer  net.Dialer
	tls     *tls.Config

	mu      sync.Mutex
	idle    []*Conn // oldest first
	timer   *time.Timer
	retired bool
}

// NewPool checks o and reads its CA file and the proxy settings of the environment.
// It opens no connection.
func NewPool(o Options) (*Pool, error) {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.IdleConn == 0 {
		o.IdleConn = defaultIdleConn
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = defaultMaxIdle
	}
	a, err := parseAddress(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("opening a pool: %w", err)
	}
	config, err := newTLSConfig(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("opening a pool: %w", err)
	}
	p := &Pool{address: a, options: o, tls: config}
	p.dialer = newDialer(o, o.DenyPrivate && a.proxy == nil)
	return p, nil
}

// Host is the value of the Host field of requests.
func (p *Pool) Host() string { return p.address.host }

// Prefix is the path of the base URL, without a final slash.
func (p *Pool) Prefix() string { return p.address.prefix }

// RequestTarget is the target for the request line of a request to path, which
// begins with a slash and may have a query: the prefix and the path, with scheme and
// host in front where a proxy forwards plain HTTP (RFC 9112, section 3.2.2).
func (p *Pool) RequestTarget(path string) string { return p.address.target(path) }

// ProxyAuthorization is the value of the Proxy-Authorization field that requests must
// carry, empty where there must be none. It is needed only with a proxy that forwards
// plain HTTP and asks for credentials; a tunnel is opened with them by Dial.
func (p *Pool) ProxyAuthorization() string {
	if p.address.proxy == nil || p.address.secure {
		return ""
	}
	return p.address.proxy.auth
}

// Idle returns the connection that became idle last and is still quiet, or nil. A
// connection on which the upstream has sent something unasked, or closed, is closed
// and never returned: its bytes would be taken for the answer to the next request.
func (p *Pool) Idle() *Conn {
	for {
		c := p.pop()
		if c == nil {
			return nil
		}
		if time.Since(c.idleSince) < p.options.IdleConn && c.quiet() {
			return c
		}
		c.Close()
	}
}

func (p *Pool) pop() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// Put gives back a connection after a response that Reader.Reusable called reusable.
// It becomes the pool's. A connection that holds unread bytes is closed.
func (p *Pool) Put(c *Conn) {
	c.settle()
	if p.options.IdleConn < 0 || c.closed.Load() || !c.clean() {
		c.Close()
		return
	}
	c.reused = true
	c.idleSince = time.Now()
	if dropped := p.push(c); dropped != nil {
		dropped.Close()
	}
}

// push keeps c and returns what is to be closed: the oldest connection if there are
// too many, or c itself if none is kept any more.
func (p *Pool) push(c *Conn) (dropped *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		return c
	}
	if len(p.idle) >= p.options.MaxIdle {
		dropped = p.idle[0]
		copy(p.idle, p.idle[1:])
		p.idle[len(p.idle)-1] = c
		return dropped
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.options.IdleConn, p.reap)
	}
	return nil
}

// reap closes what has been idle for too long. Its timer runs only while something
// is idle.
func (p *Pool) reap() {
	for _, c := range p.expired(time.Now()) {
		c.Close()
	}
}

func (p *Pool) expired(now time.Time) []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= p.options.IdleConn {
		n++
	}
	old := append([]*Conn(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	p.timer = nil
	if rest > 0 {
		p.timer = time.AfterFunc(p.options.IdleConn-now.Sub(p.idle[0].idleSince), p.reap)
	}
	return old
}

// Retire closes the idle connections, now and in future: those given back later are
// not kept. The pool can still dial, for those who have begun with it.
func (p *Pool) Retire() {
	p.mu.Lock()
	p.retired = true
	p.mu.Unlock()
	p.CloseIdle()
}

// CloseIdle closes the idle connections. The pool stays usable.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}
