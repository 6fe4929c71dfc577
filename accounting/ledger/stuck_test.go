package ledger

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// stuckStore is a store whose disk hangs while the gate is shut: before anything is
// written, or after it is kept, so that nobody learns of it.
type stuckStore struct {
	store
	after bool
	gate  sync.RWMutex
}

func (s *stuckStore) transact(ctx context.Context, do func(transaction) error) error {
	if s.after {
		err := s.store.transact(ctx, do)
		s.gate.RLock()
		defer s.gate.RUnlock()
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.store.transact(ctx, do)
}

func TestStuckDiskHoldsUpNobody(t *testing.T) {
	for name, after := range map[string]bool{"before it is written": false, "after it is written": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sqliteURL(t))
			stuck := &stuckStore{after: after}
			l := r.ledger(brief, func(o *Options) {
				o.wrap = func(s store) store {
					stuck.store = s
					return stuck
				}
			})
			open := accounting.NewUID()
			kept(t, l.Begin(intentOf(open, 1)))
			for range 3 {
				stuck.gate.Lock()
				uid, required := accounting.NewUID(), intentOf(accounting.NewUID(), 1)
				required.Required = true
				begin, refused, finish := l.Begin(intentOf(uid, 1)), l.Begin(required), l.Finish(recordOf(uid))
				require.ErrorIs(t, settledWith(t, refused), accounting.ErrLedgerUnavailable)
				kept(t, begin)
				kept(t, finish)
				require.False(t, l.Healthy())
				uid = accounting.NewUID()
				kept(t, l.Begin(intentOf(uid, 1)))
				kept(t, l.Finish(recordOf(uid)))
				stuck.gate.Unlock()
				require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
			}
			require.EqualValues(t, 6, r.number("SELECT COUNT(*) FROM exchanges"))
			require.EqualValues(t, 1, r.number("SELECT COUNT(*) FROM intents"))
			kept(t, l.Finish(recordOf(open)))
			require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
			require.NoError(t, l.Close())
			r.balanced()
		})
	}
}

func TestClosingDoesNotWaitForAStuckDisk(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	stuck := &stuckStore{}
	l := r.ledger(brief, func(o *Options) {
		o.wrap = func(s store) store {
			stuck.store = s
			return stuck
		}
	})
	stuck.gate.Lock()
	uid := accounting.NewUID()
	begin, finish := l.Begin(intentOf(uid, 1)), l.Finish(recordOf(uid))
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "closing waits")
	}
	kept(t, begin)
	kept(t, finish)
	stuck.gate.Unlock()
	r.ledger()
	require.EqualValues(t, 1, r.number("SELECT COUNT(*) FROM exchanges"))
	r.balanced()
}
