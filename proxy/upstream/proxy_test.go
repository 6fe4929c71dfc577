package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// environment sets what the process knows of proxies.
func environment(t *testing.T, httpProxy, httpsProxy, noProxy string) {
	t.Helper()
	for name, value := range map[string]string{
		"HTTP_PROXY": httpProxy, "HTTPS_PROXY": httpsProxy, "NO_PROXY": noProxy,
		"http_proxy": "", "https_proxy": "", "no_proxy": "", "REQUEST_METHOD": "",
	} {
		t.Setenv(name, value)
	}
}

// tunnelTo is a proxy that answers CONNECT with status and then joins the client with
// the given address, whatever name the client asked for.
func tunnelTo(addr, status string, asked chan<- *http.Request) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		asked <- request
		_, _ = io.WriteString(c, status)
		if addr == "" {
			_, _ = io.Copy(io.Discard, in)
			return
		}
		up, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer func() { _ = up.Close() }()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(up, in)
			_ = up.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(c, up)
		_ = c.Close()
		<-done
	}
}

const connected = "HTTP/1.1 200 Connection established\r\n\r\n"

func TestTunnelThroughAProxy(t *testing.T) {
	ca := newAuthority(t)
	provider := serveTLS(t, ca, nil, func(c *tls.Conn) { answers(okResponse, okResponse)(c) })
	asked := make(chan *http.Request, 1)
	tunnel := tunnelTo(provider.Addr().String(), connected, asked)
	plain := serve(t, tunnel)
	secure := serveTLS(t, ca, nil, func(c *tls.Conn) { tunnel(c) })

	f := func(name, proxyURL, auth string) {
		t.Run(name, func(t *testing.T) {
			environment(t, "", proxyURL, "")
			pool := openPool(t, Options{BaseURL: "https://provider.test/v1", CAFile: ca.file(t), IdleConn: time.Minute})
			require.Equal(t, "/v1/models", pool.RequestTarget("/models"))
			require.Empty(t, pool.ProxyAuthorization())
			c := dial(t, pool)
			request := <-asked
			require.Equal(t, http.MethodConnect, request.Method)
			require.Equal(t, "provider.test:443", request.Host)
			require.Equal(t, auth, request.Header.Get("Proxy-Authorization"))
			require.True(t, ask(t, c).Reusable())
			pool.Put(c)
			require.Same(t, c, pool.Idle())
			ask(t, c)
			c.Close()
		})
	}
	f("plain", "http://"+plain.Addr().String(), "")
	f("with credentials", "http://user:p%40ss@"+plain.Addr().String(), "Basic dXNlcjpwQHNz")
	f("over TLS", "https://"+secure.Addr().String(), "")
}

func TestProxyForwardsPlainHTTP(t *testing.T) {
	asked := make(chan *http.Request, 1)
	p := serve(t, func(c net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			asked <- request
			_, _ = io.WriteString(c, okResponse)
		}
	})
	environment(t, "http://user:pass@"+p.Addr().String(), "", "")
	pool := openPool(t, Options{BaseURL: "http://provider.test:8000/v1"})
	require.Equal(t, "http://provider.test:8000/v1/models", pool.RequestTarget("/models"))
	require.Equal(t, "Basic dXNlcjpwYXNz", pool.ProxyAuthorization())
	require.Equal(t, "provider.test:8000", pool.Host())
	c := dial(t, pool)
	_, err := c.Write([]byte("GET " + pool.RequestTarget("/models") + " HTTP/1.1\r\nHost: " + pool.Host() + "\r\n\r\n"))
	require.NoError(t, err)
	require.Equal(t, "http://provider.test:8000/v1/models", (<-asked).RequestURI)
}

func TestNoProxyGoesStraight(t *testing.T) {
	environment(t, "http://127.0.0.1:1", "http://127.0.0.1:1", "provider.test")
	pool := openPool(t, Options{BaseURL: "http://provider.test/v1"})
	require.Equal(t, "/v1/models", pool.RequestTarget("/models"))
	require.Nil(t, pool.address.proxy)
	require.Nil(t, openPool(t, Options{BaseURL: "https://provider.test"}).address.proxy)
	require.NotNil(t, openPool(t, Options{BaseURL: "https://other.test"}).address.proxy)
}

func TestUnknownKindOfProxyIsRefused(t *testing.T) {
	environment(t, "", "socks5://user:secret@127.0.0.1:1", "")
	_, err := NewPool(Options{BaseURL: "https://provider.test"})
	require.ErrorContains(t, err, `scheme "socks5"`)
	require.NotContains(t, err.Error(), "secret")
}

func TestProxyThatRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ answer, detail string }{
		"wants credentials":   {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n\r\nsecret", "the proxy answered 407"},
		"bad gateway":         {"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "the proxy answered 502"},
		"garbage":             {"secret\r\n", "the proxy did not answer the request for a tunnel"},
		"more than an answer": {connected + "secret", "the proxy sent more than an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 1)
			p := serve(t, tunnelTo("", tt.answer, asked))
			environment(t, "", "http://"+p.Addr().String(), "")
			_, err := openPool(t, Options{BaseURL: "https://provider.test"}).Dial(context.Background())
			failed := failure(t, CodeConnectFailed, err)
			require.Equal(t, tt.detail, failed.Detail)
		})
	}
}

func TestDialIsCancelledWhileTheProxyIsSilent(t *testing.T) {
	asked := make(chan *http.Request, 1)
	p := serve(t, tunnelTo("", "", asked))
	environment(t, "", "http://"+p.Addr().String(), "")
	pool := openPool(t, Options{BaseURL: "https://provider.test", ConnectTimeout: time.Minute})
	cancelledDial(t, pool, func() { <-asked })

	pool = openPool(t, Options{BaseURL: "https://provider.test", ConnectTimeout: 50 * time.Millisecond})
	_, err := pool.Dial(context.Background())
	requireCode(t, CodeConnectTimeout, err)
}
