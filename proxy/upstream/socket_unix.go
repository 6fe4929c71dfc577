//go:build unix

package upstream

import (
	"errors"
	"io"
	"syscall"
)

// wait runs tryRead until it has something to return, parked in between.
func (c *Conn) wait() error { return c.raw.Read(c.tryRead) }

// readNow is the body of tryRead. It must never block: the socket is read as it is,
// and the block goes back to the pool before the goroutine parks.
func (c *Conn) readNow(fd uintptr) bool {
	c.fd = fd
	b := takeBlock()
	if c.tls == nil {
		n, err := readSocket(fd, b.room())
		return c.taken(b, n, err)
	}
	c.mode = wireTrying
	n, err := c.readTLS(b.room())
	c.mode = wireBlocking
	return c.taken(b, n, err)
}

// readSocket reads what has arrived, or returns errNothingYet.
func readSocket(fd uintptr, p []byte) (int, error) {
	for {
		n, err := receiveNow(fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, errNothingYet
		default:
			return 0, err
		}
	}
}

// quiet tells whether the upstream has neither sent anything nor closed since the
// last read. It reads nothing.
func (c *Conn) quiet() bool {
	quiet := false
	err := c.raw.Control(func(fd uintptr) {
		var one [1]byte
		for {
			_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			quiet = errors.Is(err, syscall.EAGAIN)
			return
		}
	})
	return err == nil && quiet
}
