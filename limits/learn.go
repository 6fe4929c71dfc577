package limits

import (
	"context"
	"fmt"
	"time"
)

// counters make the counter that needs an answer.
type counters func(key flightKey) counter

// learn asks the books what was spent in windows, as found missing at a time. Where they do not answer, the budgets
// that are open go on without, and start at 0.
func (l *Limiter) learn(ctx context.Context, r *Reservation, missing []seedless, found time.Time, to counters) error {
	flights := make([]*flight, len(missing))
	for i, m := range missing {
		flights[i] = l.ask(&r.parts[m.part], m.slot, m.window, found, to)
	}
	for i, m := range missing {
		p := &r.parts[m.part]
		closed := p.closed(m.slot)
		err := flights[i].wait(ctx, closed)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case closed:
			return unavailable(p.subject, fmt.Errorf("asking what was spent: %w", err))
		default:
			p.lax.add(m.slot)
		}
	}
	return nil
}

func (l *Limiter) ask(p *part, s slot, window string, found time.Time, to counters) *flight {
	key := flightKey{name: nameOf(p.subject), slot: s, window: window}
	return l.seeder.start(key, found, p.subject, *p.budget(s), to(key))
}

// askLax asks the books again for what was admitted without them. Nobody waits.
func (l *Limiter) askLax(r *Reservation) {
	found := time.Now()
	for i := range r.parts {
		p := &r.parts[i]
		for s := range slot(slots) {
			if p.lax.has(s) {
				l.ask(p, s, s.window(p.day), found, l.seedShared)
			}
		}
	}
}

// budget is the first that uses a counter.
func (p *part) budget(s slot) *Budget {
	for i := range p.subject.Quota.Budgets {
		if b := &p.subject.Quota.Budgets[i]; slotOf(b) == s {
			return b
		}
	}
	return nil
}

// closed reports that one of the budgets of a counter is.
func (p *part) closed(s slot) bool {
	for i := range p.subject.Quota.Budgets {
		if b := &p.subject.Quota.Budgets[i]; slotOf(b) == s && b.closed() {
			return true
		}
	}
	return false
}

// counterHere is one of this process.
type counterHere struct {
	memory *memory
	key    flightKey
	had    int64
}

func (l *Limiter) seedHere(key flightKey) counter { return &counterHere{memory: l.memory, key: key} }

func (c *counterHere) before(context.Context) error {
	c.had, _ = c.memory.knows(c.key.name, c.key.slot, c.key.window)
	return nil
}

func (c *counterHere) seed(_ context.Context, spent int64) error {
	c.memory.seed(c.key.name, c.key.slot, c.key.window, spent, c.had)
	return nil
}

// counterShared is one in Redis.
type counterShared struct {
	limiter *Limiter
	key     flightKey
	// had is what Redis counted since it has no more than a part of it, known what this
	// process knows it had.
	had, known int64
}

func (l *Limiter) seedShared(key flightKey) counter { return &counterShared{limiter: l, key: key} }

// before takes the leases again when Redis has lost its data, which shows when this
// process knows of more: before anything else is admitted.
func (c *counterShared) before(ctx context.Context) error {
	l := c.limiter
	var lost bool
	if c.known, lost = l.memory.knows(c.key.name, c.key.slot, c.key.window); lost {
		l.worker.now(ctx, l.worker.renew)
	}
	values, err := l.shared.call(ctx, l.shared.seed, c.keys(), []any{int(c.key.slot), c.key.window, -1, 0})
	if err != nil {
		return err
	}
	in := reply{values: values}
	c.had = in.integer()
	return in.err()
}

func (c *counterShared) seed(ctx context.Context, spent int64) error {
	s := c.limiter.shared
	_, err := s.call(ctx, s.seed, c.keys(), []any{int(c.key.slot), c.key.window, max(spent, c.known), c.had})
	return err
}

func (c *counterShared) keys() []string {
	_, _, _, spent := c.limiter.shared.keysOf(c.key.name)
	return []string{spent}
}
