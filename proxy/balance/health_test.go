package balance_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

var healthy = balance.Options{Provider: "acme", Model: "small", Failures: 3, Open: 10 * time.Second}

// end has turns one after the other that end so.
func end(t *testing.T, target *balance.Target, verdicts ...balance.Verdict) {
	t.Helper()
	for _, v := range verdicts {
		enter(t, target, "a").Leave(v)
	}
}

func TestTheBreakerOpensOnlyAfterFailuresInARow(t *testing.T) {
	const neutral, good, failed = balance.Neutral, balance.Good, balance.Failed
	for _, c := range []struct {
		name     string
		verdicts []balance.Verdict
		state    string
		failures uint32
	}{
		{"nothing yet", nil, "closed", 0},
		{"good ones", []balance.Verdict{good, good, good}, "closed", 0},
		{"clients that left", []balance.Verdict{neutral, neutral, neutral, neutral, neutral, neutral}, "closed", 0},
		{"too few", []balance.Verdict{failed, failed}, "closed", 2},
		{"enough", []balance.Verdict{failed, failed, failed}, "open", 3},
		{"a good one between", []balance.Verdict{failed, failed, good, failed, failed}, "closed", 2},
		{"a client that left between", []balance.Verdict{failed, failed, neutral, failed}, "open", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := balance.NewTarget(healthy)
			end(t, target, c.verdicts...)
			require.Equal(t, c.state, target.State().State)
			require.Equal(t, c.failures, target.State().Failures)
			require.Equal(t, c.state == "closed", target.Available())
		})
	}
}

func TestWithoutFailuresToCountThereIsNoBreaker(t *testing.T) {
	target := balance.NewTarget(balance.Options{Provider: "acme"})
	for range 1000 {
		end(t, target, balance.Failed)
	}
	require.Equal(t, "closed", target.State().State)
	require.True(t, target.Available())
}

func TestOneTurnTriesATargetAfterItsTime(t *testing.T) {
	for _, c := range []struct {
		name      string
		verdict   balance.Verdict
		state     string
		available bool
	}{
		{"it answers", balance.Good, "closed", true},
		{"it fails again", balance.Failed, "open", false},
		{"nothing is learned, so another may try", balance.Neutral, "half_open", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := balance.NewTarget(healthy)
				end(t, target, balance.Failed, balance.Failed, balance.Failed)
				pause(healthy.Open)
				require.False(t, target.Available())
				pause(time.Millisecond)
				require.Equal(t, "half_open", target.State().State)
				require.True(t, target.Available())

				probe := enter(t, target, "a")
				require.False(t, target.Available(), "one at a time")
				other := enter(t, target, "a")
				other.Leave(balance.Good)
				require.Equal(t, "half_open", target.State().State, "the other does not count")
				probe.Leave(c.verdict)
				require.Equal(t, c.state, target.State().State)
				require.Equal(t, c.available, target.Available())
			})
		})
	}
}

func TestNeutralProbesGoOnUntilOneSaysSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(healthy)
		end(t, target, balance.Failed, balance.Failed, balance.Failed)
		pause(healthy.Open + time.Second)
		for range 20 {
			require.True(t, target.Available())
			end(t, target, balance.Neutral)
		}
		end(t, target, balance.Good)
		require.Equal(t, "closed", target.State().State)
	})
}

func TestTurnsFromBeforeTheBreakerOpenedDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(healthy)
		long := enter(t, target, "a")
		longer := enter(t, target, "a")
		end(t, target, balance.Failed, balance.Failed, balance.Failed)
		long.Leave(balance.Good)
		require.Equal(t, "open", target.State().State)
		pause(healthy.Open + time.Second)
		require.Equal(t, "half_open", target.State().State)
		longer.Leave(balance.Failed)
		require.Equal(t, "half_open", target.State().State)
		require.True(t, target.Available())
	})
}

func TestATurnAtABrokenTargetWorksAndDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(healthy)
		end(t, target, balance.Failed, balance.Failed, balance.Failed)
		for _, v := range []balance.Verdict{balance.Good, balance.Neutral, balance.Failed, balance.Good} {
			end(t, target, v)
			require.Equal(t, "open", target.State().State)
		}
		across := enter(t, target, "a")
		pause(healthy.Open + time.Second)
		across.Leave(balance.Failed)
		require.Equal(t, "half_open", target.State().State)
		end(t, target, balance.Good)
		require.Equal(t, "closed", target.State().State)
		end(t, target, balance.Failed, balance.Failed)
		require.Equal(t, "closed", target.State().State, "counting begins anew")
	})
}

func TestAPauseMakesATargetUnavailableForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(healthy)
		target.Pause(5 * time.Second)
		require.False(t, target.Available())
		require.Equal(t, 5*time.Second, target.State().PausedFor)
		require.Equal(t, "closed", target.State().State)
		pause(2 * time.Second)
		target.Pause(time.Second)
		target.Pause(-time.Second)
		require.Equal(t, 3*time.Second, target.State().PausedFor, "never shortened")
		end(t, target, balance.Good)
		require.False(t, target.Available())
		pause(3 * time.Second)
		require.True(t, target.Available())
		require.Zero(t, target.State().PausedFor)
	})
}

func TestLatencyFollowsTheFirstTokens(t *testing.T) {
	target := balance.NewTarget(healthy)
	require.Zero(t, target.State().Latency)
	turn := enter(t, target, "a")
	turn.FirstToken(100 * time.Millisecond)
	turn.FirstToken(time.Hour)
	turn.Leave(balance.Good)
	require.Equal(t, 100*time.Millisecond, target.State().Latency)
	for range 30 {
		turn := enter(t, target, "a")
		turn.FirstToken(300 * time.Millisecond)
		turn.Leave(balance.Good)
	}
	require.InDelta(t, 300, target.State().Latency.Milliseconds(), 2)
}

func TestATargetThatHangsIsNotQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := balance.NewTarget(healthy)
		hang := func(v balance.Verdict) {
			turn := enter(t, target, "a")
			pause(10 * time.Second)
			turn.Leave(v)
		}
		hang(balance.Failed)
		require.Zero(t, target.State().Latency, "unknown stays unknown")
		turn := enter(t, target, "a")
		turn.FirstToken(time.Second)
		pause(time.Minute)
		turn.Leave(balance.Failed)
		hang(balance.Neutral)
		end(t, target, balance.Failed) // at once, which is not quick either
		require.Equal(t, time.Second, target.State().Latency)
		hang(balance.Failed)
		require.Greater(t, target.State().Latency, 2*time.Second)
	})
}

func TestAReloadKeepsWhatWasLearned(t *testing.T) {
	o := healthy
	o.MaxConcurrent = 2
	target := balance.NewTarget(o)
	turn := enter(t, target, "a")
	end(t, target, balance.Failed, balance.Failed)
	o.MaxConcurrent, o.Failures = 1, 4
	o.Provider, o.Model = "other", "other"
	target.Configure(o)
	require.Equal(t, "acme/small", target.Name())
	require.Equal(t, 1, target.State().Running)
	require.Equal(t, 1, target.State().MaxConcurrent)
	_, err := target.Enter(context.Background(), "a")
	require.Error(t, err)
	turn.Leave(balance.Failed)
	require.Equal(t, "closed", target.State().State)
	end(t, target, balance.Failed)
	require.Equal(t, "open", target.State().State)

	target.Configure(o)
	require.Equal(t, "open", target.State().State)
	o.Open = time.Minute
	target.Configure(o)
	require.Equal(t, "closed", target.State().State, "another time to stay open")
	o.Failures = 0
	target.Configure(o)
	end(t, target, balance.Failed, balance.Failed, balance.Failed, balance.Failed)
	require.True(t, target.Available())
}

func TestNamesOfTargets(t *testing.T) {
	require.Equal(t, "acme", balance.NewTarget(balance.Options{Provider: "acme"}).Name())
	require.Equal(t, "acme/*", balance.NewTarget(balance.Options{Provider: "acme", Model: "*"}).Name())
}

func TestStateInJSONHasMilliseconds(t *testing.T) {
	text, err := json.Marshal([]balance.State{
		{
			Provider: "acme", Model: "small", State: "half_open", Running: 1, Queued: 2, MaxConcurrent: 3,
			Latency: 1500 * time.Microsecond, PausedFor: 2 * time.Second, Failures: 4,
		},
		{Provider: "acme", State: "closed"},
	})
	require.NoError(t, err)
	require.JSONEq(t, `[{"provider":"acme","model":"small","state":"half_open","running":1,"queued":2,
		"max_concurrent":3,"latency_ms":1.5,"paused_for_ms":2000,"failures":4},
		{"provider":"acme","model":"","state":"closed","running":0,"queued":0,"max_concurrent":0,
		"paused_for_ms":0,"failures":0}]`, string(text))
}

func BenchmarkEnterAndLeave(b *testing.B) {
	for _, c := range []struct {
		name string
		o    balance.Options
	}{
		{"without a breaker", balance.Options{MaxConcurrent: 10}},
		{"with a breaker", balance.Options{MaxConcurrent: 10, Failures: 5, Open: time.Second}},
	} {
		b.Run(c.name, func(b *testing.B) {
			target := balance.NewTarget(c.o)
			b.ReportAllocs()
			for b.Loop() {
				turn, err := target.Enter(context.Background(), "a")
				if err != nil {
					b.Fatal(err)
				}
				turn.FirstToken(time.Millisecond)
				turn.Leave(balance.Good)
			}
		})
	}
}
