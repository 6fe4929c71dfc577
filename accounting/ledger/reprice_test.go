package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

// requireSumsOfExchanges requires that usage_daily holds what the exchanges add up to.
func requireSumsOfExchanges(t *testing.T, b *Books) {
	t.Helper()
	read := func(query string) []Usage {
		rows, err := b.db.Query(query)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		var all []Usage
		for rows.Next() {
			var u Usage
			_, err := scanUsage(rows, Dimensions(), &u)
			require.NoError(t, err)
			all = append(all, u)
		}
		require.NoError(t, rows.Err())
		return all
	}
	by := "day, key, model, provider, outcome, usage_source"
	kept := read("SELECT " + by + ", " + namesOf(sumColumns) + " FROM usage_daily ORDER BY " + by)
	require.NotEmpty(t, kept)
	require.Equal(t, read(recountedSums+" ORDER BY "+by), kept)
}

// recountedSums asks for what usage_daily is to hold, from the exchanges and their attempts.
var recountedSums = "WITH counted (" + groupColumns + ", " + namesOf(sumColumns) + ") AS (" +
	"SELECT " + groupColumns + ", " + exchangeSums + " FROM exchanges GROUP BY " + groupColumns +
	" UNION ALL SELECT " + groupColumns + ", " + abandonedSums + " FROM " + abandonedCalls +
	" WHERE counts_at IS NOT NULL GROUP BY " + groupColumns +
	") SELECT " + groupColumns + ", " + addedUp + " FROM counted GROUP BY " + groupColumns

func TestRepriceChangesTheCostsAndTheSums(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		random := rand.New(rand.NewPCG(31, 32))
		records := randomRecords(random, 520) // more than one batch
		keep(t, b, records...)
		requireSumsOfExchanges(t, b)
		since, until := firstDay.AddDate(0, 0, 1), firstDay.AddDate(0, 0, 5)
		var asked, changed int64
		// Every price is made of the record, as a real one is, so that to ask twice is to
		// get the same.
		reprice := func(r *accounting.Record) {
			if r.Usage.Input.N%3 == 0 {
				return // it costs what it did
			}
			randomPrice(rand.New(rand.NewPCG(33, uint64(r.Usage.Input.N))), r)
		}
		for _, r := range records {
			if r.Start.Before(since) || !r.Start.Before(until) {
				continue
			}
			asked++
			before := costsOf(r)
			if reprice(r); !slices.Equal(before, costsOf(r)) {
				changed++
			}
		}
		got, err := b.Reprice(t.Context(), since, until, reprice)
		require.NoError(t, err)
		require.Equal(t, Repriced{Rows: asked, Changed: changed}, got)
		requireSumsOfExchanges(t, b)
		page, err := b.Usage(t.Context(), Query{By: Dimensions()})
		require.NoError(t, err)
		require.Equal(t, naive(records, Query{By: Dimensions()}), page.Rows)

		got, err = b.Reprice(t.Context(), since, until, reprice)
		require.NoError(t, err)
		require.Equal(t, Repriced{Rows: asked}, got)

		got, err = b.Reprice(t.Context(), time.Time{}, time.Time{}, func(r *accounting.Record) { setCosts(r, nil) })
		require.NoError(t, err)
		require.EqualValues(t, len(records), got.Rows)
		requireSumsOfExchanges(t, b)
		page, err = b.Usage(t.Context(), Query{})
		require.NoError(t, err)
		require.EqualValues(t, len(spendings(records)), page.Rows[0].Unpriced)
		require.Zero(t, page.Rows[0].CostNanoUSD+page.Rows[0].CostLowNanoUSD+page.Rows[0].CostHighNanoUSD+page.Rows[0].Unbounded)
	})
}

// setCosts gives a record and its abandoned attempts one cost.
func setCosts(r *accounting.Record, nano *int64) {
	r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD = nano, nano, nano
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() {
			a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD = nano, nano, nano
		}
	}
}

func TestRepriceSeesTheWholeRecord(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		want := randomRecord(rand.New(rand.NewPCG(35, 36)))
		want.Attempts = []accounting.Attempt{{
			ID: "x-2", Provider: "openai", Model: "gpt-4o", Kind: accounting.AttemptHedge, Phase: accounting.PhaseStreaming,
			Outcome: accounting.OutcomeCancelled, Status: 200, Start: want.Start, UsageSource: accounting.SourceEstimated,
			Usage: randomUsage(rand.New(rand.NewPCG(37, 38))), MayBill: accounting.MayBillPartial, ServiceTier: "flex",
		}}
		want.ServiceTier, want.DialectOut = "batch", "openai"
		want.RawUsage = []byte(`{"prompt_tokens":1}`)
		kept := *want
		kept.Attempts = append(slices.Clone(want.Attempts), accounting.Attempt{ID: "x-1", Start: want.Start, Final: true})
		other := randomRecord(rand.New(rand.NewPCG(39, 40)))
		other.Start, other.Attempts = want.Start.Add(time.Hour), nil
		keep(t, b, &kept, other)
		var got []accounting.Record
		_, err := b.Reprice(t.Context(), time.Time{}, time.Time{}, func(r *accounting.Record) { got = append(got, *r) })
		require.NoError(t, err)
		require.Equal(t, []accounting.Record{*want, *other}, got, "with the attempts that have a cost of their own")
	})
}

func TestRepriceBesideAWriterKeepsTheSumsRight(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		random := rand.New(rand.NewPCG(37, 38))
		keep(t, b, randomRecords(random, 250)...)
		var wait sync.WaitGroup
		var failed error
		wait.Go(func() {
			for range 15 {
				failed = errors.Join(failed, keepAll(b, randomRecords(random, 5)...))
			}
		})
		for n := range int64(2) {
			_, err := b.Reprice(context.Background(), time.Time{}, time.Time{}, func(r *accounting.Record) { setCosts(r, &n) })
			require.NoError(t, err)
		}
		wait.Wait()
		require.NoError(t, failed)
		requireSumsOfExchanges(t, b)
	})
}

func TestRepriceEndsWithItsContext(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	keep(t, b, randomRecords(rand.New(rand.NewPCG(39, 40)), 30)...)
	ctx, cancel := context.WithCancel(t.Context())
	one := int64(1)
	done, err := b.Reprice(ctx, time.Time{}, time.Time{}, func(r *accounting.Record) {
		r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD = &one, &one, &one
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, done.Rows, int64(repriceBatch))
	requireSumsOfExchanges(t, b)
}
