package downstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
	// unixMode lets the socket's owner and group connect.
	unixMode = 0o660
)

// Listen opens a listener on addr: "host:port", ":port", or "unix:/path" for a
// unix socket with mode 0660, which replaces one that nobody listens on any more.
func Listen(addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(path)
	}
	var lc net.ListenConfig
	// The kernel has no TCP_USER_TIMEOUT for MPTCP, which Go listens with by
	// default.
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return ln, nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	if err := os.Chmod(path, unixMode); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	return ln, nil
}

// removeStale removes a socket that a process left behind, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil //nolint:nilerr // listening reports whatever is in the way
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return errors.New("another process listens there")
	}
	return os.Remove(path)
}

// Serve accepts connections from ln until Drain or Close, and then returns nil.
// An error of accept, such as running out of descriptors, is waited out; only a
// listener that someone else closed ends it with an error.
func (s *Server) Serve(ln net.Listener) error {
	if !s.track(ln) {
		return ln.Close()
	}
	defer s.untrack(ln)
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = 0
			s.admit(conn)
			continue
		}
		if s.Draining() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accepting connections: %w", err)
		}
		pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
		s.cfg.Logger.Warn("accepting connections fails, trying again", "error", err, "pause", pause)
		if !s.rest(pause) {
			return nil
		}
	}
}

// rest waits and tells whether the server still accepts.
func (s *Server) rest(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.drained:
		return false
	}
}

func (s *Server) track(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) untrack(ln net.Listener) {
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	_ = ln.Close()
}
