//go:build !linux

// Command soak proves that sluice can be lived with. It runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "soak: what it looks at is in /proc, which only Linux has in this form")
	os.Exit(2)
}
