package limits

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTwoProcessesCountTogether(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	a, b := r.limiter(t), r.limiter(t)
	budget := Budget{Unit: NanoUSD, Amount: 100, Per: Day, Hard: true}
	s := subject(Key, Quota{RequestsPerMinute: 3, Streams: 2, Budgets: []Budget{budget}})
	one := must(t, a, ask(Amount{NanoUSD: 50}, s))
	require.Equal(t, LimitBudget, refuse(t, b, ask(Amount{NanoUSD: 51}, s)).Limit)
	two := must(t, b, ask(Amount{NanoUSD: 50}, s))
	requireRefused(t, two.Extend(bg, Amount{NanoUSD: 51}))
	one.Settle(Amount{NanoUSD: 20})
	require.Eventually(t, func() bool { return two.Extend(bg, Amount{NanoUSD: 80}) == nil }, soon, time.Millisecond)
	three := must(t, a, ask(Amount{}, s))
	require.Equal(t, LimitRequests, refuse(t, b, ask(Amount{}, s)).Limit)
	two.Settle(Amount{NanoUSD: 70})
	three.Settle(Amount{})
	r.idle(t, a, b)
	r.requireSpent(t, 90, a, s, budget)
}

func TestADeadProcessLosesItsLeases(t *testing.T) {
	t.Parallel()
	r := redisRig(t, commonRedis(t))
	short := func(o *Options) { o.Lease = 1500 * time.Millisecond }
	dead, alive := r.limiter(t, short), r.limiter(t, short)
	s := subject(Key, Quota{Streams: 3, Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true}}})
	theirs := must(t, dead, ask(tokens(40), s))
	mine := must(t, alive, ask(tokens(40), s))
	refuse(t, alive, ask(tokens(40), s))
	dead.worker.frozen.Store(true)
	var third *Reservation
	require.Eventually(t, func() bool {
		var err error
		third, err = alive.Reserve(bg, ask(tokens(60), s))
		return err == nil
	}, soon, 5*time.Millisecond)
	require.Equal(t, LimitBudget, refuse(t, alive, ask(tokens(1), s)).Limit, "mine is renewed")
	mine.Settle(Amount{})
	third.Settle(Amount{})
	theirs.Settle(Amount{})
	r.idle(t, alive)
}

func TestALongStreamKeepsItsLease(t *testing.T) {
	t.Parallel()
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t, func(o *Options) { o.Lease = time.Second })
	s := subject(Key, Quota{Streams: 1})
	one := must(t, l, ask(Amount{}, s))
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); <-ticker.C {
		refuse(t, l, ask(Amount{}, s))
	}
	one.Settle(Amount{})
	r.idle(t, l)
}

func TestEverythingOfAnIdleSubjectVanishesFromRedis(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t)
	s := subject(Key, Quota{
		RequestsPerMinute: 1_000_000, TokensPerMinute: 1_000_000, Streams: 10,
		Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true}, {Unit: NanoUSD, Amount: 100, Per: Month}},
	})
	must(t, l, ask(tokens(10), s)).Settle(tokens(10))
	r.idle(t, l)
	require.Eventually(t, func() bool {
		keys, err := r.redis.Keys(bg, "{"+r.namespace+"}:*").Result()
		require.NoError(t, err)
		for _, key := range keys {
			if !strings.Contains(key, ":spent:") && !strings.Contains(key, ":batch:") {
				return false
			}
		}
		return true
	}, soon, 5*time.Millisecond)
	ttl, err := r.redis.TTL(bg, r.key("spent", s)).Result()
	require.NoError(t, err)
	require.InDelta(t, 70*24, ttl.Hours(), 1)

	whole := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Total}}})
	must(t, l, ask(tokens(10), whole)).Settle(tokens(10))
	r.idle(t, l)
	ttl, err = r.redis.TTL(bg, r.key("spent", whole)).Result()
	require.NoError(t, err)
	require.Negative(t, ttl, "a total budget never ends")
}

func TestWindowsInRedisDoNotGoBackWithItsClock(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t)
	b := Budget{Unit: Tokens, Amount: 100, Per: Day, Hard: true}
	s := subject(Key, Quota{Budgets: []Budget{b}})
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	require.NoError(t, r.redis.HSet(bg, r.key("spent", s), "day", tomorrow, "s:t:"+tomorrow, "60").Err())
	refuse(t, l, ask(tokens(41), s))
	must(t, l, ask(tokens(40), s)).Settle(tokens(40))
	r.idle(t, l)
	require.Equal(t, "100", r.redis.HGet(bg, r.key("spent", s), "s:t:"+tomorrow).Val())
}

func TestOldWindowsAreDroppedFromRedis(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t)
	s := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day}, {Unit: Tokens, Amount: 100, Per: Month}, {Unit: Tokens, Amount: 100, Per: Total}}})
	now := time.Now().UTC()
	yesterday := now.AddDate(0, 0, -1).Format(time.DateOnly)
	require.NoError(t, r.redis.HSet(bg, r.key("spent", s), "day", yesterday, "s:t:total", "7", "s:t:"+yesterday, "1",
		"s:t:2026-01-01", "2", "?:t:2026-01-01", "1", "s:u:2026-01", "3").Err())
	must(t, l, ask(tokens(1), s)).Settle(tokens(1))
	r.idle(t, l)
	got := r.redis.HGetAll(bg, r.key("spent", s)).Val()
	today := now.Format(time.DateOnly)
	require.Equal(t, map[string]string{
		"day": today, "s:t:total": "8", "s:t:" + yesterday: "1", "s:t:" + today: "1", "s:t:" + today[:7]: "1",
	}, got)
}

func TestABatchIsSettledOnce(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t)
	b := Budget{Unit: Tokens, Amount: 1000, Per: Day, Hard: true}
	s := subject(Key, Quota{TokensPerMinute: 1000, Streams: 1, Budgets: []Budget{b}})
	must(t, l, ask(tokens(100), s)).Settle(tokens(10))
	r.idle(t, l)
	q := newQueue(func() {})
	q.add(settlement{name: nameOf(s), counters: newPart(s).all, day: time.Now().UTC().Format(time.DateOnly), spent: tokens(7)})
	batch := q.take(1)
	for range 3 {
		_, err := l.shared.tell(bg, batch, "another")
		require.NoError(t, err)
	}
	r.requireSpent(t, 17, l, s, b)
}

func TestAQueueThatIsFullKeepsItsAmounts(t *testing.T) {
	dropped := 0
	q := newQueue(func() { dropped++ })
	n := name{Key, "a"}
	for range 3*mostSettlements + 5 {
		q.add(settlement{name: n, id: "x", counters: 1 << 3, day: "2026-11-21", spent: tokens(1)})
	}
	require.LessOrEqual(t, len(q.settlements), mostSettlements)
	sum := int64(0)
	for number := int64(1); ; number++ {
		b := q.take(number)
		if b == nil {
			break
		}
		for _, share := range b.subjects {
			for _, amount := range share.sums {
				sum += amount
			}
		}
	}
	require.Equal(t, int64(3*mostSettlements+5), sum)
	require.Zero(t, dropped)
	require.Zero(t, q.len())
}

func TestWhenRedisLosesItsDataWhatWasKnownComesBack(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	var spent atomic.Int64
	l := r.limiter(t, func(o *Options) {
		o.Lease = 3 * time.Second
		o.Seed = func(context.Context, Subject, Budget, string, time.Time) (int64, error) { return spent.Load(), nil }
	})
	b := Budget{Unit: Tokens, Amount: 100, Per: Month, Hard: true}
	s := subject(Key, Quota{Streams: 2, Budgets: []Budget{b}})
	must(t, l, ask(tokens(30), s)).Settle(tokens(30))
	r.requireSpent(t, 30, l, s, b)
	running := must(t, l, ask(tokens(50), s))
	r.flush(t)
	require.Equal(t, LimitBudget, refuse(t, l, ask(tokens(21), s)).Limit, "30 are spent and 50 reserved")
	require.NoError(t, running.Extend(bg, tokens(70)))
	r.flush(t)
	running.Settle(tokens(60))
	spent.Store(90) // the books have both
	refuse(t, l, ask(tokens(11), s))
	r.requireSpent(t, 90, l, s, b)
	r.idle(t, l)
}

// flush drops what the rig has in Redis, and the scripts.
func (r *rig) flush(t *testing.T) {
	t.Helper()
	keys, err := r.redis.Keys(bg, "{"+r.namespace+"}:*").Result()
	require.NoError(t, err)
	if len(keys) > 0 {
		require.NoError(t, r.redis.Del(bg, keys...).Err())
	}
	require.NoError(t, r.redis.ScriptFlush(bg).Err())
}

func TestLeasesAreTakenAgainAfterALoss(t *testing.T) {
	r := redisRig(t, commonRedis(t))
	l := r.limiter(t)
	s := subject(Key, Quota{Streams: 2})
	one := must(t, l, ask(Amount{}, s))
	other := subject(Key, Quota{TokensPerMinute: 10_000})
	must(t, l, ask(tokens(1), other)).Settle(tokens(1))
	r.idleQueue(t, l)
	r.flush(t)
	require.Eventually(t, func() bool { // the next settlements show the loss
		must(t, l, ask(tokens(1), other)).Settle(tokens(1))
		return r.redis.ZCard(bg, r.key("held", s)).Val() == 1
	}, soon, 5*time.Millisecond)
	one.Settle(Amount{})
	r.idle(t, l)
}

func (r *rig) idleQueue(t *testing.T, l *Limiter) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Held().Queued == 0 }, soon, time.Millisecond)
}

func TestScriptsRefuseToReadNonsense(t *testing.T) {
	for _, values := range [][]any{
		nil,
		{"x"},
		{int64(1)},
		{int64(1), "2026-11-21", 7},
		{int64(0), int64(9), int64(1), int64(1), "5"},
		{int64(2), int64(1), int64(9), "2026-11-21"},
		{int64(0), int64(1), int64(4), int64(7), "5", "1", "1"},
	} {
		l := (&rig{}).limiter(t)
		r := newReservation(l, ask(tokens(1), subject(Key, Quota{TokensPerMinute: 5, Budgets: []Budget{{Per: Day, Amount: 5}}})), 1)
		_, err := r.read(&reply{values: values}, l.memory)
		require.ErrorIs(t, err, errReply, "%v", values)
	}
	require.False(t, errors.Is(errReply, errDown))
}
