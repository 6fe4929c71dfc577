package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// sessionsKept is the number of TLS sessions kept for resumption, which saves a
// round trip and a signature on a reconnect.
const sessionsKept = 64

// newTLSConfig trusts the system's authorities and those in caFile, if one is named.
func newTLSConfig(caFile string) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(sessionsKept),
		// Small first records help a browser to render early; a prompt is of no use
		// before its last byte.
		DynamicRecordSizingDisabled: true,
	}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // no system store: the file alone counts
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("reading ca_file: it holds no certificate")
	}
	config.RootCAs = roots
	return config, nil
}

// startTLS puts a TLS session for serverName on top of what the connection has.
func (c *Conn) startTLS(ctx context.Context, base *tls.Config, serverName string) error {
	var below net.Conn = wire{c}
	if c.tls != nil {
		below = sessionConn{c.tls, c}
	}
	layer := &recordLayer{Conn: below}
	config := base.Clone()
	config.ServerName = serverName
	session := tls.Client(layer, config)
	if err := session.HandshakeContext(ctx); err != nil {
		return err
	}
	c.layers = append(c.layers, layer)
	c.tls = session
	return nil
}

// sessionConn is a TLS session that carries another one, to a provider behind a
// proxy that is itself reached over TLS. Closing it closes the socket, without the
// goodbye that would have to be written first.
type sessionConn struct {
	*tls.Conn
	c *Conn
}

func (s sessionConn) Close() error { s.c.Close(); return nil }

// recordLayer watches the records that TLS reads through it (RFC 8446, section 5.1),
// to know whether TLS holds a record, or a part of one, that nobody asked for.
type recordLayer struct {
	net.Conn

	head  [recordHead]byte
	seen  int // bytes of head seen
	left  int // bytes of the record still to come
	whole int // complete records that TLS may not have yielded yet
}

const recordHead = 5

// Read implements net.Conn.
func (l *recordLayer) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.observe(p[:n])
	return n, err
}

func (l *recordLayer) observe(p []byte) {
	for len(p) > 0 {
		if l.left > 0 {
			n := min(l.left, len(p))
			l.left -= n
			p = p[n:]
		} else {
			n := copy(l.head[l.seen:], p)
			l.seen += n
			p = p[n:]
			if l.seen < recordHead {
				return
			}
			l.left = int(l.head[3])<<8 | int(l.head[4])
		}
		if l.left == 0 {
			l.seen = 0
			l.whole++
		}
	}
}

// atBoundary tells whether no part of a record has been read.
func (l *recordLayer) atBoundary() bool { return l.seen == 0 }

// mayHoldMore counts one record as yielded and tells whether another may wait.
func (l *recordLayer) mayHoldMore() bool {
	if l.whole > 0 {
		l.whole--
	}
	return l.whole > 0
}

// tlsDetail names what is wrong with the other side's TLS, without its certificate.
func tlsDetail(err error) string {
	var (
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     *net.OpError
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is for another host"
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "the certificate is not valid"
	case errors.As(err, &record):
		return "the other side does not speak TLS"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the other side refused: " + alert.Err.Error() // the fixed name of an alert
	default:
		return "the TLS session failed"
	}
}
