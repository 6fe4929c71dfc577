//go:build !linux

// Command bench compares sluice with other proxies. It reads the CPU time and the
// memory of their processes from /proc, so it runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: only Linux tells the CPU time and memory of other processes in the way that is measured here")
	os.Exit(2)
}
