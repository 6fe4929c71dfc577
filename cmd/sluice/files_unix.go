//go:build unix

package main

import "syscall"

// openFiles is how many files this process may have open, not positive if that is unknown. Go
// has raised the soft limit to the hard one.
func openFiles() int64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int64(limit.Cur) // negative for no limit
}
