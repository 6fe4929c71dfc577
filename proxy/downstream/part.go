package downstream

import (
	"net"
	"time"
)

const (
	// lingerTime and lingerBytes bound how long and for how much a closing
	// connection still listens.
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// part closes a connection whose client should get to read the last answer. A
// socket closed with unread bytes makes the kernel send a reset, which can
// destroy what the client has not read yet; so the sending side ends first, and
// what the client still sends is read until it closes too.
func (c *Conn) part() {
	defer c.contain()
	defer c.Close()
	_ = c.wire.SetDeadline(time.Now().Add(lingerTime)) // fails only on a closed connection
	if c.tls != nil {
		_ = c.tls.CloseWrite() // the socket is closed next whatever it says
	}
	if half, ok := c.wire.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	c.dropInput()
}

func (c *Conn) dropInput() {
	in := c.srv.takeInbox()
	defer c.srv.putInbox(in)
	for total := 0; total < lingerBytes; {
		n, err := c.wire.Read(in.data[:cap(in.data)])
		if err != nil {
			return
		}
		total += n
	}
}

// isOwn tells whether the authority of an absolute-form target is this server:
// a configured name, localhost, or the address the client connected to.
func (c *Conn) isOwn(authority []byte) bool {
	host := hostOf(authority)
	if equalFold(host, "localhost") {
		return true
	}
	for _, name := range c.srv.cfg.Hosts {
		if equalFold(host, name) {
			return true
		}
	}
	local, ok := c.wire.LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := net.ParseIP(string(host))
	return ip != nil && ip.Equal(local.IP)
}
