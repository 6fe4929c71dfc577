package replicas

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/servers"
)

// BenchmarkAsk is a question to two others, one at a time and many at once.
func BenchmarkAsk(b *testing.B) {
	server := servers.StartRedis(b)
	buses := three(b, server.Address)
	b.Run("one at a time", func(b *testing.B) {
		b.ReportAllocs()
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			if _, complete := buses[0].Ask(b.Context(), "name", nil, nil); !complete {
				b.Fatal("incomplete")
			}
			took = append(took, time.Since(start))
		}
		reportQuantiles(b, took)
	})
	b.Run("64 at once", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32) // of two processors
		all := make(chan []time.Duration, 1024)
		b.RunParallel(func(pb *testing.PB) {
			var took []time.Duration
			for pb.Next() {
				start := time.Now()
				if _, complete := buses[0].Ask(b.Context(), "name", nil, nil); !complete {
					b.Error("incomplete")
					return
				}
				took = append(took, time.Since(start))
			}
			all <- took
		})
		close(all)
		var took []time.Duration
		for t := range all {
			took = append(took, t...)
		}
		reportQuantiles(b, took)
	})
}

func reportQuantiles(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}
