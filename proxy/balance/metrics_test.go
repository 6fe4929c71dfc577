package balance_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

// scrape returns all series as they are written, labels in the order of the alphabet.
func scrape(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	series := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += fmt.Sprintf(",%s=%s", l.GetName(), l.GetValue())
			}
			series[f.GetName()+labels] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return series
}

func TestMetricsTellTheStateOfEachTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := balance.NewTarget(balance.Options{Provider: "acme", Model: "small", MaxConcurrent: 1, QueueMax: 1, Failures: 2, Open: time.Minute})
		broken := balance.NewTarget(balance.Options{Provider: "other", Model: "*", Failures: 1, Open: time.Second})
		end(t, broken, balance.Failed)
		turn := enter(t, good, "a")
		turn.FirstToken(250 * time.Millisecond)
		c := newCallers(good)
		c.queue("a", "a1")

		r := prometheus.NewPedanticRegistry()
		balance.NewMetrics(r, func() []*balance.Target { return []*balance.Target{good, broken, good} })
		want := map[string]float64{
			"sluice_target_available,model=small,provider=acme":          1,
			"sluice_target_state,model=small,provider=acme,state=closed": 1,
			"sluice_target_running,model=small,provider=acme":            1,
			"sluice_target_queued,model=small,provider=acme":             1,
			"sluice_target_latency_seconds,model=small,provider=acme":    0.25,
			"sluice_target_opened_total,model=small,provider=acme":       0,
			"sluice_target_available,model=*,provider=other":             0,
			"sluice_target_state,model=*,provider=other,state=open":      1,
			"sluice_target_running,model=*,provider=other":               0,
			"sluice_target_queued,model=*,provider=other":                0,
			"sluice_target_opened_total,model=*,provider=other":          1,
		}
		require.Equal(t, want, scrape(t, r))

		pause(2 * time.Second)
		delete(want, "sluice_target_state,model=*,provider=other,state=open")
		want["sluice_target_state,model=*,provider=other,state=half_open"] = 1
		want["sluice_target_available,model=*,provider=other"] = 1
		require.Equal(t, want, scrape(t, r))

		end(t, broken, balance.Failed)
		require.Equal(t, 2.0, scrape(t, r)["sluice_target_opened_total,model=*,provider=other"])
		turn.Leave(balance.Good)
		c.drain(1)
	})
}

func TestMetricsForgetTargetsThatAreGone(t *testing.T) {
	targets := []*balance.Target{
		balance.NewTarget(balance.Options{Provider: "acme", Model: "small"}),
		balance.NewTarget(balance.Options{Provider: "acme", Model: "large"}),
	}
	r := prometheus.NewPedanticRegistry()
	m := balance.NewMetrics(r, func() []*balance.Target { return targets })
	m.Retried("acme", "small", "connect")
	m.Retried("acme", "small", "connect")
	m.Retried("acme", "large", "status")
	m.Hedged("acme", "large", "won")
	m.Hedged("acme", "small", "lost")
	m.RetryDenied("chat")
	both := scrape(t, r)
	require.Equal(t, 1.0, both["sluice_retries_total,model=large,provider=acme,reason=status"])
	require.Equal(t, 1.0, both["sluice_hedges_total,model=large,provider=acme,result=won"])

	targets = targets[:1]
	m.Retried("acme", "large", "connect") // by a request that outlives it
	require.Equal(t, map[string]float64{
		"sluice_target_available,model=small,provider=acme":             1,
		"sluice_target_state,model=small,provider=acme,state=closed":    1,
		"sluice_target_running,model=small,provider=acme":               0,
		"sluice_target_queued,model=small,provider=acme":                0,
		"sluice_target_opened_total,model=small,provider=acme":          0,
		"sluice_retries_total,model=small,provider=acme,reason=connect": 2,
		"sluice_hedges_total,model=small,provider=acme,result=lost":     1,
		"sluice_retries_denied_total,model=chat":                        1,
	}, scrape(t, r))
}

func TestMetricsNeedNoRegistry(*testing.T) {
	m := balance.NewMetrics(nil, func() []*balance.Target { return nil })
	m.Retried("acme", "small", "connect")
}
