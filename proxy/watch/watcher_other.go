//go:build !linux

package watch

import (
	"errors"
	"fmt"
	"syscall"
)

// Watcher does not exist on this system.
type Watcher struct{}

// Registration is one connection's place in a Watcher.
type Registration struct{}

// New returns an error that matches errors.ErrUnsupported.
func New() (*Watcher, error) {
	return nil, fmt.Errorf("creating the connection watcher: %w", errors.ErrUnsupported)
}

// Add returns an error that matches errors.ErrUnsupported.
func (w *Watcher) Add(syscall.RawConn, func(Event)) (Registration, error) {
	return Registration{}, fmt.Errorf("watching a connection: %w", errors.ErrUnsupported)
}

// Remove does nothing.
func (w *Watcher) Remove(Registration) {}

// Close does nothing.
func (w *Watcher) Close() {}
