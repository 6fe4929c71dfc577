package ledger

import (
	"fmt"
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
	beside := intentOf(both, 2)
	beside.Provider = "other"
	kept(t, l.Begin(beside))
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
	require.Equal(t, accounting.OutcomeCrash, got.Attempts[0].Outcome)
	require.Equal(t, []bool{false, true}, []bool{got.Attempts[0].Final, got.Attempts[1].Final})
	require.Equal(t, "other", got.Provider)
	require.EqualValues(t, 1, r.number("SELECT SUM(exchanges) FROM usage_daily WHERE provider = 'other'"))
	require.EqualValues(t, 1, r.number("SELECT SUM(abandoned) FROM usage_daily WHERE provider = 'openai'"))
	require.EqualValues(t, 3, metricOf(t, second.metrics.recovered))
	r.balanced()
}

func testMistakenCrash(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Begin(intentOf(uid, 1)))
	kept(t, l.Begin(intentOf(uid, 3)))
	r.die(l, "taken for dead")
	r.ledger()
	require.Equal(t, map[string]int64{"crash": 1}, r.outcomes())
	require.EqualValues(t, 1, r.number("SELECT SUM(abandoned) FROM usage_daily"))
	r.balanced()
	kept(t, l.Begin(intentOf(uid, 2)))
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"), "the exchange has a record")
	kept(t, l.Finish(recordOf(uid)))
	require.Equal(t, map[string]int64{"completed": 1}, r.outcomes())
	require.Zero(t, r.number("SELECT SUM(abandoned) FROM usage_daily"))
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
			second.Before = []accounting.Attempt{{ID: first.AttemptID, Outcome: accounting.OutcomeUpstreamError, Start: started}}
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

// row D2
func TestCrashOfAnExchangeWithSeveralAttempts(t *testing.T) {
	uid := accounting.NewUID()
	input, output := int64(900), int64(33)
	intent := func(n int, kind string, before ...accounting.Attempt) accounting.Intent {
		i := intentOf(uid, n)
		i.Provider, i.Target, i.Kind, i.Before = fmt.Sprintf("p%d", n), fmt.Sprintf("p%d/m", n), kind, before
		i.Begun = started.Add(time.Duration(n) * time.Second)
		return i
	}
	ended := func(n int, used tokens.Usage) accounting.Attempt {
		return accounting.Attempt{
			ID: intentOf(uid, n).AttemptID, Provider: fmt.Sprintf("p%d", n), Outcome: accounting.OutcomeUpstreamTimeout, Start: started,
			Usage: used, UsageSource: accounting.SourceRunning, MayBill: accounting.MayBillFull,
		}
	}
	running := func(n int) *checkpoint {
		return &checkpoint{at: started.Add(5 * time.Second), Checkpoint: accounting.Checkpoint{
			UID: uid, AttemptID: intentOf(uid, n).AttemptID, Phase: accounting.PhaseStreaming, Input: &input, Output: &output, Chunks: 7,
		}}
	}
	type row struct {
		provider string
		outcome  accounting.Outcome
		final    bool
		input    tokens.Count
	}
	const timeout, crash = accounting.OutcomeUpstreamTimeout, accounting.OutcomeCrash
	estimate, stated := tokens.Known(1000), tokens.Known(77)
	known, unknown := tokens.Usage{Input: tokens.Known(900), Output: tokens.Known(33)}, tokens.Usage{Input: estimate}
	first := intent(1, accounting.AttemptFirst)
	for _, test := range []struct {
		name     string
		intents  []accounting.Intent
		last     *checkpoint
		usage    tokens.Usage
		rows     []row
		warnings int
	}{
		{
			"a retry had begun",
			[]accounting.Intent{intent(2, accounting.AttemptRetry, ended(1, tokens.Usage{Input: stated})), first},
			running(2),
			known,
			[]row{{"p1", timeout, false, stated}, {"p2", crash, true, tokens.Count{}}},
			0,
		},
		{
			"what was noted is of the attempt before",
			[]accounting.Intent{first, intent(2, accounting.AttemptRetry, ended(1, tokens.Usage{}))},
			running(1),
			unknown,
			[]row{{"p1", timeout, false, tokens.Count{}}, {"p2", crash, true, tokens.Count{}}},
			1,
		},
		{
			"a hedge ran beside the one that led",
			[]accounting.Intent{first, intent(2, accounting.AttemptHedge)},
			running(1),
			known,
			[]row{{"p1", crash, true, tokens.Count{}}, {"p2", crash, false, estimate}},
			1,
		},
		{
			"a hedge led",
			[]accounting.Intent{first, intent(2, accounting.AttemptHedge)},
			running(2),
			known,
			[]row{{"p1", crash, false, estimate}, {"p2", crash, true, tokens.Count{}}},
			1,
		},
		{
			"nothing was noted of two",
			[]accounting.Intent{first, intent(2, accounting.AttemptHedge)},
			nil,
			unknown,
			[]row{{"p1", crash, false, estimate}, {"p2", crash, true, tokens.Count{}}},
			2,
		},
		{
			"the one before was about to be tried again",
			[]accounting.Intent{first},
			running(1),
			known,
			[]row{{"p1", crash, true, tokens.Count{}}},
			0,
		},
		{
			"one of three has ended",
			[]accounting.Intent{
				intent(10, accounting.AttemptFallback, ended(9, tokens.Usage{Input: stated})), intent(9, accounting.AttemptFirst), intent(11, accounting.AttemptHedge),
			},
			running(10),
			known,
			[]row{{"p9", timeout, false, stated}, {"p10", crash, true, tokens.Count{}}, {"p11", crash, false, estimate}},
			1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			intents := make([]*accounting.Intent, len(test.intents))
			for i := range test.intents {
				intents[i] = &test.intents[i]
			}
			r := crashRecord(intents, test.last)
			var got []row
			for _, a := range r.Attempts {
				got = append(got, row{a.Provider, a.Outcome, a.Final, a.Usage.Input})
				require.Equal(t, !a.Final && a.Usage.Any() || a.Outcome == timeout, a.Abandoned())
				if a.Final {
					require.Equal(t, []string{a.Provider, a.Provider + "/m"}, []string{r.Provider, r.Target})
				}
			}
			require.Equal(t, test.rows, got)
			require.Equal(t, test.usage, r.Usage)
			require.Len(t, r.Warnings, test.warnings)
			require.Equal(t, started, r.Start)
			if test.last != nil {
				require.Equal(t, 5*time.Second, r.Total)
			}
		})
	}
}

func TestCrashOfAnIntentThatCannotBeRead(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Begin(intentOf(uid, 1)))
	_, err := r.book.db.Exec("UPDATE intents SET intent = '{'")
	require.NoError(t, err)
	r.die(l, "dead")
	r.ledger()
	got, err := r.book.Record(t.Context(), uid)
	require.NoError(t, err)
	require.Len(t, got.Attempts, 1)
	require.Equal(t, intentOf(uid, 1).AttemptID, got.Attempts[0].ID)
	require.True(t, got.Attempts[0].Final)
}
