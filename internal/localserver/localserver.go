// Package localserver runs PostgreSQL and Redis servers of its own on loopback, from the
// packages of the system, for tests and measurements: they can be killed, stalled and
// started again.
package localserver

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrNotInstalled is what starting a server comes to whose programs are not found.
var ErrNotInstalled = errors.New("not installed")

// startLimit bounds how long a server may take until it answers.
const startLimit = 60 * time.Second

// retryEvery is how often a server is asked whether it answers.
const retryEvery = 20 * time.Millisecond

// freePort returns a port of loopback that nobody listens on.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return port, nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// await asks until a server answers.
func await(answers func() error) error {
	deadline := time.NewTimer(startLimit)
	defer deadline.Stop()
	again := time.NewTicker(retryEvery)
	defer again.Stop()
	for {
		err := answers()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}
