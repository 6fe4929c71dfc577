// Package localserver runs PostgreSQL and Redis servers of its own on loopback, from the
// packages of the system, for tests and measurements: they can be killed, stalled and
// started again.
package localserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// ErrNotInstalled is what starting a server comes to whose programs are not found.
var ErrNotInstalled = errors.New("not installed")

// startLimit bounds how long a server may take until it answers.
const startLimit = 60 * time.Second

// retryEvery is how often a server is asked whether it answers.
const retryEvery = 20 * time.Millisecond

// The ports that servers get are below those that systems give to connections and to
// whoever asks for any: there one may be taken before its server has begun, or while it is
// being started again.
const (
	firstPort = 10_000
	ports     = 22_000
)

// freePort returns a port of loopback that nobody listens on.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(ports)
		var ln net.Listener
		if ln, err = net.Listen("tcp", loopback(port)); err != nil {
			continue
		}
		if err = ln.Close(); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port: %w", err)
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
