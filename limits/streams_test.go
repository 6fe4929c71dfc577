package limits

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestStreamsAreFreeAgainWhenTheyEnd(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{Streams: 2})
		one, two := must(t, l, ask(Amount{}, s)), must(t, l, ask(Amount{}, s))
		require.Equal(t, int64(2), l.Held().Streams)
		refused := refuse(t, l, ask(Amount{}, s))
		require.Equal(t, LimitStreams, refused.Limit)
		require.Positive(t, refused.RetryAfter)
		one.Settle(Amount{})
		one.Settle(Amount{})
		require.Eventually(t, func() bool {
			three, err := l.Reserve(context.Background(), ask(Amount{}, s))
			if err == nil {
				three.Settle(Amount{})
			}
			return err == nil
		}, soon, time.Millisecond)
		two.Settle(Amount{})
		r.idle(t, l)
	})
}

func TestWhoWaitedForAnEndFindsItsPlaceFree(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{Streams: 1, TokensPerMinute: 1000, Budgets: []Budget{{Unit: Tokens, Amount: 1000, Per: Day, Hard: true}}})
		for range 100 {
			one := must(t, l, ask(tokens(1000), s))
			requireRefused(t, one.Extend(context.Background(), tokens(1001)))
			one.Settle(Amount{})
		}
		r.idle(t, l)
	})
}

func TestOnlyTheFirstSettlementCounts(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		b := Budget{Unit: Tokens, Amount: 1000, Per: Total}
		s := subject(Key, Quota{Streams: 1, TokensPerMinute: 1000, Budgets: []Budget{b}})
		one := must(t, l, ask(tokens(100), s))
		for range 8 {
			go one.Settle(tokens(10))
		}
		r.requireSpent(t, 10, l, s, b)
		one.Settle(tokens(500))
		r.idle(t, l)
		r.requireSpent(t, 10, l, s, b)
		require.ErrorIs(t, one.Extend(context.Background(), tokens(900)), ErrSettled)
	})
}

func TestMetricsTellWhatIsHeldAndRefused(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	l := (&rig{}).limiter(t, func(o *Options) { o.Registerer = registry })
	s := subject(Key, Quota{Streams: 1})
	one := must(t, l, ask(Amount{Tokens: 5, NanoUSD: 7}, s))
	refuse(t, l, ask(Amount{}, s))
	families, err := registry.Gather()
	require.NoError(t, err)
	held := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "sluice_limits_held":
				held[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			case "sluice_limits_refused_total":
				require.Equal(t, "key", m.GetLabel()[0].GetValue())
				require.Equal(t, "streams", m.GetLabel()[1].GetValue())
				require.Equal(t, 1.0, m.GetCounter().GetValue())
			}
		}
	}
	require.Equal(t, map[string]float64{"reservations": 1, "streams": 1, "tokens": 5, "nano_usd": 7, "queued": 0}, held)
	one.Settle(Amount{})
}

func TestAClosedLimiterRefuses(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		s := subject(Key, Quota{Streams: 1})
		one := must(t, l, ask(Amount{}, s))
		l.Close()
		_, err := l.Reserve(context.Background(), ask(Amount{}, s))
		requireUnavailable(t, err)
		require.ErrorIs(t, err, ErrClosed)
		one.Settle(Amount{})
	})
}

func TestARequestWhoseClientIsGoneIsNotAdmitted(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		l := r.limiter(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := l.Reserve(ctx, ask(Amount{}, subject(Key, Quota{Streams: 1})))
		require.ErrorIs(t, err, context.Canceled)
		r.idle(t, l)
	})
}
