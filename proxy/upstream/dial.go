package upstream

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// Keep-alive probes find a provider that vanished while it was silent within about
// half a minute.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
)

// newDialer makes the dialer of a pool. deny tells whether every address that is not
// public is refused.
func newDialer(o Options, deny bool) net.Dialer {
	d := net.Dialer{
		Resolver: o.Resolver,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
		},
		Control: func(network, address string, c syscall.RawConn) error {
			if deny {
				if err := denyPrivate(address); err != nil {
					return err
				}
			}
			if err := setUserTimeout(c); err != nil {
				return err
			}
			if o.Control == nil {
				return nil
			}
			return o.Control(network, address, c)
		},
	}
	// A multipath socket refuses TCP_USER_TIMEOUT.
	d.SetMultipathTCP(false)
	return d
}

// Dial makes a new connection: it resolves the name, connects over whichever of IPv6
// and IPv4 answers first, opens the tunnel of a proxy and finishes TLS. The end of
// ctx aborts each of these at once and closes the socket. Errors are *Error; one that
// is due to ctx matches ctx.Err().
func (p *Pool) Dial(ctx context.Context) (*Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, p.options.ConnectTimeout)
	defer cancel()
	c, err := p.dial(bounded)
	if err == nil {
		return c, nil
	}
	if c != nil {
		c.Close()
	}
	if bounded.Err() != nil || isTimeout(err) {
		return nil, abandoned(ctx, err)
	}
	return nil, dialError(err)
}

// dial returns a half-made connection together with an error.
func (p *Pool) dial(ctx context.Context) (*Conn, error) {
	a := &p.address
	first := a.dial
	if a.proxy != nil {
		first = a.proxy.dial
		if p.options.DenyPrivate {
			if err := denyPrivateLiteral(a.dial); err != nil {
				return nil, err
			}
		}
	}
	c, err := p.connect(ctx, first)
	if err != nil {
		return nil, err
	}
	if a.proxy != nil {
		if err := p.passProxy(ctx, c); err != nil {
			return c, err
		}
	}
	if !a.secure {
		c.watch(p.options.Watcher)
		return c, nil
	}
	if err := c.startTLS(ctx, p.tls, a.name); err != nil {
		return c, handshakeError(err)
	}
	return c, nil
}

func (p *Pool) connect(ctx context.Context, addr string) (*Conn, error) {
	sock, err := p.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c, err := newConn(sock.(*net.TCPConn))
	if err != nil {
		_ = sock.Close()
	}
	return c, err
}

// abandoned is the error of a dial that ran out of time or was cancelled.
func abandoned(ctx context.Context, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Code: CodeConnectFailed, Op: "dialing", Detail: "cancelled", cause: context.Canceled}
	case errors.As(err, &dns):
		return &Error{Code: CodeDNS, Op: "dialing", Detail: "the name was not resolved in time", cause: context.DeadlineExceeded}
	default:
		return &Error{Code: CodeConnectTimeout, Op: "dialing", Detail: "not connected in time", cause: context.DeadlineExceeded}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// dialError sorts the other failures of a dial.
func dialError(err error) *Error {
	var (
		known *Error
		dns   *net.DNSError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{Code: CodeDNS, Op: "dialing", Detail: "the name does not exist"}
	case errors.As(err, &dns):
		return &Error{Code: CodeDNS, Op: "dialing", Detail: "the name could not be resolved"}
	case errors.As(err, &errno):
		return &Error{Code: CodeConnectFailed, Op: "dialing", Detail: errno.Error(), cause: errno}
	default:
		return &Error{Code: CodeConnectFailed, Op: "dialing", Detail: "no connection"}
	}
}

// handshakeError sorts the failures of a TLS handshake. Those of time stay what they
// are, for the caller to see.
func handshakeError(err error) error {
	if isTimeout(err) || errors.Is(err, context.Canceled) {
		return err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &Error{Code: CodeTLS, Op: "dialing", Detail: "TLS handshake: " + errno.Error(), cause: errno}
	}
	return &Error{Code: CodeTLS, Op: "dialing", Detail: tlsDetail(err)}
}
