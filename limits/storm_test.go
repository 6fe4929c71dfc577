package limits

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// setting is a number that a variable of the environment may change.
func setting(t *testing.T, variable string, usual int) int {
	t.Helper()
	given := os.Getenv(variable)
	if given == "" {
		return usual
	}
	n, err := strconv.Atoi(given)
	require.NoError(t, err)
	return n
}

// storm is many clients at once on a few subjects.
type storm struct {
	rig      *rig
	budget   int64
	limiters []*Limiter
	keys     []Subject
	others   []Subject

	left               atomic.Int64
	admitted, refused  atomic.Int64
	extended, aborted  atomic.Int64
	settled            []atomic.Int64 // tokens, by key
	crossed, unleashed atomic.Int64
	// outages allows that limits cannot be asked.
	outages     bool
	unavailable atomic.Int64
}

func newStorm(r *rig, limiters []*Limiter, budget int64, n int) *storm {
	s := &storm{rig: r, limiters: limiters, budget: budget}
	for range 5 {
		s.keys = append(s.keys, subject(Key, Quota{
			Streams: 6, RequestsPerMinute: 1_000_000_000,
			Budgets: []Budget{{Unit: Tokens, Amount: budget, Per: Total, Hard: true}, {Unit: NanoUSD, Amount: 1 << 50, Per: Day}},
		}))
	}
	s.others = []Subject{
		subject(Model, Quota{TokensPerMinute: 1_000_000_000}),
		subject(Provider, Quota{Streams: 20, Budgets: []Budget{{Unit: Tokens, Amount: 1 << 50, Per: Month, Hard: true}}}),
	}
	s.settled = make([]atomic.Int64, len(s.keys))
	s.left.Store(int64(n))
	return s
}

// client makes requests until all are made.
func (s *storm) client(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	for s.left.Add(-1) >= 0 {
		key := random.IntN(len(s.keys))
		l := s.limiters[random.IntN(len(s.limiters))]
		r, err := l.Reserve(context.Background(), Ask{ID: fresh(), Subjects: append([]Subject{s.keys[key]}, s.others...), Reserve: tokens(random.Int64N(300))})
		if err != nil {
			if s.requireKnown(t, err) { // come again
				s.left.Add(1)
				<-time.After(time.Millisecond)
			}
			continue
		}
		s.admitted.Add(1)
		s.stream(t, r, key, random)
	}
}

// stream uses what it may, sometimes asks for more, and is sometimes aborted.
func (s *storm) stream(t *testing.T, r *Reservation, key int, random *rand.Rand) {
	for random.IntN(3) == 0 {
		err := r.Extend(context.Background(), tokens(r.Allowance().Tokens+random.Int64N(200)))
		if err == nil {
			s.extended.Add(1)
		} else {
			s.requireKnown(t, err)
		}
	}
	used := r.Allowance().Tokens
	if random.IntN(10) < 3 {
		s.aborted.Add(1)
		used = random.Int64N(used + 1) // what was estimated
	}
	s.settled[key].Add(used)
	r.Settle(Amount{Tokens: used, NanoUSD: used})
	if random.IntN(4) == 0 {
		r.Settle(tokens(1000))
	}
}

// requireKnown reports that the limits could not be asked.
func (s *storm) requireKnown(t *testing.T, err error) bool {
	var refused *Refused
	var unavailable *Unavailable
	switch {
	case errors.As(err, &refused):
		s.refused.Add(1)
	case s.outages && errors.As(err, &unavailable):
		s.unavailable.Add(1)
		return true
	default:
		t.Errorf("neither refused nor unavailable: %v", err)
	}
	return false
}

// watch looks, until told, whether a bound is crossed at any moment.
func (s *storm) watch(done <-chan struct{}) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		for _, key := range s.keys {
			sum, streams := s.look(key)
			if sum > s.budget {
				s.crossed.Add(1)
			}
			if streams > 6 {
				s.unleashed.Add(1)
			}
		}
	}
}

var look = redis.NewScript(`
local spent = redis.call('HGET', KEYS[3], 's:t:total') or 0
local reserved = redis.call('HGET', KEYS[2], 'r:t:total') or 0
return {spent + reserved, redis.call('ZCARD', KEYS[1])}`)

// look returns what a key has spent and reserved, and its streams, at one moment.
func (s *storm) look(key Subject) (int64, int64) {
	if r := s.rig; r.redis != nil {
		out, err := look.Run(context.Background(), r.redis, []string{r.key("held", key), r.key("reserved", key), r.key("spent", key)}).Int64Slice()
		if err != nil {
			return 0, 0
		}
		return out[0], out[1]
	}
	m := s.limiters[0].memory
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[nameOf(key)]
	if e == nil {
		return 0, 0
	}
	w := e.windows[slotOf(&key.Quota.Budgets[0])]
	return w.spent() + w.reserved, e.streams
}

func (s *storm) run(t *testing.T, clients int) {
	done := make(chan struct{})
	var group, watcher sync.WaitGroup
	watcher.Go(func() { s.watch(done) })
	for i := range clients {
		group.Go(func() { s.client(t, uint64(i)) })
	}
	group.Wait()
	close(done)
	watcher.Wait()
	t.Logf("admitted %d, refused %d, unavailable %d, extended %d, aborted %d",
		s.admitted.Load(), s.refused.Load(), s.unavailable.Load(), s.extended.Load(), s.aborted.Load())
}

func (s *storm) requireBooks(t *testing.T) {
	t.Helper()
	s.rig.idle(t, s.limiters...)
	require.Zero(t, s.crossed.Load(), "a hard budget was crossed")
	require.Zero(t, s.unleashed.Load(), "too many streams")
	var sum int64
	for i := range s.keys {
		require.LessOrEqual(t, s.settled[i].Load(), s.budget)
		s.rig.requireSpent(t, s.settled[i].Load(), s.limiters[0], s.keys[i], s.keys[i].Quota.Budgets[0])
		s.rig.requireSpent(t, s.settled[i].Load(), s.limiters[0], s.keys[i], s.keys[i].Quota.Budgets[1])
		sum += s.settled[i].Load()
	}
	s.rig.requireSpent(t, sum, s.limiters[0], s.others[1], s.others[1].Quota.Budgets[0])
}

func TestAStormLeavesNothingHeldAndEverythingCounted(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		limiters := []*Limiter{r.limiter(t)}
		n := setting(t, "SLUICE_LIMITS_REQUESTS", 100_000)
		if r.redis != nil {
			n = setting(t, "SLUICE_LIMITS_REQUESTS", 5_000)
			limiters = append(limiters, r.limiter(t), r.limiter(t))
		}
		t.Run("budgets that run out", func(t *testing.T) {
			s := newStorm(r, limiters, int64(n)*10, n)
			s.run(t, 32)
			s.requireBooks(t)
		})
		t.Run("budgets with room", func(t *testing.T) {
			s := newStorm(r, limiters, 1<<40, n)
			s.run(t, 16)
			s.requireBooks(t)
			require.Positive(t, s.aborted.Load())
			require.Positive(t, s.extended.Load())
		})
	})
}
