package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/servers"
)

// outage is a way to take the database away, and to give it back.
type interruption struct {
	name       string
	begin, end func()
}

// row D4
func TestOutagesOfPostgreSQL(t *testing.T) {
	server := servers.StartPostgres(t)
	for _, interruption := range []interruption{
		{"killed", server.Kill, func() { server.Start(t) }},
		{"stalled", server.Stall, server.Resume},
	} {
		t.Run(interruption.name, func(t *testing.T) {
			for name, test := range outageTests {
				t.Run(name, func(t *testing.T) { test(t, newRig(t, server.Database(t)), interruption) })
			}
		})
	}
}

// row D3
func TestOutagesOfSQLite(t *testing.T) {
	for name, test := range outageTests {
		t.Run("held/"+name, func(t *testing.T) {
			r := newRig(t, sqliteURL(t))
			var release func()
			test(t, r, interruption{"held", func() { release = r.stall(nil) }, func() { release() }})
		})
	}
}

var outageTests = map[string]func(*testing.T, *rig, interruption){
	"under load":            testOutageUnderLoad,
	"while nothing happens": testQuietOutage,
	"refuses and allows":    testOutagePolicy,
	"over the end":          testOutageOverTheEnd,
	"full":                  testFullSpool,
}

// brief makes a database count as down soon.
func brief(o *Options) { o.CommitTimeout = 400 * time.Millisecond }

// awaitDown makes exchanges until the database counts as down.
func awaitDown(t *testing.T, l *Ledger) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.Begin(intentOf(accounting.NewUID(), 1))
		return !l.Healthy()
	}, patience, 10*time.Millisecond)
}

func testOutageUnderLoad(t *testing.T, r *rig, down interruption) {
	registry := prometheus.NewRegistry()
	l := r.ledger(brief, func(o *Options) { o.Registerer = registry })
	told := newTellings()
	var stop atomic.Bool
	var clients sync.WaitGroup
	for range 30 {
		clients.Go(func() {
			for n := 0; !stop.Load(); n++ {
				childExchange(l, n, func(format string, args ...any) { told.note(fmt.Sprintf(format, args...)) })
			}
		})
	}
	count := func() int {
		told.mu.Lock()
		defer told.mu.Unlock()
		return len(told.finished)
	}
	for range 3 {
		before := count()
		require.Eventually(t, func() bool { return count() > before+100 }, patience, 10*time.Millisecond)
		down.begin()
		require.Eventually(t, func() bool { return !l.Healthy() }, patience, 10*time.Millisecond)
		require.Zero(t, metric(t, registry, "sluice_ledger_up"))
		before = count()
		require.Eventually(t, func() bool { return count() > before+200 }, patience, 10*time.Millisecond, "exchanges go on")
		require.Positive(t, metric(t, registry, "sluice_ledger_spool_bytes"))
		down.end()
		require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
	}
	stop.Store(true)
	clients.Wait()
	require.NoError(t, l.Close())
	require.Positive(t, metric(t, registry, "sluice_ledger_spooled_total"))
	require.Positive(t, metric(t, registry, "sluice_ledger_failures_total"))
	require.Zero(t, metric(t, registry, "sluice_ledger_refused_total"))
	require.Empty(t, spoolFiles(t, r.dir), "the spool has cleaned up")
	r.reconnect()
	r.ledger() // closes those that were left open
	told.matches(r)
}

// reconnect gives up the connections that a server has closed which was killed.
func (r *rig) reconnect() {
	r.Helper()
	for range 2 * openFiles {
		_ = r.book.db.PingContext(r.Context())
	}
	require.Eventually(r, func() bool { return r.book.db.PingContext(r.Context()) == nil }, patience, 10*time.Millisecond)
}

// spoolFiles are the files of all spools.
func spoolFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.spool"))
	require.NoError(tb, err)
	return files
}

// testQuietOutage is a database that is started anew while nobody writes: whoever comes
// next finds a connection that is dead, and is not refused for it.
func testQuietOutage(t *testing.T, r *rig, down interruption) {
	l := r.ledger()
	kept(t, l.Finish(recordOf(accounting.NewUID())))
	down.begin()
	down.end()
	intent := intentOf(accounting.NewUID(), 1)
	intent.Required = true
	kept(t, l.Begin(intent))
	require.True(t, l.Healthy())
}

func testOutagePolicy(t *testing.T, r *rig, down interruption) {
	l := r.ledger(brief)
	allowed, required := intentOf(accounting.NewUID(), 1), intentOf(accounting.NewUID(), 1)
	required.Required = true
	down.begin()
	first, second := l.Begin(required), l.Begin(allowed)
	require.ErrorIs(t, settledWith(t, first), accounting.ErrLedgerUnavailable)
	kept(t, second)
	require.False(t, l.Healthy())
	at := l.Begin(required)
	select {
	case <-at.Done():
		require.ErrorIs(t, at.Err(), accounting.ErrLedgerUnavailable)
	default:
		require.Fail(t, "it is known at once that the intent cannot be kept")
	}
	kept(t, l.Finish(recordOf(allowed.UID)))
	require.ErrorIs(t, settledWith(t, l.Finish(recordOf(allowed.UID))), accounting.ErrAlreadyFinished)
	amended := *recordOf(allowed.UID)
	amended.Chunks = amendedChunks
	kept(t, l.Amend(&amended))
	got, found := l.Get(t.Context(), allowed.ID)
	require.True(t, found)
	require.EqualValues(t, amendedChunks, got.Chunks)
	l.Capture(Capture{UID: allowed.UID}) // goes nowhere
	require.NotEmpty(t, spoolFiles(t, r.dir), "what is kept is on the disk")
	down.end()
	require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
	r.reconnect()
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"), "the call that was refused was not made")
	require.EqualValues(t, 1, r.number("SELECT COUNT(*) FROM exchanges WHERE chunks = ?", amendedChunks))
	kept(t, l.Begin(required))
	require.EqualValues(t, 1, l.openExchanges())
	r.balanced()
}

// testOutageOverTheEnd is a process that ends before the database comes back.
func testOutageOverTheEnd(t *testing.T, r *rig, down interruption) {
	l := r.ledger(brief)
	before, open, finished := accounting.NewUID(), accounting.NewUID(), accounting.NewUID()
	kept(t, l.Begin(intentOf(before, 1)))
	down.begin()
	awaitDown(t, l)
	kept(t, l.Begin(intentOf(open, 1)))
	kept(t, l.Begin(intentOf(finished, 1)))
	kept(t, l.Finish(recordOf(finished)))
	kept(t, l.Finish(recordOf(before)))
	require.NoError(t, l.Close())
	require.NotEmpty(t, spoolFiles(t, r.dir))
	down.end()
	r.reconnect()
	r.ledger(func(o *Options) { o.Lease = time.Millisecond })
	require.Eventually(t, func() bool { return r.number("SELECT COUNT(*) FROM intents") == 0 }, patience, 10*time.Millisecond)
	require.Empty(t, spoolFiles(t, r.dir))
	for uid, outcome := range map[accounting.UID]accounting.Outcome{
		before: accounting.OutcomeCompleted, open: accounting.OutcomeCrash, finished: accounting.OutcomeCompleted,
	} {
		got, err := r.book.Record(t.Context(), uid)
		require.NoError(t, err)
		require.Equal(t, outcome, got.Outcome)
	}
	r.balanced()
}

// testFullSpool fills the spool: what was begun can be finished, and nothing else begins.
func testFullSpool(t *testing.T, r *rig, down interruption) {
	registry := prometheus.NewRegistry()
	l := r.ledger(brief, func(o *Options) { o.Spool, o.Registerer = 1<<20, registry })
	down.begin()
	awaitDown(t, l)
	var begun []accounting.UID
	for {
		uid := accounting.NewUID()
		err := settledWith(t, l.Begin(intentOf(uid, 1)))
		if errors.Is(err, accounting.ErrLedgerUnavailable) {
			break
		}
		require.NoError(t, err)
		begun = append(begun, uid)
	}
	require.True(t, l.Full())
	require.Greater(t, len(begun), 20)
	require.GreaterOrEqual(t, metric(t, registry, "sluice_ledger_open_intents"), float64(len(begun)))
	for _, uid := range begun {
		r := recordOf(uid)
		r.RawUsage = []byte(`{"a":"` + strings.Repeat("x", 2000) + `"}`)
		kept(t, l.Finish(r))
	}
	require.LessOrEqual(t, metric(t, registry, "sluice_ledger_spool_bytes"), float64(1<<20))
	down.end()
	require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
	require.False(t, l.Full())
	r.reconnect()
	require.EqualValues(t, len(begun), r.number("SELECT COUNT(*) FROM exchanges"))
	require.NoError(t, l.Close())
	r.ledger()
	r.balanced()
}

func TestSpoolThatCannotBeWrittenIsInMemory(t *testing.T) {
	r := newRig(t, sqliteURL(t))
	blocked := filepath.Join(t.TempDir(), "blocked")
	for name, dir := range map[string]string{"no folder": "", "a file in its place": blocked} {
		t.Run(name, func(t *testing.T) {
			l := r.ledger(brief, func(o *Options) { o.SpoolDir = dir })
			require.NoError(t, os.WriteFile(blocked, nil, 0o600))
			defer func() { require.NoError(t, os.Remove(blocked)) }()
			release := r.stall(l)
			awaitDown(t, l)
			uids := make([]accounting.UID, maxBatch) // more than one transaction
			for i := range uids {
				uids[i] = accounting.NewUID()
				kept(t, l.Begin(intentOf(uids[i], 1)))
				kept(t, l.Finish(recordOf(uids[i])))
			}
			release()
			require.Eventually(t, l.Healthy, patience, 10*time.Millisecond)
			for _, uid := range uids {
				_, err := r.book.Record(t.Context(), uid)
				require.NoError(t, err)
			}
			require.NoError(t, l.Close())
			r.balanced()
		})
	}
}
