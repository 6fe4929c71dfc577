package balance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

func enter(t *testing.T, target *balance.Target, owner string) *balance.Turn {
	t.Helper()
	turn, err := target.Enter(context.Background(), owner)
	require.NoError(t, err)
	return turn
}

// callers enter a target one after the other, and tell in which order they got their turns.
type callers struct {
	target *balance.Target
	served chan string
	turns  chan *balance.Turn
}

func newCallers(target *balance.Target) *callers {
	return &callers{target: target, served: make(chan string, 100), turns: make(chan *balance.Turn, 100)}
}

// queue makes a caller wait. It must run in a bubble.
func (c *callers) queue(owner, name string) {
	go func() {
		turn, err := c.target.Enter(context.Background(), owner)
		if err != nil {
			name = err.Error()
		}
		c.served <- name
		c.turns <- turn
	}()
	synctest.Wait()
}

// drain lets everybody have a turn, one at a time.
func (c *callers) drain(n int) []string {
	var order []string
	for range n {
		order = append(order, <-c.served)
		(<-c.turns).Leave(balance.Good)
	}
	return order
}

func TestWaitersOfOneOwnerAreServedInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 10})
		first := enter(t, target, "a")
		c := newCallers(target)
		for i := range 5 {
			c.queue("a", fmt.Sprint(i))
		}
		require.Equal(t, 5, target.State().Queued)
		first.Leave(balance.Good)
		require.Equal(t, []string{"0", "1", "2", "3", "4"}, c.drain(5))
		require.Zero(t, target.State().Queued)
	})
}

func TestOwnersThatWaitHaveTheirTurnsOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 20})
		first := enter(t, target, "a")
		c := newCallers(target)
		for _, name := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "c1"} {
			c.queue(name[:1], name)
		}
		first.Leave(balance.Good)
		require.Equal(t, []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}, c.drain(7))
	})
}

func TestAnOwnerThatComesBackWaitsBehindTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 20})
		first := enter(t, target, "a")
		c := newCallers(target)
		c.queue("a", "a1")
		c.queue("b", "b1")
		c.queue("c", "c1")
		first.Leave(balance.Good)
		require.Equal(t, "a1", <-c.served)
		c.queue("a", "a2")
		(<-c.turns).Leave(balance.Good)
		require.Equal(t, []string{"b1", "c1", "a2"}, c.drain(3))
	})
}

func TestNobodyGoesBeforeThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 5})
		first := enter(t, target, "a")
		c := newCallers(target)
		c.queue("a", "a1")
		first.Leave(balance.Good)
		_, ok := target.TryEnter()
		require.False(t, ok)
		c.drain(1)
		turn, ok := target.TryEnter()
		require.True(t, ok)
		turn.Leave(balance.Good)
	})
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 1, QueueWait: time.Hour})
		first := enter(t, target, "a")
		c := newCallers(target)
		c.queue("a", "a1")
		_, err := target.Enter(context.Background(), "b")
		var busy *balance.Busy
		require.ErrorAs(t, err, &busy)
		require.Equal(t, time.Second, busy.RetryAfter)
		first.Leave(balance.Good)
		c.drain(1)
	})
}

func TestWithoutAQueueNobodyWaits(t *testing.T) {
	target := balance.NewTarget(balance.Options{MaxConcurrent: 1})
	turn := enter(t, target, "a")
	_, err := target.Enter(context.Background(), "a")
	var busy *balance.Busy
	require.ErrorAs(t, err, &busy)
	turn.Leave(balance.Good)
	enter(t, target, "a").Leave(balance.Good)
}

func TestAWaitEndsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 5, QueueWait: 3 * time.Second})
		turn := enter(t, target, "a")
		began := time.Now()
		_, err := target.Enter(context.Background(), "a")
		var busy *balance.Busy
		require.ErrorAs(t, err, &busy)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Zero(t, target.State().Queued)
		turn.Leave(balance.Good)
		require.Zero(t, target.State().Running)
	})
}

// row A2
func TestACallerThatLeavesTheQueueTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 5, QueueWait: time.Hour})
		turn := enter(t, target, "a")
		ctx, leave := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() {
			_, err := target.Enter(ctx, "b")
			ended <- err
		}()
		synctest.Wait()
		require.Equal(t, 1, target.State().Queued)
		leave()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Zero(t, target.State().Queued)
		turn.Leave(balance.Good)
		require.Zero(t, target.State().Running)
	})
}

// Whether the caller still sees its turn or its end first is open.
func TestATurnGivenToACallerThatLeavesIsNotLost(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 5})
			turn := enter(t, target, "a")
			ctx, leave := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() {
				turn, err := target.Enter(ctx, "b")
				turn.Leave(balance.Neutral)
				ended <- err
			}()
			synctest.Wait()
			c := newCallers(target)
			c.queue("c", "c1")
			turn.Leave(balance.Good) // gives it to b
			leave()
			if err := <-ended; err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Equal(t, []string{"c1"}, c.drain(1))
			require.Zero(t, target.State().Running)
		})
	}
}

func TestAnEndedContextTakesNoTurn(t *testing.T) {
	target := balance.NewTarget(balance.Options{MaxConcurrent: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := target.Enter(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, target.State().Running)
}

// The turns take ten seconds each, so the second in the queue waits for twenty.
func TestAWaitThatCannotEndInTimeIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 50, QueueWait: time.Hour})
		for range 10 {
			turn := enter(t, target, "a")
			pause(10 * time.Second)
			turn.Leave(balance.Good)
		}
		turn := enter(t, target, "a")
		c := newCallers(target)
		c.queue("a", "a1")
		began := time.Now()

		short, cancel := context.WithTimeout(context.Background(), 9*time.Second)
		defer cancel()
		_, err := target.Enter(short, "a")
		var busy *balance.Busy
		require.ErrorAs(t, err, &busy)
		require.Equal(t, 20*time.Second, busy.RetryAfter)
		require.Zero(t, time.Since(began))

		// Only about right is not enough to refuse.
		longer, cancel := context.WithTimeout(context.Background(), 11*time.Second)
		defer cancel()
		_, err = target.Enter(longer, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)

		turn.Leave(balance.Good)
		c.drain(1)
	})
}

func TestTheManyWaitersOfAnotherOwnerDoNotMakeAWaitHopeless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(balance.Options{MaxConcurrent: 1, QueueMax: 50, QueueWait: 30 * time.Second})
		for range 10 {
			turn := enter(t, target, "a")
			pause(10 * time.Second)
			turn.Leave(balance.Good)
		}
		turn := enter(t, target, "a")
		c := newCallers(target)
		for range 6 {
			c.queue("a", "a")
		}
		_, err := target.Enter(context.Background(), "a")
		var busy *balance.Busy
		require.ErrorAs(t, err, &busy, "70 seconds")
		c.queue("b", "b")
		require.Equal(t, 7, target.State().Queued, "20 seconds")
		turn.Leave(balance.Good)
		require.Equal(t, []string{"a", "b", "a", "a", "a", "a", "a"}, c.drain(7))
	})
}

func TestAChangeOfTheLimitHoldsForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := balance.Options{MaxConcurrent: 1, QueueMax: 10}
		target := balance.NewTarget(o)
		turn := enter(t, target, "a")
		c := newCallers(target)
		for _, name := range []string{"a1", "a2", "a3"} {
			c.queue("a", name)
		}
		o.MaxConcurrent = 3
		target.Configure(o)
		require.ElementsMatch(t, []string{"a1", "a2"}, []string{<-c.served, <-c.served})
		require.Equal(t, 3, target.State().Running)
		require.Equal(t, 1, target.State().Queued)

		o.MaxConcurrent = 1
		target.Configure(o)
		turn.Leave(balance.Good)
		(<-c.turns).Leave(balance.Good)
		require.Equal(t, 1, target.State().Running)
		require.Equal(t, 1, target.State().Queued)
		o.MaxConcurrent = 0
		target.Configure(o)
		require.Equal(t, "a3", <-c.served)
		(<-c.turns).Leave(balance.Good)
		(<-c.turns).Leave(balance.Good)
		require.Zero(t, target.State().Running)
	})
}

func TestATurnIsLeftOnlyOnce(t *testing.T) {
	target := balance.NewTarget(balance.Options{MaxConcurrent: 2})
	turn := enter(t, target, "a")
	enter(t, target, "a")
	turn.Leave(balance.Good)
	turn.Leave(balance.Failed)
	require.Equal(t, 1, target.State().Running)
	require.Zero(t, target.State().Failures)
	var none *balance.Turn
	none.FirstToken(time.Second)
	none.Leave(balance.Failed)
}

// Random callers come, wait, leave the queue and leave their turns in any order, while the
// limit changes now and then.
func TestNoTurnIsLostWhateverCallersDo(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, seed) })
		})
	}
}

func storm(t *testing.T, seed uint64) {
	const most = 4
	o := balance.Options{MaxConcurrent: most, QueueMax: 20, QueueWait: 5 * time.Second, Failures: 3, Open: time.Second}
	target := balance.NewTarget(o)
	var all sync.WaitGroup
	var mu sync.Mutex
	running, served := 0, 0
	for i := range 200 {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(20_000))*time.Millisecond)
			defer cancel()
			pause(time.Duration(random.IntN(10_000)) * time.Millisecond)
			turn, err := target.Enter(ctx, fmt.Sprint(random.IntN(5)))
			if err != nil {
				if busy := (*balance.Busy)(nil); !errors.As(err, &busy) && ctx.Err() == nil {
					t.Errorf("neither busy nor over: %v", err)
				}
				return
			}
			mu.Lock()
			running++
			served++
			if running > most {
				t.Errorf("%d turns at the same time", running)
			}
			mu.Unlock()
			pause(time.Duration(random.IntN(1000)) * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			turn.Leave(balance.Verdict(random.IntN(3)))
		})
	}
	for i := range 10 {
		pause(time.Second)
		o.MaxConcurrent = 1 + i%most
		target.Configure(o)
	}
	all.Wait()
	require.Positive(t, served)
	state := target.State()
	require.Zero(t, state.Running)
	require.Zero(t, state.Queued)
	for range o.MaxConcurrent {
		_, ok := target.TryEnter()
		require.True(t, ok)
	}
	_, ok := target.TryEnter()
	require.False(t, ok)
}

// pause lets the time of the bubble pass.
func pause(d time.Duration) { <-time.After(d) }

// The same on the real clock, for the race detector.
func TestTurnsAreBoundedUnderContention(t *testing.T) {
	const most = 3
	target := balance.NewTarget(balance.Options{MaxConcurrent: most, QueueMax: 1000, Failures: 1000, Open: time.Second})
	slots := make(chan struct{}, most)
	var all sync.WaitGroup
	for i := range 64 {
		random := rand.New(rand.NewPCG(7, uint64(i)))
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if random.IntN(3) == 0 {
					go cancel()
				}
				turn, err := target.Enter(ctx, fmt.Sprint(i%7))
				if err == nil {
					select {
					case slots <- struct{}{}:
						<-slots
					default:
						t.Error("too many turns at the same time")
					}
					turn.FirstToken(time.Millisecond)
					turn.Leave(balance.Verdict(random.IntN(3)))
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.Zero(t, target.State().Running)
	require.Zero(t, target.State().Queued)
}
