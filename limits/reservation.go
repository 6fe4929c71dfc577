package limits

import (
	"context"
	"sync"
)

// Reservation is what an exchange has taken. Its methods are safe for concurrent use. The
// zero value is that of an exchange that nothing bounds.
type Reservation struct {
	// limiter is nil when nothing is bounded.
	limiter *Limiter
	id      string
	parts   []part
	few     [3]part
	state   State
	bounded bool
	// asked is what the rates were charged for.
	asked Amount

	// extending is held while the shared counters are asked for more.
	extending sync.Mutex

	// Those below are under the mutex of memory.

	// allowance is what is reserved.
	allowance Amount
	settled   bool
	// place is that in memory.live; -1 when it is not there.
	place int
	// stale says that the shared counters may have another allowance.
	stale bool
}

// part is the share of one subject.
type part struct {
	subject Subject
	entry   *entry
	// all and hard are the counters of the subject's budgets.
	all, hard slotSet
	// lax are those that may be used though nobody knows what was spent before.
	lax     slotSet
	windows [slots]*window
	// day is the one that the budgets' windows are of.
	day string
	// tokens is the charge in this process's bucket, remote that in the shared one, which
	// there is when charged is set.
	tokens, remote mark
	charged        bool
}

// held reports that the shared counters have a lease of the reservation for the subject.
func (p *part) held() bool { return p.subject.Quota.Streams > 0 || p.hard != 0 }

// unbounded is what a request gets that nothing bounds.
var unbounded = &Reservation{place: -1, settled: true}

func newReservation(l *Limiter, ask Ask, limited int) *Reservation {
	r := &Reservation{limiter: l, id: ask.ID, asked: ask.Reserve.clamped(), place: -1}
	r.allowance = r.asked
	r.parts = r.few[:0]
	if limited > len(r.few) {
		r.parts = make([]part, 0, limited)
	}
	for _, s := range ask.Subjects {
		if s.Quota.limited() {
			r.parts = append(r.parts, newPart(s))
		}
	}
	for i := range r.parts {
		r.bounded = r.bounded || r.parts[i].hard != 0
	}
	return r
}

func newPart(s Subject) part {
	p := part{subject: s}
	for i := range s.Quota.Budgets {
		b := &s.Quota.Budgets[i]
		p.all.add(slotOf(b))
		if b.Hard {
			p.hard.add(slotOf(b))
		}
	}
	return p
}

// State is how much was left of the rates after the reservation.
func (r *Reservation) State() State { return r.state }

// Bounded reports that a hard budget applies. Then what the exchange uses must not go
// above Allowance, and Extend raises it.
func (r *Reservation) Bounded() bool { return r.bounded }

// Allowance is what is reserved in all; nothing when nothing bounds the exchange.
func (r *Reservation) Allowance() Amount {
	if r.limiter == nil {
		return Amount{}
	}
	m := r.limiter.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.allowance
}

// Extend raises what is reserved to want in all; what is reserved already stays. Only
// hard budgets can be in the way: then the error is a *Refused, or an *Unavailable when
// they cannot be asked now. After any error the reservation is as it was and what it
// allows may still be used. With shared counters it waits for them, with bounds.
// ErrSettled after Settle.
func (r *Reservation) Extend(ctx context.Context, want Amount) error {
	if r.limiter == nil {
		return nil
	}
	return r.limiter.extend(ctx, r, want.clamped())
}

// Settle tells what the exchange has used and ends the reservation: the streams are free
// again, rates and budgets are corrected. It never waits: shared counters are told in the
// background, for as long as it takes. Only the first call counts.
//
// The books that Options.Seed reads should have the exchange by then.
func (r *Reservation) Settle(used Amount) {
	if r.limiter != nil {
		r.limiter.settle(r, used.clamped())
	}
}
