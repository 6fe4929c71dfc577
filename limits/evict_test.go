package limits

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func entries(l *Limiter) int {
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	return len(l.memory.entries)
}

func TestIdleSubjectsAreForgotten(t *testing.T) {
	clock := clockAt("2026-11-21T10:00:00Z")
	l := (&rig{}).limiter(t, clock.option)
	q := &Quota{RequestsPerMinute: 10, TokensPerMinute: 1000, Streams: 5, Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Day}}}
	var last *Reservation
	for i := range 100_000 {
		r, err := l.Reserve(context.Background(), Ask{ID: "a", Subjects: []Subject{{Kind: Key, Name: strconv.Itoa(i), Quota: q}}, Reserve: tokens(10)})
		if err != nil {
			t.Fatal(err)
		}
		if i == 99_999 {
			last = r
			break
		}
		r.Settle(tokens(int64(i % 2)))
	}
	l.memory.evict()
	require.Equal(t, 100_000, entries(l), "their buckets are not full")
	clock.move(time.Minute)
	l.memory.evict()
	require.Equal(t, 50_000, entries(l), "those that have spent something, and one that runs")
	clock.move(24 * time.Hour)
	l.memory.evict()
	require.Equal(t, 1, entries(l))
	last.Settle(tokens(1000))
	clock.move(59 * time.Second)
	l.memory.evict()
	require.Equal(t, 1, entries(l), "a debt is not forgotten")
	clock.move(time.Second)
	l.memory.evict()
	require.Zero(t, entries(l))
}

func TestWhatTheBooksKnowIsForgottenAfterAWhileAndAskedAgain(t *testing.T) {
	clock := clockAt("2026-11-21T10:00:00Z")
	spent := int64(0)
	l := (&rig{}).limiter(t, clock.option, func(o *Options) {
		o.Seed = func(context.Context, Subject, Budget, string, time.Time) (int64, error) { return spent, nil }
	})
	s := subject(Key, Quota{Budgets: []Budget{{Unit: Tokens, Amount: 100, Per: Total, Hard: true}}})
	must(t, l, ask(tokens(60), s)).Settle(tokens(60))
	clock.move(59 * time.Minute)
	l.memory.evict()
	require.Equal(t, 1, entries(l))
	clock.move(2 * time.Minute)
	l.memory.evict()
	require.Zero(t, entries(l))
	spent = 60
	refuse(t, l, ask(tokens(41), s))
	must(t, l, ask(tokens(40), s))
}
