package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
)

func TestUsageAnswersAsACountOfAllRecordsDoes(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		random := rand.New(rand.NewPCG(1, 2))
		records := randomRecords(random, 300)
		keep(t, b, records...)
		for i := range 80 {
			q := randomQuery(random)
			want := naive(records, q)
			got, err := b.Usage(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, want, got.Rows, "query %d: %+v", i, q)
			require.Empty(t, got.Next)
			require.Empty(t, got.Incomplete)
			q.Limit = 1 + len(want)/(1+random.IntN(5))
			require.Equal(t, want, pages(t, b, q), "query %d: %+v", i, q)
		}
	})
}

// pages are the rows of all pages of an answer.
func pages(t *testing.T, b *Books, q Query) []Usage {
	t.Helper()
	rows := []Usage{}
	for {
		page, err := b.Usage(t.Context(), q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Rows), q.Limit)
		rows = append(rows, page.Rows...)
		if page.Next == "" {
			return rows
		}
		require.Len(t, page.Rows, q.Limit)
		q.After = page.Next
	}
}

func TestUsageOfEmptyBooks(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		for _, since := range []time.Time{{}, firstDay, firstDay.Add(time.Hour)} {
			got, err := b.Usage(t.Context(), Query{Since: since})
			require.NoError(t, err)
			require.Equal(t, Page{Rows: []Usage{{}}}, got)
			got, err = b.Usage(t.Context(), Query{Since: since, By: []Dimension{ByKey}})
			require.NoError(t, err)
			require.Equal(t, Page{Rows: []Usage{}}, got)
		}
	})
}

func TestUsageFindsLongNames(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	r := randomRecord(rand.New(rand.NewPCG(9, 10)))
	r.ModelAsked = strings.Repeat("é", 200)
	keep(t, b, r)
	got, err := b.Usage(t.Context(), Query{Models: []string{r.ModelAsked}, Since: r.Start, Until: r.Start.Add(time.Second)})
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Rows[0].Exchanges)
}

func TestUsageDividesTheTimeAtMidnightInUTC(t *testing.T) {
	day := firstDay.Unix() / 86400
	at := func(days, hours int) int64 { return firstDay.Add(time.Duration(24*days+hours) * time.Hour).UnixMicro() }
	f := func(since, until time.Time, first, end int64, parts ...stretch) {
		t.Helper()
		require.Equal(t, cover{first, end, parts}, coverOf(Query{Since: since, Until: until}))
	}
	hour := func(h int) time.Time { return firstDay.Add(time.Duration(h) * time.Hour) }
	f(hour(0), hour(48), day, day+2)
	f(hour(1), hour(48), day+1, day+2, stretch{at(0, 1), at(1, 0)})
	f(hour(0), hour(47), day, day+1, stretch{at(1, 0), at(1, 23)})
	f(hour(1), hour(47), day+1, day+1, stretch{at(0, 1), at(1, 0)}, stretch{at(1, 0), at(1, 23)})
	f(hour(1), hour(2), day+1, day, stretch{at(0, 1), at(0, 2)})
	f(hour(1), hour(24), day+1, day+1, stretch{at(0, 1), at(1, 0)})
	f(hour(2), hour(2), 0, 0)
	f(hour(3), hour(2), 0, 0)
	east := time.FixedZone("", 2*3600)
	f(hour(0).In(east), hour(24).In(east), day, day+1)
	f(time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), -1, 0)
	require.Equal(t, "1969-12-31", dayName(-1))
}

func TestUsageRefusesWhatItCannotAnswer(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	f := func(want string, q Query) {
		t.Helper()
		_, err := b.Usage(t.Context(), q)
		require.ErrorIs(t, err, ErrBadQuery)
		require.ErrorContains(t, err, want)
	}
	f("key is asked for twice", Query{By: []Dimension{ByKey, ByDay, ByKey}})
	f(`"hour" is not one of day, key, model, provider, outcome, usage_source`, Query{By: []Dimension{"hour"}})
	f("a name is not text", Query{Models: []string{"a\x00b"}})
	f("a name is not text", Query{Keys: []string{"\xff"}})
	f("more than 1000 names", Query{Keys: make([]string, 1001)})
	_, err := b.Usage(t.Context(), Query{Keys: slices.Repeat([]string{"?"}, 1000), Models: slices.Repeat([]string{"$1"}, 1000), Since: firstDay.Add(1), Until: firstDay.Add(25 * time.Hour)})
	require.NoError(t, err)
	for _, d := range Dimensions() {
		got, err := ParseDimension(string(d))
		require.NoError(t, err)
		require.Equal(t, d, got)
	}
}

func TestUsageRefusesTheCursorOfAnotherAnswer(t *testing.T) {
	b := openBooks(t, "sqlite://"+t.TempDir()+"/ledger.db")
	keep(t, b, randomRecords(rand.New(rand.NewPCG(3, 4)), 20)...)
	q := Query{By: []Dimension{ByDay, ByKey}, Limit: 1}
	page, err := b.Usage(t.Context(), q)
	require.NoError(t, err)
	require.NotEmpty(t, page.Next)
	f := func(q Query) {
		t.Helper()
		_, err := b.Usage(t.Context(), q)
		require.ErrorIs(t, err, ErrBadCursor)
	}
	f(Query{By: []Dimension{ByKey, ByDay}, After: page.Next})
	f(Query{By: []Dimension{ByDay}, After: page.Next})
	f(Query{After: page.Next})
	f(Query{After: cursorOf(nil, nil)})
	q.After = page.Next[:len(page.Next)-3]
	f(q)
	q.After = "no base64!"
	f(q)
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, text := range []string{
		"null", "{}", `[{"by":"day","value":"x"},{"by":"key","value":""}]`,
		`[{"by":"day","value":"99999999999999"},{"by":"key","value":""}]`, `[{"by":"day","value":"1"},{"by":"key","value":"\u0000"}]`,
	} {
		q.After = encode(text)
		f(q)
	}
}

// The records of parts of days are found by the time at which they began, not by a look
// at all of them.
func TestUsageOfAPartOfADayReadsOnlyThatPart(t *testing.T) {
	f := func(b *Books, explain string) string {
		ask := b.usageQuestion(Query{By: []Dimension{ByKey}}, coverOf(Query{Since: firstDay.Add(time.Hour), Until: firstDay.Add(25 * time.Hour)}), nil)
		rows, err := b.db.QueryContext(t.Context(), explain+b.rebind(ask.text.String()), ask.args...)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		names, err := rows.Columns()
		require.NoError(t, err)
		var plan strings.Builder
		for rows.Next() {
			cells := make([]any, len(names))
			for i := range cells {
				cells[i] = new(any)
			}
			require.NoError(t, rows.Scan(cells...))
			_, _ = fmt.Fprintln(&plan, *cells[len(cells)-1].(*any))
		}
		require.NoError(t, rows.Err())
		return plan.String()
	}
	onBothEngines(t, func(t *testing.T, b *Books, _ string) {
		explain := "EXPLAIN QUERY PLAN "
		if b.engine == PostgreSQL {
			explain = "EXPLAIN "
			keep(t, b, randomRecords(rand.New(rand.NewPCG(5, 6)), 3000)...)
			_, err := b.db.Exec("ANALYZE")
			require.NoError(t, err)
		}
		plan := f(b, explain)
		require.Equal(t, 2, strings.Count(plan, "exchanges_started"), plan)
		require.Equal(t, 2, strings.Count(plan, "attempts_counting"), plan)
	})
}

func TestUsageSeesOneMoment(t *testing.T) {
	onBothEngines(t, func(t *testing.T, b *Books, url string) {
		reader, err := OpenToRead(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, reader.Close()) }()
		random := rand.New(rand.NewPCG(7, 8))
		done := make(chan error, 1)
		go func() { // every transaction adds two exchanges: one of a part and one of a whole day
			var err error
			for range 50 {
				first, second := randomRecord(random), randomRecord(random)
				first.Start, second.Start = firstDay.Add(time.Hour), firstDay.Add(24*time.Hour)
				err = errors.Join(err, keepAll(b, first, second))
			}
			done <- err
		}()
		for running := true; running; {
			select {
			case err := <-done:
				require.NoError(t, err)
				running = false
			default:
			}
			got, err := reader.Usage(t.Context(), Query{Since: firstDay.Add(time.Minute)})
			require.NoError(t, err)
			require.Zero(t, got.Rows[0].Exchanges%2)
		}
		got, err := reader.Usage(t.Context(), Query{Since: firstDay.Add(time.Minute), Outcomes: outcomeNames()})
		require.NoError(t, err)
		require.EqualValues(t, 100, got.Rows[0].Exchanges)
	})
}

func outcomeNames() []string {
	var names []string
	for _, o := range accounting.Outcomes() {
		names = append(names, string(o))
	}
	return names
}
