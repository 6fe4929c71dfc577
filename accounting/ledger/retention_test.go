package ledger

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

func rowsIn(t *testing.T, b *Books, table string) int64 {
	t.Helper()
	var n int64
	require.NoError(t, b.db.QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

func attemptsOf(records []*accounting.Record) int64 {
	var n int64
	for _, r := range records {
		n += int64(len(r.Attempts))
	}
	return n
}

// keepCapture puts a prompt and an answer into the books.
func keepCapture(t *testing.T, b *Books, at time.Time) {
	t.Helper()
	uid := accounting.NewUID()
	_, err := b.db.Exec(b.rebind("INSERT INTO captures (uid, id, captured_at, request, request_cut, answer, answer_cut) VALUES (?, ?, ?, ?, FALSE, ?, FALSE)"),
		uid[:], "r", at.UnixMicro(), []byte("prompt"), []byte("answer"))
	require.NoError(t, err)
}

func TestPruneRemovesRecordsAndKeepsTheSums(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		records := randomRecords(rand.New(rand.NewPCG(11, 12)), 200)
		keep(t, b, records...)
		everything := Query{By: Dimensions()}
		before, err := b.Usage(t.Context(), everything)
		require.NoError(t, err)

		now := firstDay.AddDate(0, 0, 100)
		cut := firstDay.Add(5*24*time.Hour + 12*time.Hour)
		for _, at := range []time.Time{cut.Add(-time.Microsecond), cut, cut.Add(time.Hour)} {
			keepCapture(t, b, at)
		}
		pruned, err := b.Prune(t.Context(), Retention{Now: now})
		require.NoError(t, err)
		require.Zero(t, pruned)

		pruned, err = b.Prune(t.Context(), Retention{Records: now.Sub(cut), Captures: now.Sub(cut), Now: now})
		require.NoError(t, err)
		left := slices.DeleteFunc(slices.Clone(records), func(r *accounting.Record) bool { return r.Start.Before(cut) })
		require.EqualValues(t, len(left), rowsIn(t, b, "exchanges"))
		require.Equal(t, attemptsOf(left), rowsIn(t, b, "attempts"))
		require.EqualValues(t, 2, rowsIn(t, b, "captures"))
		require.EqualValues(t, len(records)-len(left), pruned.Exchanges)
		require.Equal(t, attemptsOf(records)-attemptsOf(left), pruned.Attempts)
		require.EqualValues(t, 1, pruned.Captures)

		after, err := b.Usage(t.Context(), everything)
		require.NoError(t, err)
		require.Equal(t, before, after)

		pruned, err = b.Prune(t.Context(), Retention{Records: now.Sub(cut), Captures: now.Sub(cut), Now: now})
		require.NoError(t, err)
		require.Zero(t, pruned)
		pruned, err = b.Prune(t.Context(), Retention{Records: time.Hour, Captures: time.Hour, Now: now})
		require.NoError(t, err)
		require.EqualValues(t, len(left), pruned.Exchanges)
		require.Zero(t, rowsIn(t, b, "attempts"))
	})
}

func TestUsageSaysOfWhichDaysThereIsOnlyAPartLeft(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		at := func(hour int) *accounting.Record {
			r := randomRecord(rand.New(rand.NewPCG(13, uint64(hour))))
			r.Start = firstDay.Add(time.Duration(hour) * time.Hour)
			return r
		}
		keep(t, b, at(1), at(20), at(30), at(50))
		f := func(since, until int, exchanges int64, incomplete ...string) {
			t.Helper()
			q := Query{Since: firstDay.Add(time.Duration(since) * time.Hour), Until: firstDay.Add(time.Duration(until) * time.Hour)}
			got, err := b.Usage(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, exchanges, got.Rows[0].Exchanges)
			require.Equal(t, incomplete, got.Incomplete)
		}
		f(1, 26, 2)
		f(1, 12, 1)
		_, err := b.Prune(t.Context(), Retention{Records: time.Hour, Now: firstDay.Add(11 * time.Hour)})
		require.NoError(t, err)
		f(1, 26, 1, "2026-03-09")
		f(1, 12, 0, "2026-03-09")
		f(0, 24, 2)
		f(0, 36, 3)
		f(30, 52, 2)
		_, err = b.Prune(t.Context(), Retention{Records: time.Hour, Now: firstDay.Add(100 * time.Hour)})
		require.NoError(t, err)
		f(1, 52, 1, "2026-03-09", "2026-03-11")
		f(80, 90, 0)
	})
}

func TestPruneGoesInSmallSteps(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		records := randomRecords(rand.New(rand.NewPCG(23, 24)), 100)
		for _, r := range records[:20] { // more than a step, at the same time
			r.Start = firstDay
		}
		keep(t, b, records...)
		steps := recordShelf
		steps.batch = 7
		last := slices.MaxFunc(records, func(x, y *accounting.Record) int { return x.Start.Compare(y.Start) })
		var removed, with int64
		require.NoError(t, b.clear(t.Context(), steps, last.Start, &removed, &with))
		left := slices.DeleteFunc(slices.Clone(records), func(r *accounting.Record) bool { return r.Start.Before(last.Start) })
		require.EqualValues(t, len(records)-len(left), removed)
		require.Equal(t, attemptsOf(records)-attemptsOf(left), with)
		require.EqualValues(t, len(left), rowsIn(t, b, "exchanges"))
		require.Equal(t, attemptsOf(left), rowsIn(t, b, "attempts"))
	})
}

// A writer that comes while old rows are removed gets its turn.
func TestPruneLetsWritersIn(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, url string) {
		random := rand.New(rand.NewPCG(15, 16))
		old := randomRecords(random, 200)
		keep(t, b, old...)
		other := openBooks(t, url)
		steps := recordShelf
		steps.batch = 5
		var wait sync.WaitGroup
		var removed int64
		var err error
		wait.Go(func() {
			err = other.clear(context.Background(), steps, firstDay.AddDate(0, 0, 20), &removed, nil)
		})
		for range 20 {
			r := randomRecord(random)
			r.Start = firstDay.AddDate(0, 0, 30)
			keep(t, b, r)
		}
		wait.Wait()
		require.NoError(t, err)
		require.EqualValues(t, len(old), removed)
		require.EqualValues(t, 20, rowsIn(t, b, "exchanges"))
		got, err := b.Usage(t.Context(), Query{})
		require.NoError(t, err)
		require.EqualValues(t, len(old)+20, got.Rows[0].Exchanges)
	})
}

func TestPruneGivesTheRoomBack(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	generate(t, b, 1000)
	size := func() (pages int64) {
		require.NoError(t, b.db.QueryRow("PRAGMA page_count").Scan(&pages))
		return pages
	}
	before := size()
	_, err := b.Prune(t.Context(), Retention{Records: time.Hour, Now: time.UnixMicro(generatedStart).AddDate(1, 0, 0)})
	require.NoError(t, err)
	require.Equal(t, before, size()) // a little room is kept
	freed, err := b.shrink(t.Context(), 0)
	require.NoError(t, err)
	require.Less(t, size(), before/2)
	require.EqualValues(t, (before-size())*4096, freed)
	var check string
	require.NoError(t, b.db.QueryRow("PRAGMA integrity_check").Scan(&check))
	require.Equal(t, "ok", check)
}

func TestPruneLeavesTheWorkToAReplicaThatIsAtIt(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		if b.engine != PostgreSQL {
			t.Skip("a SQLite file has no replicas")
		}
		keep(t, b, randomRecords(rand.New(rand.NewPCG(17, 18)), 10)...)
		tx, err := b.db.Begin()
		require.NoError(t, err)
		require.NoError(t, b.takeTurn(t.Context(), tx))
		r := Retention{Records: time.Hour, Now: firstDay.AddDate(1, 0, 0)}
		pruned, err := b.Prune(t.Context(), r)
		require.NoError(t, err)
		require.Zero(t, pruned)
		require.NoError(t, tx.Rollback())
		pruned, err = b.Prune(t.Context(), r)
		require.NoError(t, err)
		require.EqualValues(t, 10, pruned.Exchanges)
	})
}

func TestPruneEndsWithItsContext(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	keep(t, b, randomRecords(rand.New(rand.NewPCG(19, 20)), 20)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Prune(ctx, Retention{Records: time.Hour, Now: firstDay.AddDate(1, 0, 0)})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, rest(ctx, time.Second), context.Canceled)
}

// lines collects the lines of a logger.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestKeepPrunedComesBackUntilItsContextEnds(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	random := rand.New(rand.NewPCG(21, 22))
	keep(t, b, randomRecords(random, 20)...)
	var out lines
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		b.keepPruned(ctx, time.Millisecond, 2*time.Millisecond, Retention{Records: time.Hour},
			slog.New(slog.NewTextHandler(&out, nil)))
	})
	empty := func() bool { return rowsIn(t, b, "exchanges") == 0 }
	require.Eventually(t, empty, 10*time.Second, time.Millisecond)
	keep(t, b, randomRecords(random, 20)...)
	require.Eventually(t, empty, 10*time.Second, time.Millisecond)
	fresh := randomRecord(random)
	fresh.Start = time.Now()
	keep(t, b, fresh)
	cancel()
	wait.Wait()
	require.EqualValues(t, 1, rowsIn(t, b, "exchanges"))
	require.Contains(t, out.String(), `msg="removed old records" exchanges=20`)
	require.NotContains(t, out.String(), "WARN")
}

func TestKeepPrunedSaysWhatFails(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	_, err := b.db.Exec("DROP TABLE exchanges")
	require.NoError(t, err)
	var out lines
	b.pruneRound(t.Context(), Retention{Records: time.Hour}, slog.New(slog.NewTextHandler(&out, nil)))
	require.Contains(t, out.String(), "level=WARN msg=\"old records could not be removed\"")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.KeepPruned(ctx, time.Hour, Retention{}, slog.New(slog.DiscardHandler))
}
