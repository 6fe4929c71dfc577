//go:build !linux

package fakeprovider

import "testing"

// Blackhole needs Linux: it skips the test.
func Blackhole(tb testing.TB) string {
	tb.Helper()
	tb.Skip("an address that drops SYNs is made on Linux only")
	return ""
}
