package fakeprovider

import (
	"io"
	"net"
	"time"
)

// Handshake says how a TLS handshake goes.
type Handshake int

// The ways of a handshake. Those that fail do so once the ClientHello has begun to
// come.
const (
	Finished        Handshake = iota // as the certificate deserves
	HandshakeClosed                  // FIN instead of an answer
	HandshakeReset                   // RST instead of an answer
	HandshakeAlert                   // a fatal alert: internal_error
	HandshakeHTTP                    // an answer in plain HTTP, as of a server without TLS
)

// BreakHandshake makes new connections fail in the TLS handshake, or go on again with
// Finished. URL says https. Each is counted by RefusedHandshakes.
func (p *Provider) BreakHandshake(how Handshake) {
	p.setMode(func(m *mode) { m.handshake, m.https = how, true })
}

// breakHandshake waits for the first bytes of the peer and fails it.
func (c *Conn) breakHandshake() {
	var hello [5]byte
	if _, err := io.ReadFull(c.raw, hello[:]); err != nil {
		c.finish(err)
		c.Cut()
		return
	}
	c.provider.addBad(&c.provider.tlsRefused)
	switch c.mode.handshake {
	case HandshakeReset:
		c.in.end()
		c.Reset()
		return
	case HandshakeAlert:
		c.Raw([]byte{21, 3, 3, 0, 2, 2, 80})
	case HandshakeHTTP:
		c.Raw([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	case Finished, HandshakeClosed:
	}
	c.drain()
}

// drain ends the connection with FIN although the peer's bytes have not been read, which
// would make it a reset.
func (c *Conn) drain() {
	_ = c.raw.CloseWrite()
	_ = c.raw.SetReadDeadline(time.Now().Add(Patience))
	_, err := io.Copy(io.Discard, c.raw)
	if err == nil {
		err = net.ErrClosed
	}
	c.finish(err)
	c.Cut()
}
