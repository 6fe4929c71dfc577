package fakeprovider

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// ClosedPort returns a host:port on which nothing listens. It is below the ports that systems
// give to whoever asks for any, so that nobody begins to.
func ClosedPort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			continue
		}
		addr := ln.Addr().String()
		if err := ln.Close(); err != nil {
			tb.Fatalf("closing a port: %v", err)
		}
		return addr
	}
	tb.Fatal("finding a closed port: all are in use")
	return ""
}
