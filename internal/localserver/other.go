//go:build !unix

package localserver

import (
	"errors"
	"fmt"
)

// errSystem says that servers are not started on this system.
var errSystem = fmt.Errorf("servers are only started on Unix: %w", errors.ErrUnsupported)

// Redis is not started on this system.
type Redis struct{ URL, Address string }

// StartRedis fails.
func StartRedis() (*Redis, error) { return nil, errSystem }

// Start fails.
func (*Redis) Start() error { return errSystem }

// Kill does nothing.
func (*Redis) Kill() {}

// Stall does nothing.
func (*Redis) Stall() {}

// Resume does nothing.
func (*Redis) Resume() {}

// Postgres is not started on this system.
type Postgres struct{ Address string }

// StartPostgres fails.
func StartPostgres() (*Postgres, error) { return nil, errSystem }

// Start fails.
func (*Postgres) Start() error { return errSystem }

// Close does nothing.
func (*Postgres) Close() {}

// Kill does nothing.
func (*Postgres) Kill() {}

// Stall does nothing.
func (*Postgres) Stall() {}

// Resume does nothing.
func (*Postgres) Resume() {}

// Database fails.
func (*Postgres) Database() (string, error) { return "", errSystem }
