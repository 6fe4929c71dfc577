package limits

import (
	"sync"
	"time"
)

// memory counts in this process. Alone it decides; beside shared counters it follows
// them and decides while they cannot be reached.
type memory struct {
	now  func() time.Time
	base time.Time
	// shared says that there are shared counters, seeded that Options.Seed is there.
	shared, seeded bool

	mu       sync.Mutex
	calendar calendar
	entries  map[name]*entry
	// live are the reservations that the shared counters must have a lease of.
	live []*Reservation
	held Held
}

type name struct {
	kind Kind
	name string
}

func nameOf(s Subject) name { return name{kind: s.Kind, name: s.Name} }

// entry has the counters of a subject.
type entry struct {
	requests, tokens bucket
	windows          [slots]*window
	// day is the latest that was seen: windows do not go back.
	day     string
	streams int64
	// reservations keep the entry where it is.
	reservations int
	// touched is when it was last used.
	touched float64
}

// window is what was spent in a period.
type window struct {
	id string
	// known is what was spent, as far as the one who decides knows; pending is what
	// shared counters have not been told.
	known, pending int64
	// reserved is that of this process.
	reserved int64
	// seeded is false while known may lack what was spent before.
	seeded bool
}

func (w *window) spent() int64 { return w.known + w.pending }

func newMemory(o *Options) *memory {
	return &memory{
		now: o.Now, base: o.Now(), shared: o.Redis != nil, seeded: o.Seed != nil,
		entries: make(map[name]*entry),
	}
}

// microseconds is the time since the start. The clock behind it does not go back,
// unless a test's does.
func (m *memory) microseconds(now time.Time) float64 {
	return float64(now.Sub(m.base)) / float64(time.Microsecond)
}

// seedless are windows that nobody knows yet what was spent in.
type seedless struct {
	part   int
	slot   slot
	window string
}

// reserve decides and takes, or says what is missing to decide.
func (m *memory) reserve(r *Reservation) ([]seedless, *Refused) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now() // under the mutex, so that buckets see it grow
	day := m.calendar.advance(now)
	for i := range r.parts {
		r.parts[i].day = day
	}
	at := m.microseconds(now)
	m.attach(r, at, true)
	if v := m.check(r); v.refused {
		return nil, m.refuse(r, &v, now)
	}
	if missing := m.missing(r); missing != nil {
		return missing, nil
	}
	m.take(r)
	for i := range r.parts {
		p := &r.parts[i]
		r.state.join(p.subject.Quota, p.entry.requests.level, p.entry.tokens.level)
	}
	return nil, nil
}

// adopt notes what the shared counters have admitted.
func (m *memory) adopt(r *Reservation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.attach(r, m.microseconds(now), false)
	m.take(r)
}

// attach finds the counters of a reservation. Its parts know their days; a subject that
// has seen a later one stays with that, if asked.
func (m *memory) attach(r *Reservation, at float64, later bool) {
	for i := range r.parts {
		p := &r.parts[i]
		key := nameOf(p.subject)
		e := m.entries[key]
		if e == nil {
			e = &entry{}
			m.entries[key] = e
		}
		e.touched = at
		e.requests.advance(at)
		e.tokens.advance(at)
		p.entry = e
		if later {
			p.day = max(p.day, e.day)
		}
		e.day = max(e.day, p.day)
		for s := range slot(slots) {
			if p.all.has(s) {
				p.windows[s] = e.window(s, s.window(p.day), !m.shared && !m.seeded)
			}
		}
	}
}

// window is the one with that id. One that is over is nobody's but the reservation's.
func (e *entry) window(s slot, id string, seeded bool) *window {
	w := e.windows[s]
	switch {
	case w != nil && w.id == id:
		return w
	case w == nil || id > w.id:
		e.windows[s] = &window{id: id, seeded: seeded}
		return e.windows[s]
	}
	return &window{id: id, seeded: true}
}

func (m *memory) missing(r *Reservation) []seedless {
	var out []seedless
	for i := range r.parts {
		p := &r.parts[i]
		for s := range slot(slots) {
			if p.all.has(s) && !p.lax.has(s) && !p.windows[s].seeded {
				out = append(out, seedless{part: i, slot: s, window: p.windows[s].id})
			}
		}
	}
	return out
}

func (m *memory) check(r *Reservation) verdict {
	var v verdict
	for i := range r.parts {
		p := &r.parts[i]
		q, e := p.subject.Quota, p.entry
		if q.RequestsPerMinute > 0 {
			if w := e.requests.wait(cost(1, q.RequestsPerMinute)); w > 0 {
				v.add(i, LimitRequests, 0, w)
			}
		}
		if q.TokensPerMinute > 0 {
			if w := e.tokens.wait(cost(r.asked.Tokens, q.TokensPerMinute)); w > 0 {
				v.add(i, LimitTokens, 0, w)
			}
		}
		if q.Streams > 0 && e.streams >= q.Streams {
			v.add(i, LimitStreams, 0, streamWait)
		}
		for j := range q.Budgets {
			b := &q.Budgets[j]
			w, ask := p.windows[slotOf(b)], r.asked.of(b.Unit)
			if w.spent() >= b.Amount || b.Hard && w.spent()+w.reserved+ask > b.Amount {
				if !b.Hard {
					ask = 0
				}
				v.add(i, LimitBudget, j, budgetWait(b, w.spent(), ask))
			}
		}
	}
	return v
}

func (m *memory) refuse(r *Reservation, v *verdict, now time.Time) *Refused {
	out := r.refused(v, now)
	for i := range r.parts {
		p := &r.parts[i]
		out.State.join(p.subject.Quota, p.entry.requests.level, p.entry.tokens.level)
	}
	return out
}

// refused has everything but the state.
func (r *Reservation) refused(v *verdict, now time.Time) *Refused {
	s := r.parts[v.part].subject
	out := &Refused{Subject: Subject{Kind: s.Kind, Name: s.Name}, Limit: v.limit, RetryAfter: v.retryAfter(now), part: v.part}
	if v.limit == LimitBudget {
		out.Budget = &s.Quota.Budgets[v.budget]
	}
	return out
}

// join takes a subject's levels into account.
func (s *State) join(q *Quota, requests, tokens float64) {
	s.Requests = s.Requests.tighter(rateState(requests, q.RequestsPerMinute))
	s.Tokens = s.Tokens.tighter(rateState(tokens, q.TokensPerMinute))
}

// take charges a reservation whose counters are attached.
func (m *memory) take(r *Reservation) {
	leased := false
	for i := range r.parts {
		p := &r.parts[i]
		q, e := p.subject.Quota, p.entry
		if q.RequestsPerMinute > 0 {
			e.requests.take(cost(1, q.RequestsPerMinute))
		}
		if q.TokensPerMinute > 0 {
			p.tokens = e.tokens.take(cost(r.asked.Tokens, q.TokensPerMinute))
		}
		e.streams++
		e.reservations++
		if q.Streams > 0 {
			m.held.Streams++
		}
		p.reserve(r.allowance, 1)
		leased = leased || p.held()
	}
	m.held.Reservations++
	m.held.Reserved = m.held.Reserved.plus(r.allowance, 1)
	if m.shared && leased {
		r.place = len(m.live)
		m.live = append(m.live, r)
	}
}

// reserve adds an amount to what hard budgets have reserved, times 1 or -1.
func (p *part) reserve(a Amount, times int64) {
	for s := range slot(slots) {
		if p.hard.has(s) {
			p.windows[s].reserved += times * a.of(s.unit())
		}
	}
}

func (a Amount) plus(b Amount, times int64) Amount {
	return Amount{Tokens: a.Tokens + times*b.Tokens, NanoUSD: a.NanoUSD + times*b.NanoUSD}
}

// settle ends a reservation. It reports whether this was the call that did.
func (m *memory) settle(r *Reservation, used Amount) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if r.settled {
		return false
	}
	r.settled = true
	at := m.microseconds(now)
	for i := range r.parts {
		p := &r.parts[i]
		q, e := p.subject.Quota, p.entry
		if q.TokensPerMinute > 0 {
			e.tokens.advance(at)
			e.tokens.settle(p.tokens, cost(used.Tokens, q.TokensPerMinute))
		}
		e.streams--
		e.reservations--
		e.touched = at
		if q.Streams > 0 {
			m.held.Streams--
		}
		p.reserve(r.allowance, -1)
		for s := range slot(slots) {
			if p.all.has(s) {
				m.spend(p.windows[s], used.of(s.unit()))
			}
		}
	}
	m.held.Reservations--
	m.held.Reserved = m.held.Reserved.plus(r.allowance, -1)
	m.bury(r)
	return true
}

func (m *memory) spend(w *window, n int64) {
	if m.shared {
		w.pending += n
	} else {
		w.known += n
	}
}

// bury takes a reservation out of those alive.
func (m *memory) bury(r *Reservation) {
	if r.place < 0 {
		return
	}
	last := len(m.live) - 1
	m.live[r.place] = m.live[last]
	m.live[r.place].place = r.place
	m.live[last] = nil
	m.live = m.live[:last]
	r.place = -1
}

// extend raises an allowance. When told, it asks the hard budgets first.
func (m *memory) extend(r *Reservation, want Amount, ask bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if r.settled {
		return ErrSettled
	}
	want = want.atLeast(r.allowance)
	more := want.plus(r.allowance, -1)
	if ask {
		if v := r.checkMore(more); v.refused {
			at := m.microseconds(now)
			for i := range r.parts {
				r.parts[i].entry.requests.advance(at)
				r.parts[i].entry.tokens.advance(at)
			}
			return m.refuse(r, &v, now)
		}
	}
	for i := range r.parts {
		r.parts[i].reserve(more, 1)
	}
	m.held.Reserved = m.held.Reserved.plus(more, 1)
	r.allowance = want
	return nil
}

func (r *Reservation) checkMore(more Amount) verdict {
	var v verdict
	for i := range r.parts {
		p := &r.parts[i]
		for j := range p.subject.Quota.Budgets {
			b := &p.subject.Quota.Budgets[j]
			n := more.of(b.Unit)
			if !b.Hard || n == 0 {
				continue
			}
			if w := p.windows[slotOf(b)]; w.spent()+w.reserved+n > b.Amount {
				v.add(i, LimitBudget, j, budgetWait(b, w.spent(), n))
			}
		}
	}
	return v
}

// charge adds to the windows that the day is in, as far as they are in use: for the
// others the books will tell. It returns the subject's counters that budgets have.
func (m *memory) charge(s Subject, used Amount, day string) slotSet {
	all := newPart(s).all
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[nameOf(s)]
	for one := range slot(slots) {
		if e == nil || !all.has(one) {
			continue
		}
		if w := e.windows[one]; w != nil && w.id == one.window(day) {
			m.spend(w, used.of(one.unit()))
		}
	}
	return all
}

func (m *memory) allowance(r *Reservation) (Amount, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.allowance, r.settled
}

// doubt notes that the shared counters may have another allowance.
func (m *memory) doubt(r *Reservation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.stale = true
}
