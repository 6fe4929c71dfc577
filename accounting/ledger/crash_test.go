package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// die is the end of a process without any care: nothing is said any more, and the lock is
// let go of.
func (r *rig) die(l *Ledger, instance string) {
	r.Helper()
	_, err := r.book.db.Exec(r.book.rebind("UPDATE intents SET instance = ? WHERE instance = ?"), instance, l.Instance())
	require.NoError(r, err)
	_, err = r.book.db.Exec(r.book.rebind("UPDATE checkpoints SET instance = ? WHERE instance = ?"), instance, l.Instance())
	require.NoError(r, err)
	_, err = r.book.db.Exec(r.book.rebind("INSERT INTO instances VALUES (?, 0, 0)"), instance)
	require.NoError(r, err)
}

func testCrash(t *testing.T, r *rig) {
	l := r.ledger()
	running, unknown, both := accounting.NewUID(), accounting.NewUID(), accounting.NewUID()
	kept(t, l.Begin(intentOf(running, 1)))
	kept(t, l.Begin(intentOf(unknown, 1)))
	kept(t, l.Begin(intentOf(both, 1)))
	kept(t, l.Begin(intentOf(both, 2)))
	input, output := int64(900), int64(33)
	require.Eventually(t, func() bool {
		l.Checkpoint([]accounting.Checkpoint{
			{UID: running, Phase: accounting.PhaseStreaming, Input: &input, Output: &output, Chunks: 30},
			{UID: both, Phase: accounting.PhaseAwaitToken},
		})
		return r.number("SELECT COUNT(*) FROM checkpoints") == 1
	}, patience, 10*time.Millisecond)
	r.die(l, "dead")

	var told []*accounting.Record
	second := r.ledger(func(o *Options) {
		o.Complete = func(record *accounting.Record) { cost := int64(7); record.CostNanoUSD = &cost }
		o.Crashed = func(record *accounting.Record) { told = append(told, record) }
	})
	require.Len(t, told, 3)
	require.Equal(t, map[string]int64{"crash": 3}, r.outcomes())
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	require.Zero(t, r.number("SELECT COUNT(*) FROM checkpoints"))
	require.Zero(t, r.number("SELECT COUNT(*) FROM instances WHERE instance = 'dead'"))
	got, err := r.book.Record(t.Context(), running)
	require.NoError(t, err)
	require.Equal(t, accounting.SourceRunning, got.UsageSource)
	require.Equal(t, tokens.Known(33), got.Usage.Output)
	require.EqualValues(t, 7, *got.CostNanoUSD)
	got, err = r.book.Record(t.Context(), both)
	require.NoError(t, err)
	require.Len(t, got.Attempts, 2)
	require.EqualValues(t, 3, metricOf(t, second.metrics.recovered))
	r.balanced()
}

func testMistakenCrash(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Begin(intentOf(uid, 1)))
	r.die(l, "taken for dead")
	r.ledger()
	require.Equal(t, map[string]int64{"crash": 1}, r.outcomes())
	kept(t, l.Begin(intentOf(uid, 2)))
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"), "the exchange has a record")
	kept(t, l.Finish(recordOf(uid)))
	require.Equal(t, map[string]int64{"completed": 1}, r.outcomes())
	got, err := r.book.Record(t.Context(), uid)
	require.NoError(t, err)
	require.Equal(t, recordOf(uid), got)
	third := r.ledger()
	require.ErrorIs(t, settledWith(t, third.Finish(recordOf(uid))), accounting.ErrAlreadyFinished)
	r.balanced()
}

func testCloseOpen(t *testing.T, r *rig) {
	l := r.ledger()
	kept(t, l.Begin(intentOf(accounting.NewUID(), 1)))
	require.NoError(t, l.Close())
	require.EqualValues(t, 1, r.number("SELECT COUNT(*) FROM intents"))
	r.ledger()
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	require.Equal(t, map[string]int64{"crash": 1}, r.outcomes())
	r.balanced()
}

func TestCrashIsCountedByWhatIsKnownOfIt(t *testing.T) {
	input, output := int64(900), int64(33)
	at := started.Add(2 * time.Second)
	for _, test := range []struct {
		name     string
		last     *accounting.Checkpoint
		source   accounting.Source
		usage    tokens.Usage
		phase    accounting.Phase
		mayBill  string
		warnings int
	}{
		{
			"nothing was noted", nil, accounting.SourceEstimated,
			tokens.Usage{Input: tokens.Known(1000)},
			accounting.PhaseSending, accounting.MayBillPartial, 1,
		},
		{
			"still connecting", &accounting.Checkpoint{Phase: accounting.PhaseConnect}, accounting.SourceNone,
			tokens.Usage{},
			accounting.PhaseConnect, accounting.MayBillNone, 0,
		},
		{
			"provider counts", &accounting.Checkpoint{Phase: accounting.PhaseStreaming, Input: &input, Output: &output, OutputBytes: 1},
			accounting.SourceRunning,
			tokens.Usage{Input: tokens.Known(900), Output: tokens.Known(33)},
			accounting.PhaseStreaming, accounting.MayBillPartial, 0,
		},
		{
			"provider counts the input", &accounting.Checkpoint{Phase: accounting.PhaseStreaming, Input: &input, OutputBytes: 401},
			accounting.SourceRunning,
			tokens.Usage{Input: tokens.Known(900), Output: tokens.Known(101)},
			accounting.PhaseStreaming, accounting.MayBillPartial, 1,
		},
		{
			"sizes alone", &accounting.Checkpoint{Phase: accounting.PhaseStreaming, OutputBytes: 400},
			accounting.SourceEstimated,
			tokens.Usage{Input: tokens.Known(1000), Output: tokens.Known(100)},
			accounting.PhaseStreaming, accounting.MayBillPartial, 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			uid := accounting.NewUID()
			first, second := intentOf(uid, 9), intentOf(uid, 10)
			var last *checkpoint
			if test.last != nil {
				last = &checkpoint{Checkpoint: *test.last, at: at}
			}
			r := crashRecord([]*accounting.Intent{&second, &first}, last)
			require.Equal(t, accounting.OutcomeCrash, r.Outcome)
			require.Equal(t, test.source, r.UsageSource)
			require.Equal(t, test.usage, r.Usage)
			require.Equal(t, test.phase, r.Phase)
			require.Equal(t, test.mayBill, r.MayBill)
			require.Len(t, r.Warnings, test.warnings)
			require.Equal(t, test.name == "provider counts the input", r.OutputEstimated)
			require.False(t, r.Delivered)
			require.Zero(t, r.StatusDownstream)
			require.Equal(t, []string{first.AttemptID, second.AttemptID}, []string{r.Attempts[0].ID, r.Attempts[1].ID})
			if last != nil {
				require.Equal(t, 2*time.Second, r.Total)
			}
		})
	}
}
