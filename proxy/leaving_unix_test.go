//go:build unix

package proxy

import (
	"errors"
	"syscall"
)

// narrowBuffer is what dialNarrow asks the kernel for, which doubles it.
const narrowBuffer = 4 << 10

func narrowReceiveBuffer(_, _ string, rc syscall.RawConn) error {
	var failed error
	err := rc.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, narrowBuffer)
	})
	return errors.Join(err, failed)
}
