//go:build !unix

package upstream

import (
	"errors"
	"os"
	"time"
)

// wait reads with a block in hand: on this system a socket cannot be read without
// waiting.
func (c *Conn) wait() error {
	b := takeBlock()
	read := c.tcp.Read
	if c.tls != nil {
		read = c.readTLS
	}
	n, err := read(b.room())
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		giveBlock(b)
		return err
	}
	c.taken(b, n, err)
	return nil
}

func (c *Conn) readNow(uintptr) bool { return false }

func readSocket(uintptr, []byte) (int, error) { return 0, errNothingYet }

// quietPeek is how long the check of an idle connection listens.
const quietPeek = time.Millisecond

// quiet tells whether the upstream has neither sent anything nor closed since the
// last read. A byte that it does find is lost, with a connection that is closed for it.
func (c *Conn) quiet() bool {
	if c.tcp.SetReadDeadline(time.Now().Add(quietPeek)) != nil {
		return false
	}
	var one [1]byte
	n, err := c.tcp.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.tcp.SetReadDeadline(time.Time{}) == nil
}
