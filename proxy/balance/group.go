package balance

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Member is a target in its place in a group.
type Member struct {
	Target *Target
	// Weight is its share among those of the same priority. 0 counts as 1.
	Weight int
	// Priority is lower for those that are asked earlier. 0 counts as 1.
	Priority int
}

// Rule says in which order the targets of one priority are asked.
type Rule uint8

const (
	// ByWeight asks one at random, by its share.
	ByWeight Rule = iota
	// ByLatency asks the one that is the quickest to its first token.
	ByLatency
)

// Group is the targets of one public model and its budget for asking twice. It may be used
// by several goroutines.
type Group struct {
	members []member
	rule    Rule
	budget  budget
	random  func() float64 // in [0, 1)
}

type member struct {
	target   *Target
	weight   float64
	priority int
	hash     uint64 // of its name
}

// NewGroup returns a group. retryPercent is for MayRetry.
func NewGroup(members []Member, rule Rule, retryPercent int) *Group {
	g := &Group{rule: rule, budget: newBudget(retryPercent), random: rand.Float64}
	for _, m := range members {
		g.members = append(g.members, member{
			target: m.Target, weight: float64(max(m.Weight, 1)), priority: max(m.Priority, 1),
			hash: hash(m.Target.Name()),
		})
	}
	return g
}

// ranked is a member on its way to its place.
type ranked struct {
	index   int
	last    bool // not available
	tier    int  // its priority
	score   float64
	latency time.Duration
}

func compareRanked(a, b ranked) int {
	if a.last != b.last {
		if b.last {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.score, b.score), cmp.Compare(a.index, b.index))
}

// Order appends to dst the indexes of all members in the order in which they are to be
// asked for one request, and returns it. Those that are not available come last, so that
// somebody is asked when none is; otherwise priority goes before everything.
//
// Requests with the same sticky string get the same order, here and in every other
// process with the same targets, as long as their availability does not change. When a
// target comes or goes, only the requests that it gets or had move. An empty string leaves
// the order to the rule.
func (g *Group) Order(dst []int, sticky string) []int {
	var space [16]ranked // most groups fit
	all := space[:0]
	for i := range g.members {
		all = append(all, ranked{index: i, tier: g.members[i].priority, last: !g.members[i].target.Available()})
	}
	switch {
	case sticky != "":
		g.scoreSticky(all, hash(sticky))
	case g.rule == ByLatency:
		g.scoreLatency(all)
	default:
		g.scoreWeight(all)
	}
	slices.SortFunc(all, compareRanked)
	for i := range all {
		dst = append(dst, all[i].index)
	}
	return dst
}

// score turns u, which is uniform in (0, 1], into a draw from the exponential distribution
// with the rate weight. The lowest of several such draws is each one's with the
// probability of its share, and the next lowest likewise among the rest.
func score(u, weight float64) float64 { return -math.Log(u) / weight }

func (g *Group) scoreWeight(all []ranked) {
	for i := range all {
		all[i].score = score(1-g.random(), g.members[all[i].index].weight)
	}
}

// scoreSticky is weighted rendezvous hashing: each target draws by the hash of its name
// with that of the request, and so independently of the others.
func (g *Group) scoreSticky(all []ranked, sticky uint64) {
	for i := range all {
		m := &g.members[all[i].index]
		u := float64(mix(sticky^m.hash)>>11+1) / (1 << 53)
		all[i].score = score(u, m.weight)
	}
}

// FNV-1a; its state is mixed at the end because nearby strings have nearby hashes.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64: every bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
