//go:build !linux

// Command storm proves the books of sluice. It runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "storm: the processes that it starts are only sure to end with it on Linux")
	os.Exit(2)
}
