package prices

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func TestBoundsOfACutAnswer(t *testing.T) {
	table := New([]Price{
		{Model: "m", Input: usd, Output: 2 * usd},
		{Model: "m", AboveInput: 1000, Input: 3 * usd, Output: 4 * usd},
	})
	const unbounded = -1
	f := func(u tokens.Usage, bill string, maxOutput, low, high int64) {
		t.Helper()
		l, h := table.Bounds(Subject{Model: "m"}, u, bill, maxOutput)
		require.NotNil(t, l)
		require.Equal(t, low, *l)
		if high == unbounded {
			require.Nil(t, h)
		} else {
			require.NotNil(t, h)
			require.Equal(t, high, *h)
		}
	}
	// 10 in at 1,000 nano and 5 out at 2,000 are 20,000; with 100 out 210,000.
	cut := usage(10, -1, -1, -1, 5)
	f(cut, BillNone, 100, 0, 0)
	f(cut, BillPartial, 100, 20_000, 20_000)
	f(cut, BillCompleted, 100, 20_000, 20_000)
	f(cut, BillFull, 100, 20_000, 210_000)
	f(cut, BillUnknown, 100, 0, 210_000)
	f(cut, "", 100, 0, 210_000) // nothing is said
	f(cut, BillFull, 0, 20_000, unbounded)
	f(cut, BillUnknown, 0, 0, unbounded)
	f(cut, BillFull, 3, 20_000, 20_000) // more than there should have been has come
	f(usage(10), BillFull, 100, 10_000, 210_000)
	f(usage(-1, -1, -1, -1, 5), BillFull, 100, 10_000, unbounded)
	// The size of the request is the same: 2,000 * 3,000 + 100 * 4,000.
	f(usage(2000), BillUnknown, 100, 0, 6_400_000)
	// Reasoning of output that is not known otherwise: at least 7.
	f(usage(0, -1, -1, -1, -1, 7), BillFull, 3, 14_000, 14_000)
}

func TestNothingIsBoundedWithoutAPriceOrACount(t *testing.T) {
	table := New([]Price{{Model: "m", Input: usd, Output: usd}})
	for _, bill := range []string{BillPartial, BillFull, BillUnknown, BillCompleted, ""} {
		low, high := table.Bounds(Subject{Model: "other"}, usage(1), bill, 1)
		require.Nil(t, low)
		require.Nil(t, high)
		low, high = table.Bounds(Subject{Model: "m"}, tokens.Usage{}, bill, 1)
		require.Nil(t, low)
		require.Nil(t, high)
	}
	low, high := table.Bounds(Subject{Model: "other"}, tokens.Usage{}, BillNone, 0)
	require.Zero(t, *low)
	require.Zero(t, *high)
}
