package limits

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// disturb does something to the server time and again until the storm is over.
func (s *storm) disturb(t *testing.T, n int, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(t, 16)
	}()
	ticker := time.NewTicker(150 * time.Millisecond)
	defer ticker.Stop()
	for range n {
		select {
		case <-done:
		case <-ticker.C:
			do()
		}
	}
	<-done
}

func outageStorm(t *testing.T, server *servers.Redis, change ...func(*Options)) *storm {
	t.Helper()
	r := redisRig(t, server)
	change = append(change, func(o *Options) { o.Timeout = 100 * time.Millisecond })
	var limiters []*Limiter
	for range 3 {
		limiters = append(limiters, r.limiter(t, change...))
	}
	s := newStorm(r, limiters, 1<<40, setting(t, "SLUICE_LIMITS_REQUESTS", 5_000))
	s.outages = true
	return s
}

func TestAStormWithARedisThatStallsLosesNothing(t *testing.T) {
	server := servers.StartRedis(t)
	s := outageStorm(t, server)
	s.disturb(t, 5, func() {
		server.Stall()
		<-time.After(200 * time.Millisecond)
		server.Resume()
	})
	s.requireBooks(t)
	require.Positive(t, s.unavailable.Load())
}

// books is what the storm has settled, by key.
func (s *storm) books(_ context.Context, subject Subject, b Budget, _ string, _ time.Time) (int64, error) {
	sum := int64(0)
	for i, key := range s.keys {
		if key.Name == subject.Name || subject.Kind == Provider {
			sum += s.settled[i].Load()
		}
	}
	return sum, nil
}

// requireAtLeast wants that what the books have is counted. What was settled in the moment of a loss
// may be counted twice.
func (s *storm) requireAtLeast(t *testing.T) {
	t.Helper()
	s.rig.idle(t, s.limiters...)
	for i, key := range s.keys {
		// The counter may be gone until somebody asks.
		must(t, s.limiters[0], ask(Amount{}, key)).Settle(Amount{})
		spent, settled := s.rig.spent(t, s.limiters[0], key, key.Quota.Budgets[0]), s.settled[i].Load()
		require.GreaterOrEqual(t, spent, settled)
		require.LessOrEqual(t, float64(spent), 1.2*float64(settled))
	}
	s.rig.idle(t, s.limiters...)
}

func TestAStormWithARedisThatLosesItsDataCountsWhatTheBooksHave(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, s *servers.Redis, r *rig){
		"killed": func(t *testing.T, s *servers.Redis, _ *rig) {
			s.Kill()
			<-time.After(50 * time.Millisecond)
			s.Start(t)
		},
		"flushed": func(t *testing.T, _ *servers.Redis, r *rig) { require.NoError(t, r.redis.FlushAll(bg).Err()) },
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.StartRedis(t)
			var s *storm
			s = outageStorm(t, server, func(o *Options) {
				o.Lease = 2 * time.Second
				o.Seed = func(ctx context.Context, subject Subject, b Budget, window string, since time.Time) (int64, error) {
					return s.books(ctx, subject, b, window, since)
				}
			})
			s.disturb(t, 5, func() { do(t, server, s.rig) })
			s.requireAtLeast(t)
		})
	}
}
