//go:build linux

package proxy

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

// What streams cost on which nothing comes: processor time, and how often the process is woken.
// Clients and provider, which are silent too, are in the same process.
func BenchmarkSilentStreams(b *testing.B) {
	for name, streams := range map[string]int{"none": 0, "some": benchStreams(b)} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(c *config.Config) { c.KeepAlive = 0 })
			r.crowd(streams)
			const window = 10 * time.Second
			for b.Loop() {
				<-time.After(time.Second)
				before := resourcesOf(b)
				<-time.After(window)
				after := resourcesOf(b)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/1e6/window.Seconds(), "cpu-ms/s")
				b.ReportMetric(float64(after.Nvcsw-before.Nvcsw)/window.Seconds(), "wakeups/s")
			}
		})
	}
}

func resourcesOf(b *testing.B) (u syscall.Rusage) {
	b.Helper()
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u
}
