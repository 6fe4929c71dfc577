package downstream

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"time"

	"github.com/sluicehq/sluice/proxy/watch"
)

// Config holds the settings of a Server. A zero field means its default, a
// negative duration or buffer size switches the option off.
type Config struct {
	// HalfCloseFinish keeps serving a client that shut down its sending side.
	// By default such a client counts as gone.
	HalfCloseFinish bool

	// The fields up to MaxConnsPerIP are those that Server.Configure changes while
	// the server runs.

	// MaxHeaderBytes bounds a request's head: request line, fields and the
	// empty line. Default 32 KiB.
	MaxHeaderBytes int
	// MaxBodyBytes bounds a request's body after its transfer coding is
	// removed. Default 32 MiB.
	MaxBodyBytes int64

	// HeaderTimeout runs from the first byte of a request to the end of its
	// head, and bounds the TLS handshake. Default 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout is the time a body may take, to which every KiB received adds
	// a second: past it a client must sustain 1 KiB/s. It bounds the write of a
	// small answer too. Default 30 s.
	BodyTimeout time.Duration
	// IdleTimeout is how long a connection may wait for a first byte, whether
	// of its first request or of a later one. Default 60 s.
	IdleTimeout time.Duration

	// MaxConns bounds the open connections. One beyond it is closed as soon as it
	// is accepted. Default half of the descriptors that this process may have
	// (RLIMIT_NOFILE) without 64 kept for other things, and at least 64.
	MaxConns int
	// MaxConnsPerIP bounds the open connections of one IPv4 address or IPv6 /64;
	// connections over a unix socket are not counted here. Default no limit.
	MaxConnsPerIP int

	// Memory bounds what the bodies of requests may take together: a request for
	// whose body there is no room is refused with 503 before it is read. Default
	// none.
	Memory *Memory

	// UserTimeout is how long sent data may stay unacknowledged before the
	// kernel gives the client up (TCP_USER_TIMEOUT, Linux). The kernel counts a
	// client that is alive but keeps its receive window closed in the same way;
	// see Conn.WaitForReader. Default 20 s.
	UserTimeout time.Duration
	// KeepAliveIdle, KeepAliveInterval and KeepAliveCount are the TCP
	// keep-alive probes of a silent connection. Default 15 s, 5 s and 3.
	KeepAliveIdle     time.Duration
	KeepAliveInterval time.Duration
	KeepAliveCount    int
	// SendBuffer is the kernel's send buffer per connection in bytes
	// (SO_SNDBUF). It bounds what a client that does not read can make the
	// kernel hold. Default 256 KiB; negative leaves the kernel's own choice.
	SendBuffer int

	// Hosts are the names, without port, under which clients may address this
	// server in an absolute-form request target (RFC 9112, 3.2.2). The address
	// of the connection itself and localhost are always accepted.
	Hosts []string

	// TLS makes the server speak TLS with this configuration. It is cloned, and
	// offers http/1.1 only. A Certificate's Get as its GetCertificate lets the
	// certificate change while the server runs.
	TLS *tls.Config

	// Watcher notices on Linux that a client leaves. Whoever made it closes it
	// after the server. Default one of the server's own.
	Watcher *watch.Watcher

	// OnAbortedUpload, when set, is called for each request whose client left
	// before its last byte arrived. It must be quick and safe for concurrent use.
	OnAbortedUpload func()

	// OnRefusedConn, when set, is called for each connection that was closed as
	// soon as it was accepted, with the reason: "connections" or
	// "connections_per_ip". It runs on the goroutine that accepts, so it must be
	// quick.
	OnRefusedConn func(reason string)

	// Logger gets what an operator should know; nothing a client sent is ever
	// written to it. Default slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	orDefault(&c.UserTimeout, 20*time.Second)
	orDefault(&c.KeepAliveIdle, 15*time.Second)
	orDefault(&c.KeepAliveInterval, 5*time.Second)
	orDefault(&c.KeepAliveCount, 3)
	orDefault(&c.SendBuffer, 256<<10)
	hosts := make([]string, 0, len(c.Hosts))
	for _, host := range c.Hosts {
		hosts = append(hosts, strings.ToLower(host))
	}
	c.Hosts = hosts
	if c.OnAbortedUpload == nil {
		c.OnAbortedUpload = func() {}
	}
	if c.OnRefusedConn == nil {
		c.OnRefusedConn = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.NextProtos = []string{"http/1.1"}
	}
	return c
}

// live returns the settings that may change, as they are at the start.
func (c *Config) live() Live {
	return Live{
		MaxHeaderBytes: c.MaxHeaderBytes, MaxBodyBytes: c.MaxBodyBytes,
		HeaderTimeout: c.HeaderTimeout, BodyTimeout: c.BodyTimeout, IdleTimeout: c.IdleTimeout,
		MaxConns: c.MaxConns, MaxConnsPerIP: c.MaxConnsPerIP,
	}.withDefaults()
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// deadlineAfter is the deadline d from now, or none when d is negative.
func deadlineAfter(d time.Duration) time.Time {
	if d < 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
