package accounting

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAReceiptTellsEveryoneOnce(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		r := NewReceipt()
		var told atomic.Int64
		var wg sync.WaitGroup
		tell := func(err error) {
			if errors.Is(err, want) {
				told.Add(1)
			}
		}
		r.Then(tell)
		for range 8 {
			wg.Go(func() {
				r.Then(tell)
				if errors.Is(r.Err(), want) {
					told.Add(1)
				}
			})
		}
		r.Settle(want)
		wg.Wait()
		r.Then(tell)
		<-r.Done()
		require.EqualValues(t, 1+8+8+1, told.Load())
	}
}

func TestASettledReceiptAnswersAtOnce(t *testing.T) {
	require.NoError(t, Settled(nil).Err())
	require.Same(t, Settled(nil), Settled(nil))
	require.ErrorIs(t, Settled(ErrLedgerClosed).Err(), ErrLedgerClosed)
}
