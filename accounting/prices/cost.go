package prices

import (
	"math"
	"math/bits"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// million is how many tokens a Rate is for.
const million = 1_000_000

// Cost returns what usage costs, in units of 1e-9 USD, rounded once, to the nearest. ok is
// false when there is no price for the subject, and when u has no count at all.
//
// Parts cost their own rates and the rest of the whole its rate. Parts that together are
// larger than their whole are cut to it: cached first, then written to a cache, then
// audio; reasoning before audio. A whole that is absent is what its parts are; output that
// is absent costs nothing, and the caller decides what that means. What does not fit an
// int64 is its largest value.
func (t *Table) Cost(s Subject, u tokens.Usage) (nano int64, ok bool) {
	if !u.Any() {
		return 0, false
	}
	p := t.Price(s, u.Input)
	if p == nil {
		return 0, false
	}
	return p.cost(u, s.LongCacheWrites), true
}

// cost is that of a request whose price is found.
func (p *Price) cost(u tokens.Usage, longWrites int64) int64 {
	var sum amount
	cached, written, heard := count(u.InputCached), count(u.InputCacheWrite), count(u.InputAudio)
	rest := whole(u.Input, cached, written, heard)
	sum.take(&rest, cached, either(p.InputCached, p.Input))
	write := either(p.InputCacheWrite, p.Input)
	long := min(max(longWrites, 0), written)
	sum.take(&rest, long, either(p.InputCacheWriteLong, write))
	sum.take(&rest, written-long, write)
	sum.take(&rest, heard, either(p.InputAudio, p.Input))
	sum.take(&rest, rest, p.Input)

	reasoned, spoken := count(u.OutputReasoning), count(u.OutputAudio)
	rest = whole(u.Output, reasoned, spoken)
	sum.take(&rest, reasoned, either(p.OutputReasoning, p.Output))
	sum.take(&rest, spoken, either(p.OutputAudio, p.Output))
	sum.take(&rest, rest, p.Output)
	return sum.over(million)
}

// count is a number of tokens that can be charged.
func count(c tokens.Count) int64 {
	if !c.Known {
		return 0
	}
	return max(c.N, 0)
}

// whole is a count, or the sum of its parts where it is absent.
func whole(c tokens.Count, parts ...int64) int64 {
	if c.Known {
		return count(c)
	}
	var sum int64
	for _, n := range parts {
		sum += min(n, math.MaxInt64-sum)
	}
	return sum
}

func either(part *Rate, otherwise Rate) Rate {
	if part != nil {
		return *part
	}
	return otherwise
}

// amount is a sum of products, exact up to 128 bits.
type amount struct {
	high, low uint64
	over128   bool
}

// take charges n tokens of the rest, as far as there are so many, and takes them off it.
func (a *amount) take(rest *int64, n int64, r Rate) {
	n = min(n, *rest)
	*rest -= n
	a.add(n, int64(r))
}

func (a *amount) add(n, rate int64) {
	if n <= 0 || rate <= 0 {
		return
	}
	high, low := bits.Mul64(uint64(n), uint64(rate))
	var carry uint64
	a.low, carry = bits.Add64(a.low, low, 0)
	a.high, carry = bits.Add64(a.high, high, carry)
	a.over128 = a.over128 || carry != 0
}

// over returns the sum divided by d, rounded to the nearest, halves up.
func (a *amount) over(d uint64) int64 {
	low, carry := bits.Add64(a.low, d/2, 0)
	high, carry := bits.Add64(a.high, 0, carry)
	if a.over128 || carry != 0 || high >= d {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, d)
	return int64(min(quotient, math.MaxInt64))
}

// ratio returns n*a/b rounded to the nearest. None of them is negative.
func ratio(n, a, b int64) int64 {
	var product amount
	product.add(n, a)
	return product.over(uint64(b))
}
