package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/servers"
)

// onBothEngines runs f with empty books of each engine, which it may open again by their
// URL.
func onBothEngines(t *testing.T, f func(t *testing.T, b *Books, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		url := "sqlite://" + t.TempDir() + "/ledger.db"
		f(t, openBooks(t, url), url)
	})
	t.Run("postgres", func(t *testing.T) {
		url := servers.StartPostgres(t).Database(t)
		f(t, openBooks(t, url), url)
	})
}

func openBooks(t *testing.T, url string) *Books {
	t.Helper()
	b, err := OpenBooks(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// The days of the random records: a week that begins here.
var firstDay = time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)

const randomDays = 7

// The names of the random records. Languages order them in other ways than their bytes do.
var (
	someKeys      = []string{"", "Zoë", "alice", "bob", "_ci", "ärger"}
	someModels    = []string{"gpt-4o", "GPT-4o", "claude", "it's \"quoted\" ?", "日本"}
	someProviders = []string{"", "openai", "anthropic"}
	someSources   = []accounting.Source{accounting.SourceReported, accounting.SourceEstimated, accounting.SourceNone}
)

func oneOf[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomMoment is often at midnight, or right beside it.
func randomMoment(r *rand.Rand) time.Time {
	day := firstDay.AddDate(0, 0, r.IntN(randomDays))
	switch r.IntN(6) {
	case 0:
		return day
	case 1:
		return day.Add(-time.Microsecond)
	case 2:
		return day.Add(time.Microsecond)
	}
	return day.Add(time.Duration(r.Int64N(int64(24 * time.Hour)))).Truncate(time.Microsecond)
}

func randomCount(r *rand.Rand) tokens.Count {
	if r.IntN(3) == 0 {
		return tokens.Count{}
	}
	return tokens.Known(r.Int64N(1000))
}

func randomUsage(r *rand.Rand) tokens.Usage {
	return tokens.Usage{
		Input: randomCount(r), InputCached: randomCount(r), InputCacheWrite: randomCount(r), InputAudio: randomCount(r),
		Output: randomCount(r), OutputReasoning: randomCount(r), OutputAudio: randomCount(r),
	}
}

// randomCosts are a cost and its bounds: none, one that is known, or a range.
func randomCosts(r *rand.Rand) (nano, least, most *int64) {
	kind := r.IntN(4)
	if kind == 0 {
		return nil, nil, nil
	}
	low := r.Int64N(1e9)
	cost := low + r.Int64N(1e6)
	high := cost + r.Int64N(1e6)
	if kind == 1 {
		return &cost, &low, nil
	}
	return &cost, &low, &high
}

// randomPrice gives a record and its abandoned attempts other costs.
func randomPrice(r *rand.Rand, record *accounting.Record) {
	record.CostNanoUSD, record.CostLowNanoUSD, record.CostHighNanoUSD = randomCosts(r)
	for i := range record.Attempts {
		if a := &record.Attempts[i]; a.Abandoned() {
			a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD = randomCosts(r)
		}
	}
}

// randomAttempts are a few, of which one is final. Some of the others have used something,
// and some may have without anybody knowing how much.
func randomAttempts(r *rand.Rand, record *accounting.Record) []accounting.Attempt {
	attempts := make([]accounting.Attempt, r.IntN(5))
	for i := range attempts {
		a := &attempts[i]
		*a = accounting.Attempt{
			ID: record.UID.String() + "-" + strconv.Itoa(i+1), Provider: oneOf(r, someProviders), Model: oneOf(r, someModels),
			Kind:  oneOf(r, []string{accounting.AttemptFirst, accounting.AttemptRetry, accounting.AttemptFallback, accounting.AttemptHedge}),
			Phase: oneOf(r, accounting.Phases()), Outcome: oneOf(r, accounting.Outcomes()), Status: r.IntN(600),
			Start: record.Start.Add(time.Duration(i) * time.Second), Duration: time.Duration(r.IntN(1000)) * time.Millisecond,
			Code: "rate_limited", Reused: r.IntN(2) == 0, UsageSource: accounting.SourceNone, MayBill: accounting.MayBillNone,
		}
		if r.IntN(2) == 0 {
			a.Usage, a.UsageSource = randomUsage(r), oneOf(r, someSources)
			a.MayBill = oneOf(r, []string{accounting.MayBillNone, accounting.MayBillPartial, accounting.MayBillUnknown})
			a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD = randomCosts(r)
			micros := r.Int64N(1000)
			a.CloseMicros, a.ServiceTier = &micros, "flex"
		}
	}
	if len(attempts) > 0 {
		final := &attempts[r.IntN(len(attempts))]
		*final = accounting.Attempt{ID: final.ID, Provider: record.Provider, Model: "served", Start: final.Start, Final: true}
	}
	return attempts
}

func randomRecord(r *rand.Rand) *accounting.Record {
	record := &accounting.Record{
		UID: accounting.NewUID(), ID: "r", Start: randomMoment(r),
		Key: oneOf(r, someKeys), ModelAsked: oneOf(r, someModels), ModelServed: "served", Provider: oneOf(r, someProviders),
		Outcome: oneOf(r, accounting.Outcomes()), UsageSource: oneOf(r, someSources),
		Usage: randomUsage(r), MayBill: accounting.MayBillUnknown,
	}
	record.Attempts = randomAttempts(r, record)
	randomPrice(r, record)
	return record
}

func randomRecords(r *rand.Rand, n int) []*accounting.Record {
	records := make([]*accounting.Record, n)
	for i := range records {
		records[i] = randomRecord(r)
	}
	return records
}

// keep puts records into the books and adds them to the sums.
func keep(t *testing.T, b *Books, records ...*accounting.Record) {
	t.Helper()
	require.NoError(t, keepAll(b, records...))
}

func keepAll(b *Books, records ...*accounting.Record) error {
	tx, err := b.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, r := range records {
		row, err := exchangeRow(r, "test")
		if err != nil {
			return err
		}
		if err := b.insert(tx, "exchanges", exchangeColumns, "", row); err != nil {
			return err
		}
		for _, row := range attemptRows(r) {
			if err := b.insert(tx, "attempts", attemptColumns, "", row); err != nil {
				return err
			}
		}
	}
	for _, u := range naive(records, Query{By: Dimensions()}) {
		if err := b.insertSums(tx, u); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// insertSums adds the sums of a group of all dimensions.
func (b *Books) insertSums(tx *sql.Tx, u Usage) error {
	day, err := time.Parse(time.DateOnly, *u.Day)
	if err != nil {
		return err
	}
	row := append([]any{dayOf(day.UnixMicro()), *u.Key, *u.Model, *u.Provider, *u.Outcome, *u.Source}, u.sums()...)
	names := columnsOf(Dimensions())
	add := "ON CONFLICT (" + strings.TrimSuffix(names, ", ") + ") DO UPDATE SET "
	for i, c := range sumColumns {
		if i > 0 {
			add += ", "
		}
		add += c.name + " = usage_daily." + c.name + " + excluded." + c.name
	}
	return b.insert(tx, "usage_daily", names+namesOf(sumColumns), add, row)
}

func (b *Books) insert(tx *sql.Tx, table, names, rest string, row []any) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(row)), ", ")
	_, err := tx.Exec(b.rebind("INSERT INTO "+table+" ("+names+") VALUES ("+marks+") "+rest), row...)
	return err
}

// naive answers a query from all records, one by one.
func naive(records []*accounting.Record, q Query) []Usage {
	groups := map[string]*Usage{}
	if len(q.By) == 0 {
		groups[""] = &Usage{}
	}
	for _, spent := range spendings(records) {
		if !wanted(spent, q) {
			continue
		}
		var group Usage
		place := ""
		for _, d := range q.By {
			v := valueOf(spent, d)
			place += v + "\x00"
			setDimension(&group, d, v)
		}
		if groups[place] == nil {
			groups[place] = &group
		}
		addSpending(groups[place], spent)
	}
	rows := []Usage{}
	for _, u := range groups {
		rows = append(rows, *u)
	}
	slices.SortFunc(rows, func(x, y Usage) int {
		for _, d := range q.By {
			if c := cmp.Compare(*dimension(&x, d), *dimension(&y, d)); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

// spending is what one call has used, as a record with its provider and source.
type spending struct {
	*accounting.Record
	abandoned bool
}

// spendings takes records apart: each is one for its final attempt and one for each that was
// abandoned.
func spendings(records []*accounting.Record) (all []spending) {
	for _, r := range records {
		all = append(all, spending{r, false})
		for _, a := range r.Attempts {
			if a.Final || a.Usage == (tokens.Usage{}) && (a.MayBill == "" || a.MayBill == accounting.MayBillNone) {
				continue
			}
			beside := *r
			beside.Provider, beside.UsageSource, beside.Usage = a.Provider, a.UsageSource, a.Usage
			beside.CostNanoUSD, beside.CostLowNanoUSD, beside.CostHighNanoUSD = a.CostNanoUSD, a.CostLowNanoUSD, a.CostHighNanoUSD
			all = append(all, spending{&beside, true})
		}
	}
	return all
}

func wanted(r spending, q Query) bool {
	in := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return (q.Since.IsZero() || !r.Start.Before(q.Since)) && (q.Until.IsZero() || r.Start.Before(q.Until)) &&
		in(q.Keys, r.Key) && in(q.Models, r.ModelAsked) && in(q.Providers, r.Provider) && in(q.Outcomes, string(r.Outcome))
}

func valueOf(r spending, d Dimension) string {
	return map[Dimension]string{
		ByDay: r.Start.Format(time.DateOnly), ByKey: r.Key, ByModel: r.ModelAsked, ByProvider: r.Provider,
		ByOutcome: string(r.Outcome), BySource: string(r.UsageSource),
	}[d]
}

func dimension(u *Usage, d Dimension) *string {
	return map[Dimension]*string{
		ByDay: u.Day, ByKey: u.Key, ByModel: u.Model, ByProvider: u.Provider, ByOutcome: u.Outcome, BySource: u.Source,
	}[d]
}

func setDimension(u *Usage, d Dimension, v string) {
	*map[Dimension]**string{
		ByDay: &u.Day, ByKey: &u.Key, ByModel: &u.Model, ByProvider: &u.Provider, ByOutcome: &u.Outcome, BySource: &u.Source,
	}[d] = &v
}

func addSpending(u *Usage, r spending) {
	if r.abandoned {
		u.Abandoned++
		if r.CostNanoUSD != nil {
			u.AbandonedCostNanoUSD += *r.CostNanoUSD
		}
	} else {
		u.Exchanges++
	}
	u.Input += r.Usage.Input.N
	u.InputCached += r.Usage.InputCached.N
	u.InputCacheWrite += r.Usage.InputCacheWrite.N
	u.InputAudio += r.Usage.InputAudio.N
	u.Output += r.Usage.Output.N
	u.OutputReasoning += r.Usage.OutputReasoning.N
	u.OutputAudio += r.Usage.OutputAudio.N
	if r.CostNanoUSD == nil {
		u.Unpriced++
		return
	}
	u.CostNanoUSD += *r.CostNanoUSD
	u.CostLowNanoUSD += *r.CostLowNanoUSD
	if r.CostHighNanoUSD == nil {
		u.Unbounded++
		u.CostHighNanoUSD += *r.CostNanoUSD
		return
	}
	u.CostHighNanoUSD += *r.CostHighNanoUSD
}

// randomQuery has any dimensions in any order, any filters and any time.
func randomQuery(r *rand.Rand) Query {
	var q Query
	by := Dimensions()
	r.Shuffle(len(by), func(i, j int) { by[i], by[j] = by[j], by[i] })
	q.By = by[:r.IntN(len(by)+1)]
	if r.IntN(3) > 0 {
		q.Since = randomMoment(r)
	}
	if r.IntN(3) > 0 {
		q.Until = randomMoment(r)
	}
	if r.IntN(8) == 0 { // hours of one day
		q.Since = firstDay.Add(30 * time.Hour)
		q.Until = q.Since.Add(time.Duration(r.Int64N(int64(18 * time.Hour))))
	}
	some := func(names []string) []string {
		if r.IntN(3) > 0 {
			return nil
		}
		return []string{oneOf(r, names), oneOf(r, names), "nobody has this name"}
	}
	q.Keys, q.Models, q.Providers = some(someKeys), some(someModels), some(someProviders)
	q.Outcomes = some([]string{"completed", "client_gone", "crash"})
	return q
}
