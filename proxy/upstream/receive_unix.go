//go:build unix && !linux

package upstream

import "syscall"

// receiveNow reads what has arrived. The socket is non-blocking.
func receiveNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }
