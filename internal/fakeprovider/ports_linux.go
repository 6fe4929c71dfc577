package fakeprovider

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Blackhole returns an address whose connections are never completed: a socket
// that never accepts and whose queue is full, so that further SYNs are dropped.
// It skips the test where the kernel does not play along.
func Blackhole(tb testing.TB) string {
	tb.Helper()
	listener, addr, err := fullListener(tb)
	if err != nil {
		tb.Fatalf("making a blackhole: %v", err)
	}
	for range 8 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			tb.Fatalf("making a blackhole: %v", err)
		}
		tb.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Connect(fd, listener); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			tb.Fatalf("making a blackhole: %v", err)
		}
	}
	conn, err := net.DialTimeout("tcp4", addr, 200*time.Millisecond)
	if err == nil {
		_ = conn.Close()
		tb.Skip("this kernel completes connections beyond a full queue")
	}
	return addr
}

func fullListener(tb testing.TB) (unix.Sockaddr, string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, "", err
	}
	if err := unix.Listen(fd, 0); err != nil {
		return nil, "", err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, "", err
	}
	inet, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return nil, "", errors.New("not an IPv4 socket")
	}
	return name, fmt.Sprintf("127.0.0.1:%d", inet.Port), nil
}
