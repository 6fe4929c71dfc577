package limits

import (
	"context"
	"strconv"
	"sync"
)

const (
	// mostSettlements bounds what waits to be told to the shared counters one by one.
	// Above it the oldest are added up: their amounts are kept, their leases run out by
	// themselves.
	mostSettlements = 20_000
	// mostSums bounds the sums, one for each counter of a subject.
	mostSums = 200_000
	// batchSize is how many settlements, or sums, are told at once.
	batchSize = 250
)

// settlement is the end of a reservation for one subject.
type settlement struct {
	name name
	// id is empty when the shared counters have no lease.
	id string
	// charge is what the shared bucket was charged and used what it ought to have been;
	// charge.cost is 0 when there is nothing to correct.
	charge mark
	used   float64
	// spent goes to the counters in the set, of the windows that the day is in.
	counters slotSet
	day      string
	spent    Amount
}

// sumKey is a counter of a subject in a window.
type sumKey struct {
	name   name
	slot   slot
	window string
}

// queue is what the shared counters have not been told.
type queue struct {
	mu          sync.Mutex
	settlements []settlement
	sums        map[sumKey]int64
	// waiting counts the settlements of a subject, those on their way included.
	waiting map[name]int
	dropped func()
}

func newQueue(dropped func()) *queue {
	return &queue{sums: make(map[sumKey]int64), waiting: make(map[name]int), dropped: dropped}
}

func (q *queue) add(s settlement) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.settlements) >= mostSettlements {
		for i := range mostSettlements / 4 {
			q.sum(&q.settlements[i])
			q.done(q.settlements[i].name, 1)
		}
		q.settlements = append(q.settlements[:0], q.settlements[mostSettlements/4:]...)
	}
	q.settlements = append(q.settlements, s)
	q.waiting[s.name]++
}

func (q *queue) done(n name, settlements int) {
	if q.waiting[n] -= settlements; q.waiting[n] <= 0 {
		delete(q.waiting, n)
	}
}

// waits are the parts of a reservation, one a bit, of whose subjects the shared counters
// do not know all that has ended.
func (q *queue) waits(r *Reservation) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out uint64
	for i := range r.parts {
		if q.waiting[nameOf(r.parts[i].subject)] > 0 {
			out |= bit(i)
		}
	}
	return out
}

func bit(part int) uint64 { return 1 << min(part, 63) }

// told notes that the shared counters have a batch.
func (q *queue) told(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n, share := range b.subjects {
		q.done(n, share.settlements)
	}
}

// addSum is for what has no reservation.
func (q *queue) addSum(n name, counters slotSet, day string, spent Amount) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sum(&settlement{name: n, counters: counters, day: day, spent: spent})
}

func (q *queue) sum(s *settlement) {
	for one := range slot(slots) {
		amount := s.spent.of(one.unit())
		if !s.counters.has(one) || amount == 0 {
			continue
		}
		key := sumKey{name: s.name, slot: one, window: one.window(s.day)}
		if _, there := q.sums[key]; !there && len(q.sums) >= mostSums {
			q.dropped()
			continue
		}
		q.sums[key] += amount
	}
}

func (q *queue) len() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(len(q.settlements) + len(q.sums))
}

// batch is what is told at once. It stays the same until the shared counters have it, so
// that its number tells whether they do.
type batch struct {
	number   int64
	subjects map[name]*share
	size     int64
}

// share is what a batch has for one subject.
type share struct {
	settlements int
	ids         []string
	charges     []settlement
	sums        map[sumKey]int64
}

// take makes a batch; nil when there is nothing to tell.
func (q *queue) take(number int64) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.settlements) == 0 && len(q.sums) == 0 {
		return nil
	}
	b := &batch{number: number, subjects: make(map[name]*share)}
	n := min(batchSize, len(q.settlements))
	for i := range n {
		b.add(&q.settlements[i])
	}
	rest := copy(q.settlements, q.settlements[n:])
	clear(q.settlements[rest:])
	q.settlements = q.settlements[:rest]
	if rest == 0 && cap(q.settlements) > 4*batchSize {
		q.settlements = nil
	}
	b.size = int64(n)
	for key, amount := range q.sums {
		if b.size == int64(n+batchSize) {
			break
		}
		b.size++
		b.share(key.name).sums[key] += amount
		delete(q.sums, key)
	}
	return b
}

func (b *batch) share(n name) *share {
	if b.subjects[n] == nil {
		b.subjects[n] = &share{sums: make(map[sumKey]int64)}
	}
	return b.subjects[n]
}

func (b *batch) add(s *settlement) {
	to := b.share(s.name)
	to.settlements++
	if s.id != "" {
		to.ids = append(to.ids, s.id)
	}
	if s.charge.cost > 0 || s.used > 0 {
		to.charges = append(to.charges, *s)
	}
	for one := range slot(slots) {
		if amount := s.spent.of(one.unit()); s.counters.has(one) && amount != 0 {
			to.sums[sumKey{name: s.name, slot: one, window: one.window(s.day)}] += amount
		}
	}
}

// tell tells the shared counters a batch. It returns the number of the batch that they
// had last.
func (s *shared) tell(ctx context.Context, b *batch, process string) (int64, error) {
	keys := []string{s.prefix + "batch:" + process}
	args := []any{b.number, len(b.subjects)}
	for n, part := range b.subjects {
		rate, held, reserved, spent := s.keysOf(n)
		keys = append(keys, rate, held, reserved, spent)
		args = append(args, len(part.ids))
		for _, id := range part.ids {
			args = append(args, id)
		}
		args = append(args, len(part.charges))
		for i := range part.charges {
			c := &part.charges[i]
			args = append(args, decimal(c.charge.cost), decimal(c.used), decimal(c.charge.due), decimal(c.charge.returned))
		}
		args = append(args, len(part.sums))
		for key, amount := range part.sums {
			args = append(args, int(key.slot), key.window, amount)
		}
	}
	values, err := s.run(ctx, s.settle, keys, args)
	if err != nil {
		return 0, err
	}
	in := &reply{values: values}
	last := in.integer()
	return last, in.err()
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }

// told moves what was told from pending to known.
func (m *memory) told(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, part := range b.subjects {
		for key, amount := range part.sums {
			m.confirm(key.name, key.slot, key.window, amount)
		}
	}
}
