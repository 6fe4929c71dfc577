package limits

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicehq/sluice/internal/servers"
)

func benchSubjects(n int) []Subject {
	var out []Subject
	for i := range n {
		out = append(out, subject([]Kind{Key, Model, Provider}[i%3], Quota{
			RequestsPerMinute: 1_000_000_000, TokensPerMinute: 1_000_000_000_000, Streams: 1_000_000,
			Budgets: []Budget{{Unit: NanoUSD, Amount: 1 << 60, Per: Month, Hard: true}},
		}))
	}
	return out
}

func benchReserve(b *testing.B, l *Limiter, subjects int) {
	b.Helper()
	list := benchSubjects(subjects)
	var n atomic.Int64
	ctx := context.Background()
	one := func() {
		r, err := l.Reserve(ctx, Ask{ID: strconv.FormatInt(n.Add(1), 10), Subjects: list, Reserve: Amount{Tokens: 1000, NanoUSD: 1000}})
		if err != nil {
			b.Error(err)
			return
		}
		r.Settle(Amount{Tokens: 10, NanoUSD: 10})
	}
	one()
	b.ReportAllocs()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one()
			}
		})
	})
}

func BenchmarkReserveSettle(b *testing.B) {
	for _, subjects := range []int{1, 3} {
		b.Run("memory/"+strconv.Itoa(subjects), func(b *testing.B) {
			l := New(Options{})
			defer l.Close()
			benchReserve(b, l, subjects)
		})
		b.Run("redis/"+strconv.Itoa(subjects), func(b *testing.B) {
			server := servers.StartRedis(b)
			client := redis.NewClient(&redis.Options{Addr: server.Address})
			defer func() { _ = client.Close() }()
			l := New(Options{Redis: client, Timeout: 5 * time.Second})
			defer l.Close()
			benchReserve(b, l, subjects)
		})
	}
}

func BenchmarkReserveUnbounded(b *testing.B) {
	l := New(Options{})
	defer l.Close()
	a := Ask{ID: "a", Subjects: []Subject{{Kind: Key, Name: "k"}, {Kind: Model, Name: "m", Quota: &Quota{}}}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		r, _ := l.Reserve(ctx, a)
		r.Settle(Amount{})
	}
}

func BenchmarkExtend(b *testing.B) {
	l := New(Options{})
	defer l.Close()
	r, err := l.Reserve(context.Background(), Ask{Subjects: benchSubjects(3)})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.ReportAllocs()
	var n int64
	for b.Loop() {
		n++
		_ = r.Extend(ctx, Amount{Tokens: n, NanoUSD: n})
	}
	r.Settle(Amount{})
}
