package limits

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// quick gives up soon, as the tests of outages want.
func quick(o *Options) { o.Timeout, o.Lease = 200*time.Millisecond, 3*time.Second }

// outages are the ways in which Redis goes, and comes back.
var outages = map[string]struct {
	begin, end func(t *testing.T, s *servers.Redis)
}{
	"killed":  {func(_ *testing.T, s *servers.Redis) { s.Kill() }, func(t *testing.T, s *servers.Redis) { s.Start(t) }},
	"stalled": {func(_ *testing.T, s *servers.Redis) { s.Stall() }, func(_ *testing.T, s *servers.Redis) { s.Resume() }},
}

func eachOutage(t *testing.T, test func(t *testing.T, r *rig, begin, end func())) {
	for name, o := range outages {
		t.Run(name, func(t *testing.T) {
			server := servers.StartRedis(t)
			r := redisRig(t, server)
			test(t, r, func() { o.begin(t, server) }, func() { o.end(t, server) })
		})
	}
}

func TestOpenLimitsAreCountedHereWhileRedisIsDown(t *testing.T) {
	eachOutage(t, func(t *testing.T, r *rig, begin, end func()) {
		l := r.limiter(t, quick)
		b := Budget{Unit: Tokens, Amount: 100, Per: Day}
		s := subject(Key, Quota{RequestsPerMinute: 6, Streams: 2, Budgets: []Budget{b}})
		one := must(t, l, ask(tokens(10), s))
		begin()
		two := must(t, l, ask(tokens(10), s))
		require.False(t, l.shared.up.Load())
		require.Equal(t, LimitStreams, refuse(t, l, ask(tokens(10), s)).Limit, "one runs since before")
		one.Settle(tokens(60))
		two.Settle(tokens(30))
		require.Positive(t, l.Held().Queued)
		must(t, l, ask(tokens(10), s)).Settle(tokens(10))
		refused := refuse(t, l, ask(tokens(1), s))
		require.Equal(t, LimitBudget, refused.Limit, "what was spent before and since")
		require.Equal(t, int64(3), refused.State.Requests.Remaining)
		end()
		require.Eventually(t, func() bool { return l.shared.up.Load() }, soon, time.Millisecond)
		r.idle(t, l)
		r.requireSpent(t, 100, l, s, b)
		require.Equal(t, LimitBudget, refuse(t, l, ask(tokens(1), s)).Limit)
	})
}

// row D4
func TestClosedLimitsRefuseWhileRedisIsDown(t *testing.T) {
	eachOutage(t, func(t *testing.T, r *rig, begin, end func()) {
		l := r.limiter(t, quick)
		b := Budget{Unit: Tokens, Amount: 100, Per: Day, Hard: true}
		hard, closed := subject(Key, Quota{Budgets: []Budget{b}}), subject(Model, Quota{Streams: 5, Fail: Closed})
		openly := subject(Key, Quota{Fail: Closed, Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true, Fail: Open}}})
		one, two := must(t, l, ask(tokens(40), hard)), must(t, l, ask(tokens(10), openly))
		begin()
		for _, s := range []Subject{hard, closed} {
			_, err := l.Reserve(bg, ask(tokens(1), subject(Provider, Quota{Streams: 9}), s))
			out := requireUnavailable(t, err)
			require.Equal(t, s.Kind, out.Subject.Kind)
			require.Equal(t, time.Second, out.RetryAfter)
		}
		requireUnavailable(t, one.Extend(bg, tokens(50)))
		require.Equal(t, tokens(40), one.Allowance(), "what it has may still be used")
		require.NoError(t, two.Extend(bg, tokens(60)))
		requireRefused(t, two.Extend(bg, tokens(101)))
		end()
		require.Eventually(t, func() bool { return one.Extend(bg, tokens(50)) == nil }, soon, 5*time.Millisecond)
		one.Settle(tokens(50))
		require.Equal(t, LimitBudget, refuse(t, l, ask(tokens(41), openly)).Limit, "Redis learnt of the 60")
		two.Settle(tokens(55))
		r.idle(t, l)
		r.requireSpent(t, 50, l, hard, b)
		r.requireSpent(t, 55, l, openly, b)
	})
}

func TestWhatBeganDuringAnOutageIsLeasedAfterIt(t *testing.T) {
	eachOutage(t, func(t *testing.T, r *rig, begin, end func()) {
		l := r.limiter(t, quick)
		s := subject(Key, Quota{Streams: 2, Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true, Fail: Open}}})
		begin()
		one := must(t, l, ask(tokens(60), s))
		end()
		require.Eventually(t, func() bool { return l.shared.up.Load() }, soon, time.Millisecond)
		require.Equal(t, int64(1), r.redis.ZCard(bg, r.key("held", s)).Val())
		other := r.limiter(t)
		require.Equal(t, LimitBudget, refuse(t, other, ask(tokens(41), s)).Limit)
		one.Settle(tokens(1))
		r.idle(t, l, other)
	})
}

// row D4
func TestRequestsDoNotWaitForARedisThatIsKnownToBeDown(t *testing.T) {
	server := servers.StartRedis(t)
	r := redisRig(t, server)
	l := r.limiter(t, quick)
	s := subject(Key, Quota{Streams: 1000})
	must(t, l, ask(Amount{}, s)).Settle(Amount{})
	server.Stall()
	defer server.Resume()
	must(t, l, ask(Amount{}, s)).Settle(Amount{})
	begin := time.Now()
	for range 10_000 {
		must(t, l, ask(Amount{}, s)).Settle(Amount{})
	}
	require.Less(t, time.Since(begin), soon, "10000 waits would take half an hour")
}

func TestTheOutageOfSettlementsIsBounded(t *testing.T) {
	server := servers.StartRedis(t)
	r := redisRig(t, server)
	l := r.limiter(t, quick)
	b := Budget{Unit: Tokens, Amount: 1 << 40, Per: Day}
	subjects := make([]Subject, 50)
	for i := range subjects {
		subjects[i] = Subject{Kind: Key, Name: fmt.Sprint(i), Quota: &Quota{Streams: 1000, Budgets: []Budget{b}}}
		must(t, l, ask(Amount{}, subjects[i])).Settle(Amount{})
	}
	r.idle(t, l)
	server.Stall()
	const n = 3 * mostSettlements
	for i := range n {
		must(t, l, ask(Amount{}, subjects[i%50])).Settle(tokens(1))
	}
	require.LessOrEqual(t, l.Held().Queued, int64(mostSettlements+len(subjects)+batchSize))
	server.Resume()
	r.idle(t, l)
	for _, s := range subjects {
		r.requireSpent(t, n/50, l, s, b)
	}
}
