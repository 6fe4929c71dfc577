package upstream

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveNow reads what has arrived, without ever waiting. Because it cannot block it
// is a raw system call: the scheduler need not find other work for this thread's
// processor meanwhile.
func receiveNow(fd uintptr, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
