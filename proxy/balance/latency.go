package balance

import (
	"math"
	"time"
)

const (
	// alike is how many times the quickest latency still counts as the same: times to
	// the first token scatter by more, and one target should not get everything for it.
	alike = 1.25
	// explore is the share of requests that go by weight instead, so that a target that
	// was slow once can show that it no longer is.
	explore = 1.0 / 16
	// exploreUnknown is the share of requests that go to a target that has not been
	// measured. It may be slow, or fail, so it does not get everything.
	exploreUnknown = 1.0 / 4
)

// scoreLatency puts the quickest of each priority first. Those that are about as quick
// share the requests by weight. Now and then one goes first that would not.
func (g *Group) scoreLatency(all []ranked) {
	for i := range all {
		all[i].latency = g.members[all[i].index].target.firstTokenAverage()
	}
	draw := g.random()
	if draw < explore {
		g.scoreWeight(all)
		return
	}
	unknown := draw < explore+exploreUnknown
	for i := range all {
		r := &all[i]
		quickest := quickestOf(all, r)
		share := score(1-g.random(), g.members[r.index].weight)
		switch {
		case r.latency == 0 && unknown:
			r.score = share / (1 + share) // in [0, 1): before those below
		case r.latency == 0 && quickest > 0:
			r.score = math.MaxFloat64
		case float64(r.latency) <= alike*float64(quickest):
			r.score = 1 + share/(1+share)
		default:
			r.score = 2 + float64(r.latency)
		}
	}
}

// quickestOf returns the lowest latency known among the members that r competes with, 0 if
// none is.
func quickestOf(all []ranked, r *ranked) time.Duration {
	var quickest time.Duration
	for i := range all {
		other := &all[i]
		if other.tier == r.tier && other.last == r.last && other.latency > 0 && (quickest == 0 || other.latency < quickest) {
			quickest = other.latency
		}
	}
	return quickest
}
