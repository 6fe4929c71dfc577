package limits

import (
	"context"
	"time"
)

// answer is what the shared counters said to a question.
type answer struct {
	refused *Refused
	missing []seedless
}

// decide asks the shared counters for a reservation.
func (s *shared) decide(ctx context.Context, r *Reservation, m *memory) (answer, error) {
	keys := make([]string, 0, 4*len(r.parts))
	args := make([]any, 0, 32)
	args = append(args, r.id, s.leaseArgument(), r.asked.Tokens, r.asked.NanoUSD, len(r.parts))
	for i := range r.parts {
		p := &r.parts[i]
		rate, held, reserved, spent := s.keysOf(nameOf(p.subject))
		keys = append(keys, rate, held, reserved, spent)
		q := p.subject.Quota
		args = append(args, max(0, q.RequestsPerMinute), max(0, q.TokensPerMinute), max(0, q.Streams), int(p.hard), len(q.Budgets))
		for j := range q.Budgets {
			b := &q.Budgets[j]
			args = append(args, int(slotOf(b)), b.Amount, flag(b.Hard), flag(p.lax.has(slotOf(b))))
		}
	}
	values, err := s.call(ctx, s.reserve, keys, args)
	if err != nil {
		return answer{}, err
	}
	return r.read(&reply{values: values}, m)
}

// read takes in what the shared counters decided.
func (r *Reservation) read(in *reply, m *memory) (answer, error) {
	switch in.integer() {
	case 0:
		return answer{refused: readRefused(in, r, m.now())}, in.err()
	case 1:
		readReserved(in, r, m)
		return answer{}, in.err()
	}
	missing := readMissing(in, func(part, budget int64) (int, *Budget) {
		if part < 1 || part > int64(len(r.parts)) {
			return 0, nil
		}
		return int(part - 1), budgetAt(&r.parts[part-1], budget)
	})
	return answer{missing: missing}, in.err()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// budgetAt is the budget that a script counts from 1.
func budgetAt(p *part, n int64) *Budget {
	if n < 1 || n > int64(len(p.subject.Quota.Budgets)) {
		return nil
	}
	return &p.subject.Quota.Budgets[n-1]
}

// locate finds the part and the budget that a script counts from 1; the budget is nil
// when there is none.
type locate func(part, budget int64) (int, *Budget)

func readMissing(in *reply, at locate) []seedless {
	var out []seedless
	for len(in.values) > 0 {
		i, b := at(in.integer(), in.integer())
		day := in.text()
		if b == nil || in.wrong {
			in.wrong = true
			return nil
		}
		out = append(out, seedless{part: i, slot: slotOf(b), window: slotOf(b).window(day)})
	}
	return out
}

func readRefused(in *reply, r *Reservation, now time.Time) *Refused {
	v := verdict{refused: true, part: int(in.integer()) - 1}
	limit, budget := in.integer(), in.integer()
	v.wait = in.decimal()
	if v.part < 0 || v.part >= len(r.parts) || limit < 1 || limit > 4 {
		in.wrong = true
		return nil
	}
	v.limit = [...]Limit{LimitRequests, LimitTokens, LimitStreams, LimitBudget}[limit-1]
	v.budget = int(budget) - 1
	if v.limit == LimitBudget && budgetAt(&r.parts[v.part], budget) == nil {
		in.wrong = true
		return nil
	}
	out := r.refused(&v, now)
	for i := range r.parts {
		requests, tokens := in.decimal(), in.decimal()
		out.State.join(r.parts[i].subject.Quota, requests, tokens)
	}
	return out
}

// readReserved completes the reservation, and the process's own counters learn what was
// spent by all.
func readReserved(in *reply, r *Reservation, m *memory) {
	type learnt struct {
		part  int
		slot  slot
		spent int64
	}
	var lessons []learnt
	for i := range r.parts {
		p := &r.parts[i]
		p.day = in.text()
		requests, tokens := in.decimal(), in.decimal()
		r.state.join(p.subject.Quota, requests, tokens)
		p.remote = mark{cost: p.charge(r.asked.Tokens), due: in.decimal(), returned: in.decimal()}
		p.charged = p.remote.cost > 0
		for j := range p.subject.Quota.Budgets {
			spent, known := in.integer(), in.integer() == 1
			if known {
				lessons = append(lessons, learnt{i, slotOf(&p.subject.Quota.Budgets[j]), spent})
			}
		}
	}
	if in.err() != nil {
		return
	}
	m.adopt(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range lessons {
		m.learn(r.parts[l.part].windows[l.slot], l.spent)
	}
}

// charge is what tokens cost of the subject's rate.
func (p *part) charge(tokens int64) float64 {
	if p.subject.Quota.TokensPerMinute <= 0 {
		return 0
	}
	return cost(tokens, p.subject.Quota.TokensPerMinute)
}

// more asks the shared counters for a larger allowance.
func (s *shared) more(ctx context.Context, r *Reservation, want Amount, m *memory) (answer, error) {
	keys := make([]string, 0, 3*len(r.parts))
	args := []any{r.id, s.leaseArgument(), want.Tokens, want.NanoUSD, 0}
	var parts []int // by the script's number
	for i := range r.parts {
		p := &r.parts[i]
		if p.hard == 0 {
			continue
		}
		parts = append(parts, i)
		_, held, reserved, spent := s.keysOf(nameOf(p.subject))
		keys = append(keys, held, reserved, spent)
		args = append(args, p.day, int(p.hard), len(p.hardBudgets()))
		for _, b := range p.hardBudgets() {
			args = append(args, int(slotOf(b)), b.Amount, flag(p.lax.has(slotOf(b))))
		}
	}
	args[4] = len(parts)
	values, err := s.call(ctx, s.extend, keys, args)
	if err != nil {
		return answer{}, err
	}
	in := &reply{values: values}
	at := func(part, budget int64) (int, *Budget) {
		if part < 1 || part > int64(len(parts)) {
			return 0, nil
		}
		p := &r.parts[parts[part-1]]
		if budgets := p.hardBudgets(); budget >= 1 && budget <= int64(len(budgets)) {
			return parts[part-1], budgets[budget-1]
		}
		return 0, nil
	}
	out := answer{}
	switch in.integer() {
	case 0:
		i, b := at(in.integer(), in.integer())
		spent := in.integer()
		if b == nil {
			return answer{}, errReply
		}
		out.refused = m.overdrawn(r, i, b, spent, want)
	case 2:
		out.missing = readMissing(in, at)
	}
	return out, in.err()
}

// hardBudgets are those that bound what runs.
func (p *part) hardBudgets() []*Budget {
	var out []*Budget
	for i := range p.subject.Quota.Budgets {
		if b := &p.subject.Quota.Budgets[i]; b.Hard {
			out = append(out, b)
		}
	}
	return out
}

// overdrawn is the refusal of a larger allowance by the shared counters.
func (m *memory) overdrawn(r *Reservation, part int, b *Budget, spent int64, want Amount) *Refused {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := want.of(b.Unit) - r.allowance.of(b.Unit)
	s := r.parts[part].subject
	v := verdict{refused: true, part: part, limit: LimitBudget, wait: budgetWait(b, spent, more)}
	for j := range s.Quota.Budgets {
		if &s.Quota.Budgets[j] == b {
			v.budget = j
		}
	}
	return m.refuse(r, &v, m.now())
}
