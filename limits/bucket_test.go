package limits

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestABucketRefillsExactly(t *testing.T) {
	clock := clockAt("2026-11-21T10:00:00Z")
	l := (&rig{}).limiter(t, clock.option)
	for _, limit := range []int64{1, 3, 7, 60, 1000} {
		s := subject(Key, Quota{RequestsPerMinute: limit})
		for range limit {
			must(t, l, ask(Amount{}, s))
		}
		for range 5 {
			refused := refuse(t, l, ask(Amount{}, s))
			clock.move(refused.RetryAfter - 3*time.Microsecond)
			refuse(t, l, ask(Amount{}, s))
			clock.move(2 * time.Microsecond)
			must(t, l, ask(Amount{}, s))
		}
		clock.move(time.Hour)
		for range limit {
			must(t, l, ask(Amount{}, s))
		}
		refuse(t, l, ask(Amount{}, s))
	}
}

func TestWhatCameBackByItselfIsNotGivenBackAgain(t *testing.T) {
	clock := clockAt("2026-11-21T10:00:00Z")
	l := (&rig{}).limiter(t, clock.option)
	s := subject(Key, Quota{TokensPerMinute: 1000})
	long := must(t, l, ask(tokens(1000), s))
	clock.move(time.Minute)
	must(t, l, ask(tokens(1000), s)) // the second minute's
	long.Settle(Amount{})
	refuse(t, l, ask(tokens(100), s))
	clock.move(30 * time.Second)
	half := must(t, l, ask(tokens(500), s))
	require.Zero(t, half.State().Tokens.Remaining)
	half.Settle(Amount{})
	require.Equal(t, int64(400), must(t, l, ask(tokens(100), s)).State().Tokens.Remaining)
}

// row D5
func TestAClockThatGoesBackStandsStill(t *testing.T) {
	clock := clockAt("2026-11-21T10:00:00Z")
	l := (&rig{}).limiter(t, clock.option)
	s := subject(Key, Quota{RequestsPerMinute: 60, TokensPerMinute: 60})
	for range 60 {
		must(t, l, ask(tokens(1), s))
	}
	clock.move(-time.Hour)
	require.Equal(t, time.Second, refuse(t, l, ask(tokens(1), s)).RetryAfter)
	clock.move(time.Second)
	must(t, l, ask(tokens(1), s))
	refuse(t, l, ask(tokens(1), s))
}

// use is what a window of time saw of a rate.
type use struct{ at, cost float64 }

// tryBucket plays reservations, by the bytes, against a bucket and checks that no span of
// time ever saw more really used than a minute's worth and what came back in the span.
func tryBucket(t *testing.T, steps []byte) {
	b := bucket{}
	var now float64
	type open struct {
		mark mark
		use  int
	}
	var running []open
	var used []use
	for len(steps) >= 3 {
		kind, x, y := steps[0], float64(steps[1]), float64(steps[2])
		steps = steps[3:]
		now += y * y * 500 // up to half a minute
		b.advance(now)
		if kind%3 != 0 && len(running) > 0 {
			i := int(kind) % len(running)
			one := running[i]
			running = append(running[:i], running[i+1:]...)
			really := one.mark.cost * x / 200
			b.settle(one.mark, really)
			used[one.use].cost = min(one.mark.cost, really)
			used = append(used, use{now, max(0, really-one.mark.cost)})
			continue
		}
		cost := x * minute / 200 // up to more than a minute's
		if b.wait(cost) > 0 {
			continue
		}
		if cost <= minute {
			requireBound(t, used, now, minute-cost)
		}
		running = append(running, open{b.take(cost), len(used)})
		used = append(used, use{now, cost})
	}
	require.GreaterOrEqual(t, b.level, 0.0)
}

func requireBound(t *testing.T, used []use, now, most float64) {
	t.Helper()
	sum := 0.0
	for i := len(used) - 1; i >= 0; i-- {
		sum += used[i].cost
		if span := now - used[i].at; sum > most+span+precision+0.1 {
			require.Failf(t, "too much", "%g of %g in %g microseconds", sum, most+span, span)
		}
	}
}

func TestNoSpanSeesMoreThanABucketAllows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		steps := make([]byte, 300)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		tryBucket(t, steps)
	}
}

func FuzzBucket(f *testing.F) {
	f.Add([]byte("\x00\xc8\x00\x00\x64\x10\x01\x00\x20\x00\xc8\xff"))
	f.Add([]byte("aaaaaaabbbbbbbbbcccccc\x00\xff\x00\x00\xff\x00"))
	f.Fuzz(func(t *testing.T, steps []byte) { tryBucket(t, steps) })
}
