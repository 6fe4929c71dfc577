package upstream

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// cut does to the connection what closing its descriptor would do: the upstream gets
// a FIN, or a reset if it has sent what will not be read or must not read the rest of
// a request; nothing it sends later is taken.
func (c *Conn) cut(fd uintptr) {
	unread, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	if (c.writing.Load() > 0 || err == nil && unread > 0) && reset(fd) == nil {
		return
	}
	_ = unix.Shutdown(int(fd), unix.SHUT_RDWR) // fails only on a dead connection
}

// reset dissolves the connection: connecting a TCP socket to no address drops what it
// holds and sends RST (tcp_disconnect).
func reset(fd uintptr) error {
	nowhere := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&nowhere)), unsafe.Sizeof(nowhere))
	if errno != 0 {
		return errno
	}
	return nil
}
