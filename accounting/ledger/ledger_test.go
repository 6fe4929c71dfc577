package ledger

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/servers"
)

func TestLedgerInSQLite(t *testing.T) { testLedger(t, sqliteURL) }

func TestLedgerInPostgreSQL(t *testing.T) { testLedger(t, servers.StartPostgres(t).Database) }

// testLedger is what holds for both engines.
func testLedger(t *testing.T, url func(testing.TB) string) {
	for _, test := range []struct {
		name string
		f    func(*testing.T, *rig)
	}{
		{"an intent is kept before its receipt, and goes with the record", testIntent},
		{"a record comes back as it was", testRecord},
		{"a record with hostile texts is kept", testHostile},
		{"a commit is on the disk", testOnDisk},
		{"absurd numbers do not break the sums", testAbsurd},
		{"what the database refuses is not in the way of the rest", testRefused},
		{"one record for each exchange", testOnce},
		{"one finish wins whatever races", testRaces},
		{"one finish wins in two processes", testTwoLedgers},
		{"the latest record answers for an id", testLatest},
		{"amending replaces the record and the sums", testAmend},
		{"several attempts come back and count for their providers", testContest},
		{"amending at once what has abandoned attempts", testAmendAtOnce},
		{"amending what is not there", testAmendNothing},
		{"a ledger says whether it can take intents", testReady},
		{"many at once are few transactions", testGroupCommit},
		{"checkpoints are kept and forgotten", testCheckpoint},
		{"open exchanges are closed as crashes", testCrash},
		{"a crash that was none gives way to the record", testMistakenCrash},
		{"closing with open exchanges leaves them to the next", testCloseOpen},
		{"prompts and answers are kept", testCaptures},
		{"a closed ledger takes nothing", testClosed},
		{"exchanges without a name are refused", testNoID},
		{"a pass over the same entries again changes nothing", testReplayTwice},
		{"metrics tell what happens", testMetrics},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, newRig(t, url(t))) })
	}
}

func testIntent(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Begin(intentOf(uid, 1)))
	kept(t, l.Begin(intentOf(uid, 2)))
	require.EqualValues(t, 2, r.number("SELECT COUNT(*) FROM intents WHERE instance = ?", l.Instance()))
	kept(t, l.Finish(recordOf(uid)))
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	r.balanced()
}

func testRecord(t *testing.T, r *rig) {
	l := r.ledger()
	full := recordOf(accounting.NewUID())
	full.Metadata = map[string]string{"team": "search"}
	full.Usage.OutputReasoning, full.Usage.InputAudio = tokens.Known(12), tokens.Known(3)
	full.Estimate = &tokens.Usage{Input: tokens.Known(1000)}
	micros := int64(420)
	full.CloseMicros, full.HalfClosed, full.Code, full.OutputEstimated = &micros, true, "cancelled", true
	full.ToolCalls = []accounting.ToolCallSummary{{Choice: 0, Index: 1, Name: "search", ArgumentBytes: 20, Complete: true}}
	full.AccountingDegraded, full.BadEvents, full.ServiceTier = true, 3, "flex"
	full.Warnings = []string{"a warning"}
	full.Attempts = append(full.Attempts, accounting.Attempt{
		ID: "second", Phase: accounting.PhaseConnect, Outcome: accounting.OutcomeUpstreamError, Start: started, Code: "refused",
	})
	bare := &accounting.Record{UID: accounting.NewUID(), ID: "bare", Start: started}
	for _, record := range []*accounting.Record{full, bare} {
		want := *record
		kept(t, l.Finish(record))
		got, err := r.book.Record(t.Context(), record.UID)
		require.NoError(t, err)
		require.Equal(t, &want, got)
	}
	_, err := r.book.Record(t.Context(), accounting.NewUID())
	require.ErrorIs(t, err, ErrNoRecord)
	r.balanced()
}

func testHostile(t *testing.T, r *rig) {
	l := r.ledger()
	for _, s := range []string{"a\x00b", "\xff\xfe", strings.Repeat("é", 5000), strings.Repeat("x", 1<<20), "'; DROP TABLE exchanges; --", "$1 ? \u2028"} {
		uid := accounting.NewUID()
		intent := intentOf(uid, 1)
		intent.ID, intent.Key, intent.ModelAsked, intent.Model, intent.AttemptID = s, s, s, s, s
		kept(t, l.Begin(intent))
		record := recordOf(uid)
		record.ID, record.Key, record.ModelAsked, record.ModelServed, record.Provider = s, s, s, s, s
		record.UpstreamRequestID, record.Warnings, record.Code = s, []string{s}, s
		record.RawUsage = []byte("{\"a\":\"\xff\\u0000\"}")
		record.StatusUpstream = 1 << 40
		record.Start = time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)
		record.Attempts[0].ID, record.Attempts[0].Model = s, s
		kept(t, l.Finish(record))
		got, err := r.book.Record(t.Context(), uid)
		require.NoError(t, err)
		require.LessOrEqual(t, len(got.ModelAsked), maxName)
		again := *recordOf(uid)
		again.Key, again.ModelAsked = s, s
		kept(t, l.Amend(&again))
		_, found := l.Get(t.Context(), s)
		require.True(t, found)
	}
	r.balanced()
}

// testOnDisk checks what the engines are told about commits.
func testOnDisk(t *testing.T, r *rig) {
	if r.book.engine == PostgreSQL {
		var name string
		require.NoError(t, r.book.db.QueryRow("SELECT current_database()").Scan(&name))
		_, err := r.book.db.Exec("ALTER DATABASE " + name + " SET synchronous_commit = off")
		require.NoError(t, err)
	}
	s, err := newStore(r.open())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	want := map[string]string{"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2"}
	if r.book.engine == PostgreSQL {
		want = map[string]string{"SHOW synchronous_commit": "on", "SHOW enable_seqscan": "off"}
	}
	for question, answer := range want {
		ask := &command{sqlite: question, postgres: question}
		err := s.transact(t.Context(), func(tx transaction) error {
			return tx.query(ask, [][]any{{}}, func(row scanner) error {
				var got string
				require.NoError(t, row.Scan(&got))
				require.Equal(t, answer, got, question)
				return nil
			})
		})
		require.NoError(t, err)
	}
}

func testAbsurd(t *testing.T, r *rig) {
	l := r.ledger()
	for range 3 {
		record := recordOf(accounting.NewUID())
		most := int64(math.MaxInt64)
		record.Usage = tokens.Usage{Input: tokens.Known(most), Output: tokens.Known(-most), InputCached: tokens.Known(0)}
		record.CostNanoUSD, record.CostLowNanoUSD, record.CostHighNanoUSD = &most, nil, nil
		kept(t, l.Finish(record))
	}
	r.balanced()
	require.EqualValues(t, 3*maxTokens, r.number("SELECT SUM(input) FROM usage_daily"))
}

func testRefused(t *testing.T, r *rig) {
	trigger := "CREATE TRIGGER refusing BEFORE INSERT ON exchanges WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
	if r.book.engine == PostgreSQL {
		trigger = "ALTER TABLE exchanges ADD CONSTRAINT refusing CHECK (key <> 'bad')"
	}
	_, err := r.book.db.Exec(trigger)
	require.NoError(t, err)
	l := r.ledger()
	hold := r.stall(l)
	good, bad := recordOf(accounting.NewUID()), recordOf(accounting.NewUID())
	bad.Key = "bad"
	receipts := []*accounting.Receipt{l.Finish(recordOf(accounting.NewUID())), l.Finish(bad), l.Finish(good)}
	hold()
	kept(t, receipts[0])
	require.ErrorIs(t, settledWith(t, receipts[1]), errRefused)
	kept(t, receipts[2])
	require.True(t, l.Healthy())
	r.balanced()
}

// stall keeps the database from taking anything, until the function that it returns is
// called. Then everything that came meanwhile is in one transaction.
func (r *rig) stall(l *Ledger) (release func()) {
	r.Helper()
	conn, err := r.book.db.Conn(r.Context())
	require.NoError(r, err)
	begin := []string{"BEGIN IMMEDIATE"}
	if r.book.engine == PostgreSQL {
		begin = []string{"BEGIN", "LOCK TABLE exchanges, intents, usage_daily, instances IN ACCESS EXCLUSIVE MODE"}
	}
	for _, statement := range begin {
		require.Eventually(r, func() bool { // a writer under load lets nobody in for a while
			_, err = conn.ExecContext(r.Context(), statement)
			return err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY")
		}, 6*patience, time.Millisecond)
		require.NoError(r, err)
	}
	return func() {
		_, err := conn.ExecContext(r.Context(), "ROLLBACK")
		require.NoError(r, err)
		require.NoError(r, conn.Close())
	}
}

func testOnce(t *testing.T, r *rig) {
	l := r.ledger(func(o *Options) { o.Recent = 1 })
	first, second := recordOf(accounting.NewUID()), recordOf(accounting.NewUID())
	kept(t, l.Finish(first))
	again := *recordOf(first.UID)
	again.Chunks = 1
	require.ErrorIs(t, settledWith(t, l.Finish(&again)), accounting.ErrAlreadyFinished, "while it is remembered")
	kept(t, l.Finish(second))
	require.ErrorIs(t, settledWith(t, l.Finish(&again)), accounting.ErrAlreadyFinished, "when only the database knows")
	got, err := r.book.Record(t.Context(), first.UID)
	require.NoError(t, err)
	require.EqualValues(t, 257, got.Chunks, "the first record stands")
	require.EqualValues(t, 2, r.number("SELECT COUNT(*) FROM exchanges"))
	require.EqualValues(t, 2, r.number("SELECT COUNT(*) FROM attempts"))
	r.balanced()
}

func testRaces(t *testing.T, r *rig) {
	const exchanges, racers = 100, 4
	l := r.ledger(func(o *Options) { o.Recent = 1 })
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for range exchanges {
		uid := accounting.NewUID()
		kept(t, l.Begin(intentOf(uid, 1)))
		for range racers {
			wg.Go(func() {
				if err := settledWith(t, l.Finish(recordOf(uid))); err == nil {
					won.Add(1)
				} else if errors.Is(err, accounting.ErrAlreadyFinished) {
					lost.Add(1)
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, exchanges, won.Load())
	require.EqualValues(t, exchanges*(racers-1), lost.Load())
	require.EqualValues(t, exchanges, r.number("SELECT COUNT(*) FROM exchanges"))
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	r.balanced()
}

func testTwoLedgers(t *testing.T, r *rig) {
	const exchanges = 200
	ledgers := []*Ledger{r.ledger(), r.ledger()}
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for range exchanges {
		uid := accounting.NewUID()
		for _, l := range ledgers {
			wg.Go(func() {
				if err := settledWith(t, l.Finish(recordOf(uid))); err == nil {
					won.Add(1)
				} else if errors.Is(err, accounting.ErrAlreadyFinished) {
					lost.Add(1)
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, exchanges, won.Load())
	require.EqualValues(t, exchanges, lost.Load())
	require.EqualValues(t, exchanges, r.number("SELECT COUNT(*) FROM exchanges"))
	r.balanced()
}

func testLatest(t *testing.T, r *rig) {
	l := r.ledger(func(o *Options) { o.Recent = 1 })
	for n := range 3 {
		record := recordOf(accounting.NewUID())
		record.ID, record.Chunks = "again", int64(n)
		record.Start = started.Add(time.Duration(n) * time.Second)
		kept(t, l.Finish(record))
	}
	kept(t, l.Finish(recordOf(accounting.NewUID())))
	got, found := l.Get(t.Context(), "again")
	require.True(t, found)
	require.EqualValues(t, 2, got.Chunks)
	require.Len(t, got.Attempts, 1)
	_, found = l.Get(t.Context(), "never")
	require.False(t, found)
	require.Len(t, l.Recent(0), 1)
}

func testAmend(t *testing.T, r *rig) {
	l := r.ledger()
	records := make([]*accounting.Record, 5)
	for i := range records {
		records[i] = recordOf(accounting.NewUID())
		kept(t, l.Finish(records[i]))
	}
	for i, record := range records {
		amended := *record
		amended.Outcome, amended.Delivered, amended.Chunks = accounting.OutcomeClientGone, false, int64(i)
		amended.CostNanoUSD, amended.CostHighNanoUSD, amended.CostLowNanoUSD = nil, nil, nil
		amended.Attempts = append([]accounting.Attempt{{ID: "zero", Start: started}}, record.Attempts...)
		first, second := l.Amend(recordOf(record.UID)), l.Amend(&amended)
		kept(t, first)
		kept(t, second)
		got, err := r.book.Record(t.Context(), record.UID)
		require.NoError(t, err)
		require.Equal(t, &amended, got)
		r.balanced()
	}
	require.Equal(t, map[string]int64{"client_gone": 5}, r.outcomes())
	uid := accounting.NewUID()
	finish, amend := l.Finish(recordOf(uid)), l.Amend(&accounting.Record{UID: uid, ID: "at once", Start: started})
	kept(t, finish)
	kept(t, amend)
	got, found := l.Get(t.Context(), "at once")
	require.False(t, found && len(got.Attempts) > 0)
	r.balanced()
}

func testAmendNothing(t *testing.T, r *rig) {
	l := r.ledger()
	require.ErrorIs(t, settledWith(t, l.Amend(recordOf(accounting.NewUID()))), ErrNoRecord)
	require.Zero(t, r.number("SELECT COUNT(*) FROM exchanges"))
	require.Zero(t, r.number("SELECT COUNT(*) FROM usage_daily"))
}

func testGroupCommit(t *testing.T, r *rig) {
	const exchanges = 400
	l := r.ledger()
	hold := r.stall(l)
	receipts := make([]*accounting.Receipt, exchanges)
	for i := range receipts {
		receipts[i] = l.Begin(intentOf(accounting.NewUID(), 1))
	}
	hold()
	for _, receipt := range receipts {
		kept(t, receipt)
	}
	require.EqualValues(t, exchanges, r.number("SELECT COUNT(*) FROM intents"))
	require.LessOrEqual(t, commits(t, l), uint64(4))
}

func testCheckpoint(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Begin(intentOf(uid, 1)))
	tell := func(n int64) func() bool {
		return func() bool {
			l.Checkpoint([]accounting.Checkpoint{{UID: uid, Phase: accounting.PhaseStreaming, Output: &n}})
			return r.number("SELECT COUNT(*) FROM checkpoints WHERE running LIKE ?", `%"output":`+strconv.FormatInt(n, 10)+`%`) == 1
		}
	}
	for n := range int64(3) {
		require.Eventually(t, tell(n+1), patience, 10*time.Millisecond)
	}
	l.Checkpoint(nil)
	require.Eventually(t, func() bool {
		return r.number("SELECT COUNT(*) FROM checkpoints WHERE running = 'null' OR running = '[]'") == 1
	}, patience, 10*time.Millisecond)
	before := commits(t, l)
	for range 10 {
		l.Checkpoint(nil)
	}
	kept(t, l.Finish(recordOf(uid)))
	require.LessOrEqual(t, commits(t, l)-before, uint64(1), "there was nothing to say")
	require.NoError(t, l.Close())
	require.Zero(t, r.number("SELECT COUNT(*) FROM checkpoints"))
	require.Zero(t, r.number("SELECT COUNT(*) FROM instances"))
}

func testCaptures(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	l.Capture(Capture{UID: uid, ID: "a", Request: []byte("\x00\xffprompt"), AnswerCut: true})
	l.Capture(Capture{UID: uid, ID: "a", Request: []byte("again")})
	l.Capture(Capture{ID: "nobody"})
	for range 40 { // more than goes into one transaction
		l.Capture(Capture{UID: accounting.NewUID(), ID: "b", Request: make([]byte, 128<<10)})
	}
	require.NoError(t, l.Close())
	require.EqualValues(t, 41, r.number("SELECT COUNT(*) FROM captures"))
	var request, answer []byte
	var cut bool
	require.NoError(t, r.book.db.QueryRow(r.book.rebind("SELECT request, answer, answer_cut FROM captures WHERE uid = ?"), uid[:]).Scan(&request, &answer, &cut))
	require.Equal(t, "\x00\xffprompt", string(request))
	require.Empty(t, answer)
	require.True(t, cut)
}

func testClosed(t *testing.T, r *rig) {
	l := r.ledger()
	uid := accounting.NewUID()
	kept(t, l.Finish(recordOf(uid)))
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.ErrorIs(t, settledWith(t, l.Begin(intentOf(accounting.NewUID(), 1))), accounting.ErrLedgerClosed)
	require.ErrorIs(t, settledWith(t, l.Finish(recordOf(accounting.NewUID()))), accounting.ErrLedgerClosed)
	require.ErrorIs(t, settledWith(t, l.Amend(recordOf(uid))), accounting.ErrLedgerClosed)
	l.Checkpoint([]accounting.Checkpoint{{UID: uid}})
	l.Capture(Capture{UID: uid})
	_, found := l.Get(t.Context(), uid.String())
	require.True(t, found)
}

func testNoID(t *testing.T, r *rig) {
	l := r.ledger()
	require.ErrorIs(t, settledWith(t, l.Begin(accounting.Intent{ID: "a"})), accounting.ErrNoID)
	require.ErrorIs(t, settledWith(t, l.Finish(&accounting.Record{ID: "a"})), accounting.ErrNoID)
	require.ErrorIs(t, settledWith(t, l.Finish(nil)), accounting.ErrNoID)
	require.ErrorIs(t, settledWith(t, l.Amend(nil)), accounting.ErrNoID)
}

func testReplayTwice(t *testing.T, r *rig) {
	l := r.ledger()
	var entries []*entry
	for range 20 {
		uid := accounting.NewUID()
		intent := intentOf(uid, 1)
		amended := *contestOf(uid)
		amended.Chunks = 3
		for _, e := range []*entry{
			{kind: kindIntent, intent: &intent},
			{kind: kindFinish, record: contestOf(uid)},
			{kind: kindAmend, record: &amended},
		} {
			e.instance = l.Instance()
			data, err := e.encode()
			require.NoError(t, err)
			again, err := decodeEntry(data)
			require.NoError(t, err)
			entries = append(entries, again)
		}
	}
	s, err := newStore(r.book)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	c := l.newCommitter(s)
	for cut := range len(entries) {
		// A crash in between: the first part again, and then all of it.
		require.NoError(t, c.write(&batch{entries: entries[:cut]}))
		require.NoError(t, c.write(&batch{entries: entries}))
		require.Zero(t, r.number("SELECT COUNT(*) FROM intents"), "cut at %d", cut)
	}
	require.EqualValues(t, 20, r.number("SELECT COUNT(*) FROM exchanges WHERE chunks = 3"))
	r.balanced()
}

func testMetrics(t *testing.T, r *rig) {
	registry := prometheus.NewRegistry()
	l := r.ledger(func(o *Options) { o.Registerer = registry })
	kept(t, l.Begin(intentOf(accounting.NewUID(), 1)))
	require.InDelta(t, 1, metric(t, registry, "sluice_ledger_up"), 0)
	require.InDelta(t, 1, metric(t, registry, "sluice_ledger_open_intents"), 0)
	require.InDelta(t, 1, metric(t, registry, "sluice_ledger_commit_seconds"), 0)
	require.Zero(t, metric(t, registry, "sluice_ledger_spool_bytes"))
	options := r.options()
	options.Registerer = registry
	_, err := New(t.Context(), options)
	require.Error(t, err, "the metrics are taken")
}

// metric is the sum of the values of a metric, for a histogram the number of observations.
func metric(tb testing.TB, from prometheus.Gatherer, name string) (sum float64) {
	tb.Helper()
	families, err := from.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
			return sum
		}
	}
	require.Fail(tb, "no such metric", name)
	return 0
}

// commits counts the transactions of a ledger.
func commits(tb testing.TB, l *Ledger) uint64 {
	tb.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(tb, registry.Register(l.metrics.commit))
	return uint64(metric(tb, registry, "sluice_ledger_commit_seconds"))
}
