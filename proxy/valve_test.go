package proxy

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

func TestValveFirstCauseWinsAndClosesOnce(t *testing.T) {
	for range 200 {
		var v valve
		var closes atomic.Int32
		require.True(t, v.bind(closeFunc(func() { closes.Add(1) })))

		causes := []accounting.Outcome{
			accounting.OutcomeClientGone, accounting.OutcomeCancelled,
			accounting.OutcomeUpstreamTimeout, accounting.OutcomeShutdown,
		}
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for _, c := range causes {
			wg.Go(func() {
				if v.shut(ending{outcome: c}) {
					won.Add(1)
					winner.Store(c)
				}
			})
		}
		wg.Wait()

		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 1, closes.Load())
		e, ok := v.ended()
		require.True(t, ok)
		require.Equal(t, winner.Load(), e.outcome)
	}
}

func TestValveClosesWhatIsBoundTooLate(t *testing.T) {
	var v valve
	require.True(t, v.shut(ending{outcome: accounting.OutcomeClientGone}))

	closed := false
	require.False(t, v.bind(closeFunc(func() { closed = true })))
	require.True(t, closed)
}

func TestValveSettleKeepsTheUpstreamOpen(t *testing.T) {
	var v valve
	closed := false
	require.True(t, v.bind(closeFunc(func() { closed = true })))

	require.True(t, v.settle(ending{outcome: accounting.OutcomeCompleted}))
	require.False(t, v.shut(ending{outcome: accounting.OutcomeCancelled}))
	require.False(t, closed)

	e, _ := v.ended()
	require.Equal(t, accounting.OutcomeCompleted, e.outcome)
}

func TestValveTellsThePumpBeforeTheUpstreamCloses(t *testing.T) {
	var order []string
	v := valve{onEnd: func(ending) { order = append(order, "told") }}
	require.True(t, v.bind(closeFunc(func() { order = append(order, "closed") })))
	require.True(t, v.shut(ending{outcome: accounting.OutcomeCancelled}))
	require.Equal(t, []string{"told", "closed"}, order)
}
