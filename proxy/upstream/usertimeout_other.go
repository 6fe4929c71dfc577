//go:build !linux

package upstream

import "syscall"

// setUserTimeout leaves the system's own limit for unacknowledged data.
func setUserTimeout(syscall.RawConn) error { return nil }
