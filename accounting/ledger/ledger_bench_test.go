package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/servers"
)

// BenchmarkExchange is the cost of an exchange that begins, waits until that is kept, and
// ends, for so many clients at the same time.
func BenchmarkExchange(b *testing.B) {
	onEngines(b, func(b *testing.B, url string) {
		for _, clients := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchmarkExchange(b, newRig(b, url), clients) })
		}
	})
}

func onEngines(b *testing.B, f func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { f(b, sqliteURL(b)) })
	b.Run("postgres", func(b *testing.B) { f(b, servers.StartPostgres(b).Database(b)) })
}

func benchmarkExchange(b *testing.B, r *rig, clients int) {
	l := r.ledger()
	b.ReportAllocs()
	var wg sync.WaitGroup
	next := make(chan accounting.UID, clients)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for uid := range next {
				if l.Begin(intentOf(uid, 1)).Err() != nil || l.Finish(recordOf(uid)).Err() != nil {
					b.Error("an exchange is not kept")
				}
			}
		})
	}
	for range b.N {
		next <- accounting.NewUID()
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLastChunk is what a durable record adds to the last chunk of a stream while a
// thousand streams begin and end in every second, spread over it. An operation is one
// stream.
func BenchmarkLastChunk(b *testing.B) {
	onEngines(b, func(b *testing.B, url string) {
		const perSecond = 1000
		l := newRig(b, url).ledger()
		begins, ends := make([]time.Duration, b.N), make([]time.Duration, b.N)
		var wg sync.WaitGroup
		began := time.Now()
		for i := range b.N {
			at := began.Add(time.Duration(i) * time.Second / perSecond)
			if wait := time.Until(at); wait > 0 {
				<-time.After(wait)
			}
			wg.Go(func() {
				uid := accounting.NewUID()
				start := time.Now()
				_ = l.Begin(intentOf(uid, 1)).Err()
				begins[i] = time.Since(start)
				<-time.After(time.Second) // the stream
				start = time.Now()
				_ = l.Finish(recordOf(uid)).Err()
				ends[i] = time.Since(start)
			})
		}
		wg.Wait()
		b.StopTimer()
		for name, times := range map[string][]time.Duration{"begin": begins, "end": ends} {
			slices.SortFunc(times, cmp.Compare[time.Duration])
			for _, q := range []struct {
				name string
				of   float64
			}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
				at := min(int(q.of*float64(len(times))), len(times)-1)
				b.ReportMetric(float64(times[at])/1e6, name+"-"+q.name+"-ms")
			}
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	})
}
