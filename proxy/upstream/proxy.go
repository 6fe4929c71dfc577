package upstream

import (
	"context"
	"strconv"
)

// passProxy prepares a connection to the proxy: TLS to the proxy itself if it wants
// that, and a tunnel to the provider if the provider speaks TLS. Plain HTTP needs no
// tunnel, the proxy forwards it.
func (p *Pool) passProxy(ctx context.Context, c *Conn) error {
	via := p.address.proxy
	if via.secure {
		if err := c.startTLS(ctx, p.tls, via.name); err != nil {
			return handshakeError(err)
		}
	}
	if !p.address.secure {
		return nil
	}
	stop := context.AfterFunc(ctx, c.Close)
	err := c.tunnel(p.address.dial, via.auth)
	if !stop() {
		return ctx.Err()
	}
	return err
}

// tunnel asks the proxy for a connection to addr (RFC 9110, section 9.3.6).
func (c *Conn) tunnel(addr, auth string) error {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if auth != "" {
		request += "Proxy-Authorization: " + auth + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return proxyError("the proxy closed the connection")
	}
	var (
		r Reader
		h Head
	)
	r.Reset(c)
	defer r.Release()
	if err := r.ReadHead(&h, "CONNECT"); err != nil {
		return proxyError("the proxy did not answer the request for a tunnel")
	}
	if h.Status < 200 || h.Status > 299 {
		return proxyError("the proxy answered " + strconv.Itoa(h.Status))
	}
	if r.extra {
		// TLS servers wait for the client: what follows the answer is not theirs.
		return proxyError("the proxy sent more than an answer")
	}
	return nil
}

func proxyError(detail string) *Error {
	return &Error{Code: CodeConnectFailed, Op: "dialing", Detail: detail}
}
