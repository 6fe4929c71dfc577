package fakeprovider

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// watchHeld waits, without reading a byte, until the peer has left or the body
// was released. It returns how the peer left, or nothing.
func (c *Conn) watchHeld() string {
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return ""
	}
	how := ""
	// The runtime's poller wakes the callback on every edge, a hang-up included.
	_ = raw.Read(func(fd uintptr) bool {
		if c.isFree() {
			return true
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(fds, 0); err != nil {
			return false
		}
		switch got := fds[0].Revents; {
		case got&unix.POLLERR != 0:
			how = GoneReset
		case got&(unix.POLLRDHUP|unix.POLLHUP) != 0:
			how = GoneEOF
		}
		return how != ""
	})
	return how
}

func setReceiveBuffer(raw syscall.RawConn, bytes int) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	})
	if err != nil {
		return err
	}
	return failed
}
