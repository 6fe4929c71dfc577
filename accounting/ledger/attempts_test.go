package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/servers"
)

// contestOf is the record of an exchange whose first target failed, whose second was slow, and
// whose third answered.
func contestOf(uid accounting.UID) *accounting.Record {
	r := recordOf(uid)
	cost, closed := int64(50_000), int64(87)
	final := r.Attempts[0]
	final.ID, final.Kind, final.Provider = uid.String()+".3", accounting.AttemptHedge, r.Provider
	r.Attempts = []accounting.Attempt{
		{
			ID: uid.String() + ".1", Provider: "azure", Model: "gpt-4o-mini", Kind: accounting.AttemptFirst,
			Phase: accounting.PhaseAwaitHeaders, Outcome: accounting.OutcomeUpstreamError, Status: 429, Start: started,
			Duration: 20 * time.Millisecond, Code: "upstream_error", UsageSource: accounting.SourceNone, MayBill: accounting.MayBillNone,
		},
		{
			ID: uid.String() + ".2", Provider: "own", Model: "llama", Kind: accounting.AttemptRetry, Phase: accounting.PhaseAwaitToken,
			Outcome: accounting.OutcomeCancelled, Status: 200, Start: started.Add(30 * time.Millisecond), Duration: time.Second,
			Usage:       tokens.Usage{Input: tokens.Known(1000), Output: tokens.Known(0)},
			UsageSource: accounting.SourceEstimated, MayBill: accounting.MayBillPartial, ServiceTier: "flex", CloseMicros: &closed,
			CostNanoUSD: &cost, CostLowNanoUSD: &cost, CostHighNanoUSD: &cost,
		},
		final,
	}
	return r
}

func testContest(t *testing.T, r *rig) {
	l := r.ledger(func(o *Options) { o.Recent = 1 })
	want := contestOf(accounting.NewUID())
	for n := range want.Attempts {
		i := intentOf(want.UID, n+1)
		i.Before = want.Attempts[:n]
		kept(t, l.Begin(i))
	}
	require.EqualValues(t, 3, r.number("SELECT COUNT(*) FROM intents"))
	kept(t, l.Finish(contestOf(want.UID)))
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	kept(t, l.Finish(recordOf(accounting.NewUID())))
	got, found := l.Get(t.Context(), want.ID)
	require.True(t, found)
	require.Equal(t, want, got)
	r.balanced()

	page, err := r.book.Usage(t.Context(), Query{By: []Dimension{ByProvider, BySource, ByOutcome}})
	require.NoError(t, err)
	require.Len(t, page.Rows, 2, "one that did not run has no row")
	exchanges, beside := page.Rows[0], page.Rows[1]
	require.Equal(t, []string{"openai", "reported", "completed"}, []string{*exchanges.Provider, *exchanges.Source, *exchanges.Outcome})
	require.Equal(t, []int64{2, 2048, 0, 0}, []int64{exchanges.Exchanges, exchanges.Input, exchanges.Abandoned, exchanges.AbandonedCostNanoUSD})
	require.Equal(t, []string{"own", "estimated", "completed"}, []string{*beside.Provider, *beside.Source, *beside.Outcome})
	require.Equal(t, []int64{0, 1000, 1, 50_000, 50_000}, []int64{beside.Exchanges, beside.Input, beside.Abandoned, beside.AbandonedCostNanoUSD, beside.CostNanoUSD})
	part := Query{By: []Dimension{ByProvider, BySource, ByOutcome}, Since: started, Until: started.Add(time.Microsecond)}
	records, err := r.book.Usage(t.Context(), part)
	require.NoError(t, err)
	require.Equal(t, page, records, "the records say the same as the sums")
	part.Providers = []string{"own"}
	records, err = r.book.Usage(t.Context(), part)
	require.NoError(t, err)
	require.Equal(t, page.Rows[1:], records.Rows)
}

// testAmendAtOnce amends records in the transaction that brings them, and after it.
func testAmendAtOnce(t *testing.T, r *rig) {
	l := r.ledger()
	first, second, third := accounting.NewUID(), accounting.NewUID(), accounting.NewUID()
	kept(t, l.Finish(contestOf(third)))
	hold := r.stall(l)
	receipts := []*accounting.Receipt{
		l.Finish(contestOf(first)), l.Amend(recordOf(first)),
		l.Finish(recordOf(second)), l.Amend(contestOf(second)),
		l.Amend(recordOf(third)), l.Amend(contestOf(third)),
	}
	hold()
	for _, receipt := range receipts {
		kept(t, receipt)
	}
	r.balanced()
	require.EqualValues(t, 2, r.number("SELECT SUM(abandoned) FROM usage_daily"))
	require.EqualValues(t, 7, r.number("SELECT COUNT(*) FROM attempts"))
	for _, uid := range []accounting.UID{second, third} {
		kept(t, l.Amend(recordOf(uid)))
	}
	require.Zero(t, r.number("SELECT COUNT(*) FROM usage_daily WHERE provider = 'own'"), "an empty sum goes")
	r.balanced()
}

func testReady(t *testing.T, r *rig) {
	l := r.ledger()
	require.NoError(t, l.Ready())
	l.down.Store(true)
	require.NoError(t, l.Ready(), "the spool takes them")
	l.room.Store(reserved)
	require.ErrorIs(t, l.Ready(), accounting.ErrLedgerUnavailable)
	l.down.Store(false)
	require.NoError(t, l.Ready())
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Ready(), accounting.ErrLedgerClosed)
}

func TestBooksAgreeWithEveryAttemptInSQLite(t *testing.T) { testStorm(t, newRig(t, sqliteURL(t))) }

func TestBooksAgreeWithEveryAttemptInPostgreSQL(t *testing.T) {
	testStorm(t, newRig(t, servers.StartPostgres(t).Database(t)))
}

// testStorm writes exchanges with any attempts from many goroutines, of which some are
// amended, some are written twice and some are left open by a process that dies. Then the
// reports must be what the attempts add up to, exactly, also when they have got other costs
// and when the records are gone.
func testStorm(t *testing.T, r *rig) {
	l := r.ledger()
	var mu sync.Mutex
	var records []*accounting.Record
	var open []accounting.UID
	var wait sync.WaitGroup
	for n := range uint64(8) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(51, n))
			for range 40 {
				record, left := stormExchange(t, l, random)
				mu.Lock()
				if left {
					open = append(open, record.UID)
				} else {
					records = append(records, record)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	r.balanced()
	r.die(l, "dead")
	r.ledger(func(o *Options) {
		o.Complete = func(crash *accounting.Record) { randomPrice(rand.New(rand.NewPCG(52, uint64(crash.UID[15]))), crash) }
	})
	for _, uid := range open {
		crash, err := r.book.Record(t.Context(), uid)
		require.NoError(t, err)
		require.Equal(t, accounting.OutcomeCrash, crash.Outcome)
		records = append(records, crash)
	}
	require.NotEmpty(t, open)
	require.Zero(t, r.number("SELECT COUNT(*) FROM intents"))
	require.EqualValues(t, len(records), r.number("SELECT COUNT(*) FROM exchanges"))
	require.Equal(t, attemptsOf(records), r.number("SELECT COUNT(*) FROM attempts"))
	r.agree(records)

	// The abandoned attempts come in the same order, with the others or without.
	price := func(record *accounting.Record) {
		randomPrice(rand.New(rand.NewPCG(53, uint64(record.UID[15]))), record)
	}
	reprice := func(since time.Time) {
		_, err := r.book.Reprice(t.Context(), since, time.Time{}, price)
		require.NoError(t, err)
		for _, record := range records {
			if !record.Start.Before(since) {
				price(record)
			}
		}
		r.balanced()
		r.agree(records)
	}
	reprice(firstDay.AddDate(0, 0, 2))
	reprice(time.Time{})

	cut := firstDay.AddDate(0, 0, 4)
	_, err := r.book.Prune(t.Context(), Retention{Records: time.Hour, Now: cut.Add(time.Hour)})
	require.NoError(t, err)
	r.agree(records)
	require.Zero(t, r.number("SELECT COUNT(*) FROM attempts WHERE counts_at < ?", cut.UnixMicro()))
	_, err = r.book.Reprice(t.Context(), time.Time{}, time.Time{}, func(record *accounting.Record) { setCosts(record, nil) })
	require.NoError(t, err)
	for _, record := range records {
		if !record.Start.Before(cut) {
			setCosts(record, nil)
		}
	}
	r.agree(records)
}

// stormExchange makes one exchange and returns the record that the books must have of it, or
// that it was left open.
func stormExchange(t *testing.T, l *Ledger, random *rand.Rand) (record *accounting.Record, left bool) {
	record = randomRecord(random)
	hedged := random.IntN(2) == 0
	for n := range max(len(record.Attempts), 1) {
		i := intentOf(record.UID, n+1)
		i.Start, i.Provider = record.Start, oneOf(random, someProviders)
		if !hedged && n > 0 {
			i.Before = slices.Clone(record.Attempts[:n])
			for k := range i.Before {
				i.Before[k].ID = intentOf(record.UID, k+1).AttemptID
			}
		}
		if err := settledWith(t, l.Begin(i)); err != nil {
			t.Error(err)
		}
	}
	if random.IntN(8) == 0 {
		return record, true
	}
	finish := func(give func(*accounting.Record) *accounting.Receipt, r *accounting.Record, want error) {
		given := *r
		given.Attempts = slices.Clone(r.Attempts)
		if err := settledWith(t, give(&given)); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	finish(l.Finish, record, nil)
	if random.IntN(4) == 0 {
		again := randomRecord(random)
		again.UID = record.UID
		finish(l.Finish, again, accounting.ErrAlreadyFinished)
	}
	for range random.IntN(3) {
		amended := randomRecord(random)
		amended.UID = record.UID
		record = amended
		finish(l.Amend, record, nil)
	}
	return record, false
}

// agree checks that all reports are what the attempts of the records add up to.
func (r *rig) agree(records []*accounting.Record) {
	r.Helper()
	for _, by := range [][]Dimension{nil, {ByProvider}, {ByKey}, {ByModel}, {ByOutcome}, {ByDay}, {BySource}, {ByProvider, ByKey, ByModel}, Dimensions()} {
		page, err := r.book.Usage(context.Background(), Query{By: by})
		require.NoError(r, err)
		require.Equal(r, naive(records, Query{By: by}), page.Rows, "by %v", by)
	}
	var whole Usage
	for _, record := range records {
		tokens, nanos := record.Used()
		whole.Input, whole.CostNanoUSD = whole.Input+tokens, whole.CostNanoUSD+nanos
	}
	page, err := r.book.Usage(context.Background(), Query{})
	require.NoError(r, err)
	require.Equal(r, whole.Input, page.Rows[0].Input+page.Rows[0].Output, "the limits count the same")
	require.Equal(r, whole.CostNanoUSD, page.Rows[0].CostNanoUSD)
}

// TestBooksOfTheFirstVersionAreBroughtUpToDate opens books of before there were several
// attempts.
func TestBooksOfTheFirstVersionAreBroughtUpToDate(t *testing.T) {
	f := func(t *testing.T, url string) {
		b := booksOfVersion(t, url, 1)
		want := recordOf(accounting.NewUID())
		row, err := exchangeRow(want, "old")
		require.NoError(t, err)
		tx, err := b.db.Begin()
		require.NoError(t, err)
		require.NoError(t, b.insert(tx, "exchanges", exchangeColumns, "", row))
		old := attemptTable.columns[:12]
		require.NoError(t, b.insert(tx, "attempts", namesOf(old), "", attemptRow(want, 0)[:len(old)]))
		sums := sumColumns[:len(sumColumns)-2]
		_, err = tx.Exec("INSERT INTO usage_daily (" + groupColumns + ", " + namesOf(sums) + ") SELECT " + groupColumns + ", " +
			strings.TrimSuffix(exchangeSums, ", 0, 0") + " FROM exchanges GROUP BY " + groupColumns)
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.NoError(t, b.Close())

		_, err = OpenToRead(t.Context(), url)
		require.ErrorIs(t, err, ErrOtherVersion)
		r := newRig(t, url)
		got, err := r.book.Record(t.Context(), want.UID)
		require.NoError(t, err)
		want.Attempts[0].Kind = ""
		require.Equal(t, want, got, "the only attempt is the final one")
		r.balanced()
		l := r.ledger()
		kept(t, l.Amend(contestOf(want.UID)))
		r.balanced()
	}
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteURL(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, servers.StartPostgres(t).Database(t)) })
}

// booksOfVersion are empty books as an older version made them.
func booksOfVersion(t *testing.T, url string, version int) *Books {
	t.Helper()
	engine, where, err := ParseURL(url)
	require.NoError(t, err)
	b := &Books{engine: engine, driver: "pgx", source: where}
	dialect := goose.DialectPostgres
	if engine == SQLite {
		b.driver, b.source, dialect = "sqlite", sqliteName(where), goose.DialectSQLite3
	}
	b.db, err = b.open(1)
	require.NoError(t, err)
	steps, err := migrations(engine)
	require.NoError(t, err)
	provider, err := goose.NewProvider(dialect, b.db, nil, goose.WithGoMigrations(steps[:version]...))
	require.NoError(t, err)
	_, err = provider.Up(t.Context())
	require.NoError(t, err)
	return b
}

// A spool that an older version has left knows nothing of final attempts.
func TestEntryOfAnOlderVersionHasAFinalAttempt(t *testing.T) {
	uid := accounting.NewUID()
	data := fmt.Appendf(nil, `{"kind":"finish","instance":"old","record":{"uid":%q,"id":"a","attempts":[{"id":"a-1"},{"id":"a-2"}]}}`, uid)
	e, err := decodeEntry(data)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, []bool{e.record.Attempts[0].Final, e.record.Attempts[1].Final})
	e, err = decodeEntry([]byte(strings.Replace(string(data), `"a-1"`, `"a-1","final":true`, 1)))
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, []bool{e.record.Attempts[0].Final, e.record.Attempts[1].Final})
}
