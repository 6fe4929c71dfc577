//go:build !linux

package fakeprovider

import (
	"errors"
	"syscall"
)

// watchHeld sees nothing here: a held connection learns of its peer's leaving
// only once the body is read.
func (c *Conn) watchHeld() string { return "" }

func setReceiveBuffer(syscall.RawConn, int) error {
	return errors.ErrUnsupported
}
