package limits

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBudgetsBeginAnewWithTheirPeriod(t *testing.T) {
	clock := clockAt("2026-11-29T23:59:59Z")
	l := (&rig{}).limiter(t, clock.option)
	day := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 10, Per: Day, Hard: true}}})
	month := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 10, Per: Month, Hard: true}}})
	whole := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 10, Per: Total, Hard: true}}})
	for _, s := range []Subject{day, month, whole} {
		must(t, l, ask(tokens(10), s)).Settle(tokens(10))
	}
	require.Equal(t, time.Second, refuse(t, l, ask(tokens(1), day)).RetryAfter)
	require.Equal(t, 24*time.Hour+time.Second, refuse(t, l, ask(tokens(1), month)).RetryAfter)
	require.Zero(t, refuse(t, l, ask(tokens(1), whole)).RetryAfter)
	clock.move(time.Second)
	must(t, l, ask(tokens(1), day))
	refuse(t, l, ask(tokens(1), month))
	clock.move(24 * time.Hour)
	must(t, l, ask(tokens(1), month))
	refuse(t, l, ask(tokens(1), whole))
}

func TestAnExchangeBelongsToTheWindowInWhichItBegan(t *testing.T) {
	clock := clockAt("2026-11-21T23:59:00Z")
	l := (&rig{}).limiter(t, clock.option)
	s := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true}}})
	old := must(t, l, ask(tokens(90), s))
	clock.move(time.Hour)
	must(t, l, ask(tokens(100), s)).Settle(tokens(40))
	require.NoError(t, old.Extend(context.Background(), tokens(100)))
	requireRefused(t, old.Extend(context.Background(), tokens(101)))
	old.Settle(tokens(100))
	must(t, l, ask(tokens(60), s))
	refuse(t, l, ask(tokens(1), s))
}

// row D5
func TestWindowsDoNotGoBackWithTheClock(t *testing.T) {
	clock := clockAt("2026-11-22T00:30:00Z")
	var mu sync.Mutex
	asked := map[string]time.Time{}
	l := (&rig{}).limiter(t, clock.option, func(o *Options) {
		o.Seed = func(_ context.Context, _ Subject, _ Budget, window string, since time.Time) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[window] = since
			return 0, nil
		}
	})
	s := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day, Hard: true}, {Unit: Tokens, Amount: 1000, Per: Total}}})
	must(t, l, ask(tokens(60), s)).Settle(tokens(60))
	clock.move(-time.Hour)
	refuse(t, l, ask(tokens(60), s))
	must(t, l, ask(tokens(40), s)).Settle(tokens(40))
	clock.move(time.Hour)
	refuse(t, l, ask(tokens(1), s))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[string]time.Time{"2026-11-22": time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), "total": {}}, asked)
}

func TestWindowsOfSlots(t *testing.T) {
	for _, unit := range []Unit{NanoUSD, Tokens} {
		for per, want := range map[Period]string{Day: "2026-11-21", Month: "2026-11", Total: "total"} {
			s := slotOf(&Budget{Unit: unit, Per: per})
			require.Equal(t, unit, s.unit())
			require.Equal(t, want, s.window("2026-11-21"))
			require.Equal(t, want, s.window(s.window("2026-11-21")))
		}
	}
	require.Equal(t, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), slotOf(&Budget{Per: Month}).since("2026-11"))
	require.True(t, slotOf(&Budget{Per: Total}).since("total").IsZero())
}
