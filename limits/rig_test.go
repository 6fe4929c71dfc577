package limits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// soon bounds every wait of a test.
const soon = 20 * time.Second

var names atomic.Int64

// fresh returns a name that no test has used.
func fresh() string { return fmt.Sprintf("n%d", names.Add(1)) }

// rig makes limiters of one engine that count together.
type rig struct {
	redis     redis.UniversalClient // nil in memory
	namespace string
}

// both runs a test with counters in memory and in Redis.
func both(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("memory", func(t *testing.T) { test(t, &rig{}) })
	t.Run("redis", func(t *testing.T) { test(t, redisRig(t, commonRedis(t))) })
}

func redisRig(tb testing.TB, server *servers.Redis) *rig {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	tb.Cleanup(func() { require.NoError(tb, client.Close()) })
	return &rig{redis: client, namespace: fresh()}
}

// limiter returns one that lives as long as the test. Calls may take long: the machine may.
func (r *rig) limiter(tb testing.TB, change ...func(*Options)) *Limiter {
	tb.Helper()
	o := Options{Redis: r.redis, Namespace: r.namespace, Timeout: 5 * time.Second}
	if testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	for _, c := range change {
		c(&o)
	}
	l := New(o)
	tb.Cleanup(l.Close)
	return l
}

// idle waits until a limiter holds nothing and the shared counters neither.
func (r *rig) idle(t *testing.T, limiters ...*Limiter) {
	t.Helper()
	for _, l := range limiters {
		require.Eventually(t, func() bool { return l.Held() == Held{} }, soon, time.Millisecond, "%+v", l.Held())
	}
	if r.redis == nil {
		for _, l := range limiters {
			requireNothingReserved(t, l)
		}
		return
	}
	require.Eventually(t, func() bool { return r.shared(t) == 0 }, soon, 5*time.Millisecond, "leases in Redis")
}

func requireNothingReserved(t *testing.T, l *Limiter) {
	t.Helper()
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	require.Empty(t, l.memory.live)
	for key, e := range l.memory.entries {
		require.Zero(t, e.streams, key)
		require.Zero(t, e.reservations, key)
		for _, w := range e.windows {
			require.True(t, w == nil || w.reserved == 0 && w.pending == 0, key)
		}
	}
}

// shared counts the leases, and what is reserved, of all in Redis.
func (r *rig) shared(t *testing.T) int64 {
	t.Helper()
	ctx := context.Background()
	var n int64
	keys, err := r.redis.Keys(ctx, "{"+r.namespace+"}:limits:*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		switch {
		case strings.Contains(key, ":held:"):
			n += r.redis.ZCard(ctx, key).Val()
		case strings.Contains(key, ":reserved:"):
			n += r.redis.HLen(ctx, key).Val()
		}
	}
	return n
}

// spent is what the deciding counters have for a subject of a rig.
func (r *rig) spent(t *testing.T, l *Limiter, s Subject, b Budget) int64 {
	t.Helper()
	if r.redis == nil {
		l.memory.mu.Lock()
		defer l.memory.mu.Unlock()
		e := l.memory.entries[nameOf(s)]
		if e == nil || e.windows[slotOf(&b)] == nil {
			return 0
		}
		return e.windows[slotOf(&b)].spent()
	}
	unit := "u:"
	if b.Unit == Tokens {
		unit = "t:"
	}
	window := slotOf(&b).window(time.Now().UTC().Format(time.DateOnly))
	n, err := r.redis.HGet(context.Background(), r.key("spent", s), "s:"+unit+window).Int64()
	if !errors.Is(err, redis.Nil) {
		require.NoError(t, err)
	}
	return n
}

func (r *rig) key(what string, s Subject) string {
	return fmt.Sprintf("{%s}:limits:%s:%s:%s", r.namespace, what, s.Kind, s.Name)
}

func (r *rig) requireSpent(t *testing.T, want int64, l *Limiter, s Subject, b Budget) {
	t.Helper()
	require.Eventually(t, func() bool { return r.spent(t, l, s, b) == want }, soon, time.Millisecond,
		"spent %d, want %d", r.spent(t, l, s, b), want)
}

func subject(kind Kind, q Quota) Subject { return Subject{Kind: kind, Name: fresh(), Quota: &q} }

func tokens(n int64) Amount { return Amount{Tokens: n} }

func ask(reserve Amount, subjects ...Subject) Ask {
	return Ask{ID: fresh(), Subjects: subjects, Reserve: reserve}
}

func must(t *testing.T, l *Limiter, a Ask) *Reservation {
	t.Helper()
	r, err := l.Reserve(context.Background(), a)
	require.NoError(t, err)
	return r
}

func refuse(t *testing.T, l *Limiter, a Ask) Refused {
	t.Helper()
	r, err := l.Reserve(context.Background(), a)
	require.Nil(t, r)
	return requireRefused(t, err)
}

func requireRefused(t *testing.T, err error) Refused {
	t.Helper()
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	return *refused
}

func requireUnavailable(t *testing.T, err error) Unavailable {
	t.Helper()
	var out *Unavailable
	require.ErrorAs(t, err, &out)
	return *out
}

// fakeClock is a clock that a test moves.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func clockAt(text string) *fakeClock {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return &fakeClock{now: at}
}

func (c *fakeClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) option(o *Options) { o.Now = c.time }
