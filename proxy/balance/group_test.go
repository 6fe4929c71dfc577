package balance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

const draws = 20_000

// target returns a healthy target that is known to be so quick, 0 for unknown.
func target(t testing.TB, name string, latency time.Duration) *balance.Target {
	t.Helper()
	target := balance.NewTarget(balance.Options{Provider: name, Failures: 1, Open: time.Minute})
	if latency > 0 {
		turn, ok := target.TryEnter()
		require.True(t, ok)
		turn.FirstToken(latency)
		turn.Leave(balance.Good)
	}
	return target
}

func fail(t testing.TB, target *balance.Target) {
	t.Helper()
	turn, ok := target.TryEnter()
	require.True(t, ok)
	turn.Leave(balance.Failed)
	require.False(t, target.Available())
}

func group(rule balance.Rule, members ...balance.Member) *balance.Group {
	g := balance.NewGroup(members, rule, 0)
	g.SetRandom(rand.New(rand.NewPCG(1, 2)).Float64)
	return g
}

// firsts tells the share of requests for which each member is the first to be asked.
func firsts(g *balance.Group, members int) []float64 {
	share := make([]float64, members)
	var order []int
	for range draws {
		order = g.Order(order[:0], "")
		share[order[0]] += 1.0 / draws
	}
	return share
}

func TestRequestsAreSharedByWeight(t *testing.T) {
	for _, c := range []struct {
		weights []int
		shares  []float64
	}{
		{[]int{1}, []float64{1}},
		{[]int{0, 1}, []float64{0.5, 0.5}},
		{[]int{-3, 1}, []float64{0.5, 0.5}},
		{[]int{1, 3}, []float64{0.25, 0.75}},
		{[]int{50, 30, 20}, []float64{0.5, 0.3, 0.2}},
		{[]int{1, 999}, []float64{0.001, 0.999}},
	} {
		t.Run(fmt.Sprint(c.weights), func(t *testing.T) {
			var members []balance.Member
			for i, weight := range c.weights {
				members = append(members, balance.Member{Target: target(t, fmt.Sprint(i), 0), Weight: weight})
			}
			require.InDeltaSlice(t, c.shares, firsts(group(balance.ByWeight, members...), len(members)), 0.015)
		})
	}
}

// Of 50, 30 and 20, the first takes its weight out of the draw for the second.
func TestTheNextToBeAskedIsDrawnByWeightToo(t *testing.T) {
	g := group(balance.ByWeight,
		balance.Member{Target: target(t, "a", 0), Weight: 50},
		balance.Member{Target: target(t, "b", 0), Weight: 30},
		balance.Member{Target: target(t, "c", 0), Weight: 20})
	var afterA, bAfterA float64
	for range draws {
		if order := g.Order(nil, ""); order[0] == 0 {
			afterA++
			if order[1] == 1 {
				bAfterA++
			}
		}
	}
	require.InDelta(t, 0.6, bAfterA/afterA, 0.015)
}

func TestEveryMemberIsInTheOrderOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 16, 17, 40} {
		for _, rule := range []balance.Rule{balance.ByWeight, balance.ByLatency} {
			for _, sticky := range []string{"", "session"} {
				var members []balance.Member
				var all []int
				for i := range n {
					m := balance.Member{Target: target(t, fmt.Sprint(i), time.Duration(i%3)), Priority: i % 4}
					if i%5 == 0 {
						fail(t, m.Target)
					}
					members = append(members, m)
					all = append(all, i)
				}
				order := group(rule, members...).Order([]int{-1}, sticky)
				require.Equal(t, -1, order[0], "appended to what is there")
				require.ElementsMatch(t, all, order[1:])
			}
		}
	}
}

func TestPriorityGoesBeforeWeightLatencyAndStickiness(t *testing.T) {
	members := []balance.Member{
		{Target: target(t, "third", time.Millisecond), Weight: 1000, Priority: 3},
		{Target: target(t, "first", time.Hour), Priority: 0},
		{Target: target(t, "second", time.Second), Weight: 10, Priority: 2},
		{Target: target(t, "first too", time.Hour), Priority: 1},
	}
	for _, rule := range []balance.Rule{balance.ByWeight, balance.ByLatency} {
		g := group(rule, members...)
		for i := range 1000 {
			sticky := ""
			if i%2 == 0 {
				sticky = fmt.Sprint(i)
			}
			order := g.Order(nil, sticky)
			require.ElementsMatch(t, []int{1, 3}, order[:2])
			require.Equal(t, []int{2, 0}, order[2:])
		}
	}
}

func TestTargetsThatAreNotAvailableComeLastByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members := []balance.Member{
			{Target: target(t, "broken", time.Millisecond), Weight: 100, Priority: 2},
			{Target: target(t, "paused", time.Millisecond), Weight: 100, Priority: 1},
			{Target: target(t, "slow", time.Minute), Priority: 3},
		}
		fail(t, members[0].Target)
		members[1].Target.Pause(time.Second)
		for _, rule := range []balance.Rule{balance.ByWeight, balance.ByLatency} {
			for _, sticky := range []string{"", "session"} {
				require.Equal(t, []int{2, 1, 0}, group(rule, members...).Order(nil, sticky))
			}
		}
		fail(t, members[2].Target)
		require.Equal(t, []int{1, 0, 2}, group(balance.ByWeight, members...).Order(nil, ""), "somebody is asked")
		pause(2 * time.Second)
		require.Equal(t, []int{1, 0, 2}, group(balance.ByWeight, members...).Order(nil, ""))
		require.True(t, members[1].Target.Available())
	})
}

func sessions(g *balance.Group) []int {
	first := make([]int, draws)
	for i := range first {
		first[i] = g.Order(nil, fmt.Sprintf("session-%d", i))[0]
	}
	return first
}

func shares(first []int, members int) []float64 {
	share := make([]float64, members)
	for _, i := range first {
		share[i] += 1 / float64(len(first))
	}
	return share
}

func TestStickyRequestsStayWhereTheyAreAndShareByWeight(t *testing.T) {
	members := []balance.Member{
		{Target: target(t, "a", 0), Weight: 50},
		{Target: target(t, "b", time.Second), Weight: 30},
		{Target: target(t, "c", time.Millisecond), Weight: 20},
	}
	first := sessions(group(balance.ByWeight, members...))
	require.Equal(t, first, sessions(group(balance.ByLatency, members...)))
	require.InDeltaSlice(t, []float64{0.5, 0.3, 0.2}, shares(first, 3), 0.015)

	slices.Reverse(members)
	for i, now := range sessions(group(balance.ByWeight, members...)) {
		require.Equal(t, first[i], 2-now, "the place in the list does not matter")
	}
}

// Other replicas must come to the same result.
func TestStickyOrderIsTheSameInEveryProcess(t *testing.T) {
	var members []balance.Member
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		members = append(members, balance.Member{Target: target(t, name, 0)})
	}
	g := balance.NewGroup(members, balance.ByWeight, 0)
	require.Equal(t, []int{4, 3, 2, 0, 1}, g.Order(nil, "alice"))
	require.Equal(t, []int{3, 2, 4, 1, 0}, g.Order(nil, "bob"))
}

func TestOnlyTheRequestsOfALostTargetMove(t *testing.T) {
	var members []balance.Member
	for _, name := range []string{"a", "b", "c", "d"} {
		members = append(members, balance.Member{Target: target(t, name, 0)})
	}
	before := sessions(group(balance.ByWeight, members...))
	without := sessions(group(balance.ByWeight, members[:3]...))
	fail(t, members[3].Target)
	broken := sessions(group(balance.ByWeight, members...))
	for i := range before {
		require.Equal(t, without[i], broken[i])
		if before[i] != 3 {
			require.Equal(t, before[i], without[i])
		}
	}
	require.InDeltaSlice(t, []float64{1.0 / 3, 1.0 / 3, 1.0 / 3}, shares(broken, 3), 0.015, "and they spread over all others")
}

func TestAChangedWeightMovesNoMoreThanItMust(t *testing.T) {
	members := []balance.Member{{Target: target(t, "a", 0), Weight: 1}, {Target: target(t, "b", 0), Weight: 1}}
	before := sessions(group(balance.ByWeight, members...))
	members[1].Weight = 3
	for i, now := range sessions(group(balance.ByWeight, members...)) {
		if before[i] == 1 {
			require.Equal(t, 1, now, "who gets more loses none")
		}
	}
}

func TestByLatencyTheQuickestIsAskedFirstAndTheOthersNowAndThen(t *testing.T) {
	for _, c := range []struct {
		name      string
		latencies []time.Duration
		least     []float64
		most      []float64
	}{
		{
			"one is quicker",
			[]time.Duration{900 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond},
			[]float64{0.01, 0.93, 0.01},
			[]float64{0.04, 0.97, 0.04},
		},
		{
			"two are alike",
			[]time.Duration{300 * time.Millisecond, 360 * time.Millisecond, 900 * time.Millisecond},
			[]float64{0.45, 0.45, 0.01},
			[]float64{0.52, 0.52, 0.04},
		},
		{
			"one is unknown",
			[]time.Duration{300 * time.Millisecond, 0},
			[]float64{0.69, 0.25},
			[]float64{0.75, 0.31},
		},
		{"all are unknown", []time.Duration{0, 0}, []float64{0.48, 0.48}, []float64{0.52, 0.52}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var members []balance.Member
			for i, latency := range c.latencies {
				members = append(members, balance.Member{Target: target(t, fmt.Sprint(i), latency)})
			}
			for i, share := range firsts(group(balance.ByLatency, members...), len(members)) {
				require.GreaterOrEqual(t, share, c.least[i])
				require.LessOrEqual(t, share, c.most[i])
			}
		})
	}
}

// A quick target that is not asked first does not make those look slow that are.
func TestByLatencyOnlyThoseThatCompeteAreCompared(t *testing.T) {
	broken := balance.Member{Target: target(t, "broken", time.Millisecond), Priority: 2}
	fail(t, broken.Target)
	members := []balance.Member{
		{Target: target(t, "a", 300*time.Millisecond), Priority: 2},
		{Target: target(t, "b", 310*time.Millisecond), Priority: 2},
		{Target: target(t, "later", time.Millisecond), Priority: 3},
		broken,
	}
	require.InDeltaSlice(t, []float64{0.5, 0.5, 0, 0}, firsts(group(balance.ByLatency, members...), 4), 0.015)
}

func TestByLatencyTheOthersFollowFromQuickToSlow(t *testing.T) {
	g := group(balance.ByLatency,
		balance.Member{Target: target(t, "a", 900*time.Millisecond)},
		balance.Member{Target: target(t, "b", 300*time.Millisecond)},
		balance.Member{Target: target(t, "c", 600*time.Millisecond)})
	sorted := 0
	for range 1000 {
		if slices.Equal([]int{1, 2, 0}, g.Order(nil, "")) {
			sorted++
		}
	}
	require.Greater(t, sorted, 900)
}

// Two targets change their roles; each request measures whom it went to.
func TestByLatencyATargetThatBecameQuickIsFound(t *testing.T) {
	members := []balance.Member{{Target: target(t, "a", time.Second)}, {Target: target(t, "b", 4*time.Second)}}
	g := group(balance.ByLatency, members...)
	now := []time.Duration{4 * time.Second, time.Second}
	for range 2000 {
		first := g.Order(nil, "")[0]
		turn, ok := members[first].Target.TryEnter()
		require.True(t, ok)
		turn.FirstToken(now[first])
		turn.Leave(balance.Good)
	}
	require.Less(t, members[1].Target.State().Latency, 2*time.Second)
	require.Greater(t, firsts(g, 2)[1], 0.9)
}

func BenchmarkOrder(b *testing.B) {
	for _, c := range []struct {
		name   string
		rule   balance.Rule
		sticky string
	}{{"weight", balance.ByWeight, ""}, {"latency", balance.ByLatency, ""}, {"sticky", balance.ByWeight, "0b0f6a1e-session"}} {
		b.Run(c.name, func(b *testing.B) {
			var members []balance.Member
			for i := range 4 {
				members = append(members, balance.Member{Target: target(b, fmt.Sprint(i), time.Duration(i+1)*time.Second), Weight: i + 1})
			}
			g := balance.NewGroup(members, c.rule, 20)
			order := make([]int, 0, len(members))
			b.ReportAllocs()
			for b.Loop() {
				order = g.Order(order[:0], c.sticky)
			}
		})
	}
}
