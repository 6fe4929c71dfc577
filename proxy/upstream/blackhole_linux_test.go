package upstream

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// blackhole is an address that takes no further connection and refuses none: a
// listener whose queue is full.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("the queue of a listener does not fill up here")
	return ""
}

func TestAddressThatDoesNotAnswer(t *testing.T) {
	base := "http://" + blackhole(t)
	t.Run("dial times out", func(t *testing.T) {
		pool := openPool(t, Options{BaseURL: base, ConnectTimeout: 50 * time.Millisecond})
		_, err := pool.Dial(context.Background())
		requireCode(t, CodeConnectTimeout, err)
	})
	t.Run("dial is cancelled", func(t *testing.T) {
		connecting := make(chan struct{})
		pool := openPool(t, Options{
			BaseURL: base, ConnectTimeout: time.Minute,
			Control: func(string, string, syscall.RawConn) error { close(connecting); return nil },
		})
		cancelledDial(t, pool, func() { <-connecting })
	})
	t.Run("caller's own time ends first", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err := openPool(t, Options{BaseURL: base, ConnectTimeout: time.Minute}).Dial(ctx)
		requireCode(t, CodeConnectTimeout, err)
	})
}

func TestSocketsGiveUpOnAVanishedUpstream(t *testing.T) {
	c, _ := pair(t)
	option := func(level, name int) (value int) {
		require.NoError(t, c.raw.Control(func(fd uintptr) {
			v, err := syscall.GetsockoptInt(int(fd), level, name)
			require.NoError(t, err)
			value = v
		}))
		return value
	}
	require.Equal(t, userTimeout, option(syscall.IPPROTO_TCP, tcpUserTimeout))
	require.Equal(t, 1, option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE))
	require.Equal(t, int(keepAliveIdle/time.Second), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE))
	require.Equal(t, int(keepAliveInterval/time.Second), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL))
	require.Equal(t, keepAliveCount, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT))
	require.Equal(t, 1, option(syscall.IPPROTO_TCP, syscall.TCP_NODELAY))
}
