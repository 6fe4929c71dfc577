package limits

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var bg = context.Background()

func TestWhatIsReservedCountsAgainstAHardBudget(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: NanoUSD, Amount: 100, Per: Month, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b}})
		one := must(t, l, ask(Amount{NanoUSD: 60}, s))
		require.True(t, one.Bounded())
		refused := refuse(t, l, ask(Amount{NanoUSD: 41}, s))
		require.Equal(t, LimitBudget, refused.Limit)
		require.Equal(t, b, *refused.Budget)
		require.Equal(t, time.Second, refused.RetryAfter, "what is reserved may come back")
		two := must(t, l, ask(Amount{NanoUSD: 40}, s))
		one.Settle(Amount{NanoUSD: 10})
		two.Settle(Amount{NanoUSD: 40})
		r.idle(t, l)
		r.requireSpent(t, 50, l, s, b)
		must(t, l, ask(Amount{NanoUSD: 50}, s)).Settle(Amount{NanoUSD: 50})
		r.idle(t, l)
		refused = refuse(t, l, ask(Amount{}, s))
		require.Greater(t, refused.RetryAfter, time.Second)
		require.LessOrEqual(t, refused.RetryAfter, 31*24*time.Hour)
	})
}

func TestABudgetThatIsNotHardIsSpentBeforeItRefuses(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 100, Per: Day}
		s := subject(Key, Quota{Budgets: []Budget{b}})
		one, two := must(t, l, ask(tokens(500), s)), must(t, l, ask(tokens(500), s))
		require.False(t, one.Bounded())
		require.NoError(t, one.Extend(bg, tokens(9000)))
		require.Equal(t, tokens(9000), one.Allowance())
		one.Settle(tokens(99))
		r.requireSpent(t, 99, l, s, b)
		must(t, l, ask(tokens(500), s)).Settle(tokens(1))
		two.Settle(Amount{})
		r.requireSpent(t, 100, l, s, b)
		refused := refuse(t, l, ask(Amount{}, s))
		require.Equal(t, LimitBudget, refused.Limit)
		require.LessOrEqual(t, refused.RetryAfter, 24*time.Hour)
		r.idle(t, l)
	})
}

func TestATotalBudgetThatIsSpentHasNothingToWaitFor(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 100, Per: Total, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b}})
		require.Zero(t, refuse(t, l, ask(tokens(101), s)).RetryAfter, "never fits")
		must(t, l, ask(tokens(100), s)).Settle(tokens(100))
		r.requireSpent(t, 100, l, s, b)
		require.Zero(t, refuse(t, l, ask(tokens(1), s)).RetryAfter)
	})
}

func TestARunningStreamAsksAHardBudgetForMore(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 100, Per: Total, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b, {Unit: NanoUSD, Amount: 1, Per: Day}}})
		free := subject(Model, Quota{TokensPerMinute: 1_000_000})
		one, two := must(t, l, ask(tokens(10), s, free)), must(t, l, ask(tokens(10), s, free))
		require.NoError(t, one.Extend(bg, tokens(50)))
		require.Equal(t, tokens(50), one.Allowance())
		require.NoError(t, one.Extend(bg, tokens(20)), "less than it has")
		require.Equal(t, tokens(50), one.Allowance())
		require.NoError(t, two.Extend(bg, tokens(50)))
		refused := requireRefused(t, two.Extend(bg, Amount{Tokens: 51, NanoUSD: 900}))
		require.Equal(t, b, *refused.Budget)
		require.Equal(t, tokens(50), two.Allowance(), "all or nothing")
		require.NoError(t, two.Extend(bg, Amount{Tokens: 50, NanoUSD: 900}), "a budget that is not hard")
		require.Equal(t, Amount{Tokens: 100, NanoUSD: 900}, l.Held().Reserved)
		one.Settle(tokens(30))
		require.Eventually(t, func() bool { return two.Extend(bg, tokens(70)) == nil }, soon, time.Millisecond)
		two.Settle(tokens(70))
		r.idle(t, l)
		r.requireSpent(t, 100, l, s, b)
	})
}

func TestBudgetsOfOneCounterBoundItTogether(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		soft, hard := Budget{Unit: Tokens, Amount: 50, Per: Day}, Budget{Unit: Tokens, Amount: 100, Per: Day, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{soft, hard}})
		one := must(t, l, ask(tokens(90), s))
		require.Equal(t, hard, *refuse(t, l, ask(tokens(20), s)).Budget)
		one.Settle(tokens(60))
		r.requireSpent(t, 60, l, s, hard)
		require.Equal(t, soft, *refuse(t, l, ask(tokens(20), s)).Budget)
	})
}

func TestSpendingBeforeTheStartIsAskedOfTheBooksOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		s := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Month, Hard: true}}})
		var calls atomic.Int64
		l := r.limiter(t, func(o *Options) {
			o.Seed = func(_ context.Context, got Subject, b Budget, window string, since time.Time) (int64, error) {
				calls.Add(1)
				now := time.Now().UTC()
				if got.Name != s.Name || b.Per != Month || window != now.Format("2006-01") || since.Month() != now.Month() || since.Day() != 1 {
					return 0, errors.New("asked for something else")
				}
				return 90, nil
			}
		})
		var group sync.WaitGroup
		var admitted atomic.Int64
		for range 20 {
			group.Go(func() {
				one, err := l.Reserve(bg, ask(tokens(1), s))
				if err == nil {
					admitted.Add(1)
					one.Settle(tokens(1))
				}
			})
		}
		group.Wait()
		r.idle(t, l)
		r.requireSpent(t, 90+admitted.Load(), l, s, s.Quota.Budgets[0])
		require.LessOrEqual(t, admitted.Load(), int64(10))
		require.Positive(t, admitted.Load())
		require.Equal(t, int64(1), calls.Load())
	})
}

func TestWithoutTheBooksAClosedBudgetRefusesAndAnOpenOneStartsAtZero(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		var broken atomic.Bool
		broken.Store(true)
		l := r.limiter(t, func(o *Options) {
			o.Seed = func(context.Context, Subject, Budget, string, time.Time) (int64, error) {
				if broken.Load() {
					return 0, errors.New("the disk of db-7 is gone")
				}
				return 95, nil
			}
		})
		hard := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Total, Hard: true}}})
		_, err := l.Reserve(bg, ask(tokens(10), hard))
		unavailable := requireUnavailable(t, err)
		require.Positive(t, unavailable.RetryAfter)
		require.NotContains(t, err.Error(), "db-7")
		require.NotContains(t, err.Error(), hard.Name)
		open := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Total, Hard: true, Fail: Open}}})
		must(t, l, ask(tokens(50), open)).Settle(tokens(10))
		broken.Store(false)
		for _, s := range []Subject{hard, open} {
			require.Eventually(t, func() bool {
				_, err := l.Reserve(bg, ask(tokens(10), s))
				var refused *Refused
				return errors.As(err, &refused) && refused.Limit == LimitBudget
			}, soon, 20*time.Millisecond, "the books say 95")
			must(t, l, ask(tokens(5), s)).Settle(Amount{})
		}
		r.idle(t, l)
	})
}

func TestWhatADeadProcessLeftIsCharged(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: NanoUSD, Amount: 100, Per: Total, Hard: true}
		day := Budget{Unit: NanoUSD, Amount: 1000, Per: Day, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b, day}})
		must(t, l, ask(Amount{NanoUSD: 10}, s)).Settle(Amount{NanoUSD: 10})
		r.requireSpent(t, 10, l, s, b)
		l.Charge([]Subject{s, subject(Model, Quota{Streams: 1}), {Kind: Provider}}, Amount{NanoUSD: 50}, time.Now())
		l.Charge([]Subject{s}, Amount{NanoUSD: 20}, time.Now().AddDate(0, 0, -40))
		r.requireSpent(t, 80, l, s, b)
		r.requireSpent(t, 60, l, s, day)
		require.Equal(t, b, *refuse(t, l, ask(Amount{NanoUSD: 30}, s)).Budget)
		r.idle(t, l)
	})
}

func TestAnAbandonedStreamPaysItsEstimate(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 1000, Per: Day, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b}})
		for i := int64(1); i <= 10; i++ {
			must(t, l, ask(tokens(100), s)).Settle(tokens(100))
			r.requireSpent(t, 100*i, l, s, b)
		}
		refuse(t, l, ask(tokens(1), s))
	})
}

func TestUsingMoreThanAllowedIsCharged(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 100, Per: Day, Hard: true}
		s := subject(Key, Quota{Budgets: []Budget{b}})
		must(t, l, ask(tokens(10), s)).Settle(tokens(250))
		r.requireSpent(t, 250, l, s, b)
		refuse(t, l, ask(Amount{}, s))
		r.idle(t, l)
	})
}
