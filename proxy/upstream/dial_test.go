package upstream

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBaseURLIsCheckedAndSplit(t *testing.T) {
	good := func(base, host, prefix, target string) {
		t.Helper()
		pool := openPool(t, Options{BaseURL: base})
		require.Equal(t, host, pool.Host())
		require.Equal(t, prefix, pool.Prefix())
		require.Equal(t, target, pool.RequestTarget("/chat?x=1"))
		require.Empty(t, pool.ProxyAuthorization())
	}
	good("https://api.test", "api.test", "", "/chat?x=1")
	good("https://api.test/", "api.test", "", "/chat?x=1")
	good("https://api.test:8443/v1", "api.test:8443", "/v1", "/v1/chat?x=1")
	good("http://127.0.0.1:8000/a%2Fb/v1/", "127.0.0.1:8000", "/a%2Fb/v1", "/a%2Fb/v1/chat?x=1")
	good("http://[::1]:8000/v1", "[::1]:8000", "/v1", "/v1/chat?x=1")
	good("http://[fe80::1%25eth0]:80", "[fe80::1]:80", "", "/chat?x=1")

	bad := func(base string) {
		t.Helper()
		_, err := NewPool(Options{BaseURL: base})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
	bad("")
	bad("api.test/v1")
	bad("ftp://api.test")
	bad("https:///v1")
	bad("https://user:secret@api.test")
	bad("https://api.test/v1?key=secret")
	bad("https://api.test/#secret")
	bad("https://api.test:secret/")
	bad("https://\xc3\xa4pi.test/")
}

func TestRefusedConnectionIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	_, err = openPool(t, Options{BaseURL: base}).Dial(context.Background())
	failed := failure(t, CodeConnectFailed, err)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotContains(t, failed.Error(), "127.0.0.1")
}

func TestConnectControlMayRefuse(t *testing.T) {
	p := serve(t, func(net.Conn) {})
	called := ""
	_, err := openPool(t, Options{BaseURL: p.url(), Control: func(_, address string, _ syscall.RawConn) error {
		called = address
		return errors.New("not there: secret")
	}}).Dial(context.Background())
	failed := failure(t, CodeConnectFailed, err)
	require.Equal(t, p.Addr().String(), called)
	require.NotContains(t, failed.Error(), "secret")
}

// failingResolver fails each lookup with err, or waits for its end if err is nil.
func failingResolver(err error) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
}

func TestNameThatDoesNotResolve(t *testing.T) {
	pool := openPool(t, Options{BaseURL: "http://provider.invalid", Resolver: failingResolver(errors.New("no network"))})
	_, err := pool.Dial(context.Background())
	failed := failure(t, CodeDNS, err)
	require.NotContains(t, failed.Error(), "provider.invalid")

	pool = openPool(t, Options{
		BaseURL: "http://provider.invalid", Resolver: failingResolver(nil), ConnectTimeout: 30 * time.Millisecond,
	})
	_, err = pool.Dial(context.Background())
	requireCode(t, CodeDNS, err)
}

func TestDialIsCancelledWhileTheNameResolves(t *testing.T) {
	asked := make(chan struct{}, 16)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	pool := openPool(t, Options{BaseURL: "http://provider.invalid", Resolver: resolver, ConnectTimeout: time.Minute})
	cancelledDial(t, pool, func() { <-asked })
}

// cancelledDial cancels a dial once reached returns.
func cancelledDial(t *testing.T, pool *Pool, reached func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		c, err := pool.Dial(ctx)
		if err == nil {
			c.Close()
			err = errors.New("connected")
		}
		failed <- err
	}()
	reached()
	cancel()
	err := await(t, failed)
	requireCode(t, CodeConnectFailed, err)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSilentTLSServer(t *testing.T) {
	accepted := make(chan net.Conn, 1)
	p := serve(t, func(c net.Conn) {
		accepted <- c
		drained(t, c)
	})
	t.Run("dial is cancelled and its socket closed", func(t *testing.T) {
		pool := openPool(t, Options{BaseURL: p.secureURL(), ConnectTimeout: time.Minute})
		cancelledDial(t, pool, func() { <-accepted })
	})
	t.Run("dial times out", func(t *testing.T) {
		pool := openPool(t, Options{BaseURL: p.secureURL(), ConnectTimeout: 50 * time.Millisecond})
		_, err := pool.Dial(context.Background())
		requireCode(t, CodeConnectTimeout, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-accepted
	})
}

func TestServerThatDropsTheHandshake(t *testing.T) {
	p := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 10))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	_, err := openPool(t, Options{BaseURL: p.secureURL()}).Dial(context.Background())
	requireCode(t, CodeTLS, err)
}

func TestDialPrefersWhatAnswers(t *testing.T) {
	p := serve(t, func(net.Conn) {})
	_, port, err := net.SplitHostPort(p.Addr().String())
	require.NoError(t, err)
	// localhost is both ::1 and 127.0.0.1; only the latter listens.
	c, err := openPool(t, Options{BaseURL: "http://localhost:" + port}).Dial(context.Background())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(c.tcp.RemoteAddr().String(), "127.0.0.1"))
	c.Close()
}
