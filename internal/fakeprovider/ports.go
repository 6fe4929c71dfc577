package fakeprovider

import (
	"net"
	"testing"
)

// ClosedPort returns a host:port on which nothing listens.
func ClosedPort(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("finding a closed port: %v", err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		tb.Fatalf("closing a port: %v", err)
	}
	return addr
}
