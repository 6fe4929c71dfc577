package limits

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// naive is what the limits mean, told as simply as possible.
type naive struct {
	subjects []Subject
	running  []*naiveRun
	spent    map[naiveWindow]int64
}

type naiveWindow struct {
	subject int
	unit    Unit
	window  string
}

type naiveRun struct {
	reservation *Reservation
	subjects    []int
	day         string
	reserved    Amount
}

func (n *naive) window(subject int, b Budget, day string) naiveWindow {
	text := map[Period]string{Day: day, Month: day[:7], Total: ""}[b.Per]
	return naiveWindow{subject, b.Unit, text}
}

// reserved is what others have of a hard budget.
func (n *naive) reserved(w naiveWindow, b Budget, but *naiveRun) int64 {
	var sum int64
	for _, run := range n.running {
		for _, subject := range run.subjects {
			if run != but && n.window(subject, b, run.day) == w {
				sum += run.reserved.of(b.Unit)
			}
		}
	}
	return sum
}

func (n *naive) streams(subject int) int64 {
	var sum int64
	for _, run := range n.running {
		for _, s := range run.subjects {
			if s == subject {
				sum++
			}
		}
	}
	return sum
}

func (n *naive) admits(subjects []int, want Amount, day string) bool {
	for _, i := range subjects {
		q := n.subjects[i].Quota
		if q.Streams > 0 && n.streams(i) >= q.Streams {
			return false
		}
		for _, b := range q.Budgets {
			w := n.window(i, b, day)
			if n.spent[w] >= b.Amount || b.Hard && n.spent[w]+n.reserved(w, b, nil)+want.of(b.Unit) > b.Amount {
				return false
			}
		}
	}
	return true
}

func (n *naive) extends(run *naiveRun, want Amount) bool {
	for _, i := range run.subjects {
		for _, b := range n.subjects[i].Quota.Budgets {
			w := n.window(i, b, run.day)
			grows := want.of(b.Unit) > run.reserved.of(b.Unit)
			if b.Hard && grows && n.spent[w]+n.reserved(w, b, run)+want.of(b.Unit) > b.Amount {
				return false
			}
		}
	}
	return true
}

func (n *naive) settle(at int, used Amount) {
	run := n.running[at]
	n.running = append(n.running[:at], n.running[at+1:]...)
	for _, i := range run.subjects {
		counted := map[naiveWindow]bool{}
		for _, b := range n.subjects[i].Quota.Budgets {
			if w := n.window(i, b, run.day); !counted[w] {
				counted[w] = true
				n.spent[w] += used.of(b.Unit)
			}
		}
	}
}

// play does the same with a limiter and the naive one, by the bytes.
func play(t *testing.T, r *rig, l *Limiter, clock *fakeClock, steps []byte) {
	n := &naive{spent: map[naiveWindow]int64{}, subjects: []Subject{
		subject(Key, Quota{Streams: 3, Budgets: []Budget{{Unit: Tokens, Amount: 500, Per: Day, Hard: true}, {Unit: Tokens, Amount: 700, Per: Month, Hard: true}}}),
		subject(Key, Quota{Budgets: []Budget{{Unit: NanoUSD, Amount: 900, Per: Total, Hard: true}, {Unit: Tokens, Amount: 600, Per: Day}}}),
		subject(Model, Quota{Streams: 4}),
		subject(Provider, Quota{Budgets: []Budget{{Unit: NanoUSD, Amount: 400, Per: Day, Hard: true}, {Unit: NanoUSD, Amount: 300, Per: Day}, {Unit: Tokens, Amount: 2000, Per: Total}}}),
	}}
	for len(steps) >= 4 {
		kind, x, y, z := steps[0], steps[1], steps[2], steps[3]
		steps = steps[4:]
		amount := Amount{Tokens: int64(y), NanoUSD: int64(z)}
		switch {
		case kind%8 == 7 && clock != nil:
			clock.move(time.Duration(int(x)-40) * time.Hour / 10)
		case kind%4 == 3 && len(n.running) > 0:
			n.settle(int(x)%len(n.running), settleSome(n.running[int(x)%len(n.running)], y))
			r.idleQueue(t, l)
		case kind%4 == 2 && len(n.running) > 0:
			run := n.running[int(x)%len(n.running)]
			want := amount.atLeast(run.reserved)
			err := run.reservation.Extend(context.Background(), amount)
			require.Equal(t, n.extends(run, want), err == nil, "extending %+v to %+v: %v", run, want, err)
			if err == nil {
				run.reserved = want
			}
			require.Equal(t, run.reserved, run.reservation.Allowance())
		default:
			n.start(t, l, x, amount)
		}
	}
	for len(n.running) > 0 {
		n.settle(0, settleSome(n.running[0], 1))
	}
	r.idle(t, l)
}

// settleSome settles a run with a part of what it has reserved, or more.
func settleSome(run *naiveRun, part byte) Amount {
	used := Amount{Tokens: run.reserved.Tokens * int64(part) / 200, NanoUSD: run.reserved.NanoUSD * int64(part) / 200}
	run.reservation.Settle(used)
	return used
}

func (n *naive) start(t *testing.T, l *Limiter, which byte, amount Amount) {
	var subjects []int
	var asked []Subject
	for i := range n.subjects {
		if which&(1<<i) != 0 {
			subjects = append(subjects, i)
			asked = append(asked, n.subjects[i])
		}
	}
	if len(subjects) == 0 {
		return
	}
	r, err := l.Reserve(context.Background(), ask(amount, asked...))
	var refused *Refused
	require.True(t, err == nil || errors.As(err, &refused), "%v", err)
	day := l.today()
	require.Equal(t, n.admits(subjects, amount, day), err == nil, "%v asks for %+v of %v", err, amount, n.spent)
	if err == nil {
		n.running = append(n.running, &naiveRun{r, subjects, day, amount})
	}
}

// today is the latest day that was seen.
func (l *Limiter) today() string {
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	return l.memory.calendar.advance(l.memory.now())
}

func TestLimitsAreWhatTheNaiveOnesAre(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		rounds := 200
		var clock *fakeClock
		change := func(o *Options) {}
		if r.redis != nil {
			rounds = 30
		} else {
			clock = clockAt("2026-11-21T10:00:00Z")
			change = clock.option
		}
		l := r.limiter(t, change)
		random := rand.New(rand.NewPCG(3, 4))
		for range rounds {
			steps := make([]byte, 200)
			for i := range steps {
				steps[i] = byte(random.Uint32())
			}
			play(t, r, l, clock, steps)
		}
	})
}

func FuzzLimits(f *testing.F) {
	f.Add([]byte("\x00\x0f\x10\x10\x01\x01\xff\xff\x02\x00\xff\x10\x03\x00\x64\x00\x07\xff\x00\x00\x00\x0f\x20\x20"))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		clock := clockAt("2026-11-21T10:00:00Z")
		play(t, &rig{}, (&rig{}).limiter(t, clock.option), clock, steps)
	})
}
