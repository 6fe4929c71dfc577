package upstream

import "syscall"

const (
	// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
	tcpUserTimeout = 18
	// userTimeout is how long sent data may go unacknowledged, in milliseconds,
	// before a provider counts as vanished. Keep-alive probes do not run meanwhile.
	userTimeout = 20_000
)

func setUserTimeout(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, userTimeout)
	})
	if err != nil {
		return err
	}
	return failed
}
