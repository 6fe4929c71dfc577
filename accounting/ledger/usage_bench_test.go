package ledger

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/servers"
)

// BenchmarkUsage measures how long questions take, over SLUICE_BENCH_ROWS exchanges of 90
// days, a million by default. The size is that of everything that the books hold.
func BenchmarkUsage(b *testing.B) {
	rows := int64(1_000_000)
	if s := os.Getenv("SLUICE_BENCH_ROWS"); s != "" {
		var err error
		rows, err = strconv.ParseInt(s, 10, 64)
		require.NoError(b, err)
	}
	b.Run("sqlite", func(b *testing.B) { benchmarkUsage(b, "sqlite://"+b.TempDir()+"/ledger.db", rows) })
	b.Run("postgres", func(b *testing.B) { benchmarkUsage(b, servers.StartPostgres(b).Database(b), rows) })
}

func benchmarkUsage(b *testing.B, url string, rows int64) {
	books, err := OpenBooks(context.Background(), url)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, books.Close()) })
	generate(b, books, rows)
	size := "SELECT pg_database_size(current_database())"
	if books.engine == SQLite {
		size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	}
	var bytes, groups float64
	require.NoError(b, books.db.QueryRow(size).Scan(&bytes))
	require.NoError(b, books.db.QueryRow("SELECT COUNT(*) FROM usage_daily").Scan(&groups))
	for _, question := range usageQuestions() {
		b.Run(question.name, func(b *testing.B) {
			b.ReportAllocs()
			var found int
			for b.Loop() {
				page, err := books.Usage(context.Background(), question.query)
				require.NoError(b, err)
				found = len(page.Rows)
			}
			b.ReportMetric(bytes/1e6, "MB")
			b.ReportMetric(groups, "groups")
			b.ReportMetric(float64(found), "rows")
		})
	}
}

type namedQuery struct {
	name  string
	query Query
}

func usageQuestions() []namedQuery {
	end := time.UnixMicro(generatedStart).UTC().AddDate(0, 0, generatedDays)
	noon := end.Add(-12 * time.Hour)
	questions := []namedQuery{{"total", Query{}}}
	for _, d := range Dimensions() {
		questions = append(questions, namedQuery{"by " + string(d), Query{By: []Dimension{d}}})
	}
	return append(questions,
		namedQuery{"by key model provider", Query{By: []Dimension{ByKey, ByModel, ByProvider}}},
		namedQuery{"by day key model", Query{By: []Dimension{ByDay, ByKey, ByModel}}},
		namedQuery{"page of 100 by day key model", Query{By: []Dimension{ByDay, ByKey, ByModel}, Limit: 100}},
		namedQuery{"by model of the last 24h", Query{By: []Dimension{ByModel}, Since: noon.Add(-24 * time.Hour), Until: noon}},
		namedQuery{"by model of 30 days from noon to noon", Query{By: []Dimension{ByModel}, Since: noon.AddDate(0, 0, -30), Until: noon}},
		namedQuery{"by day of one key", Query{By: []Dimension{ByDay}, Keys: []string{"team-3"}}},
		namedQuery{"by key of one outcome", Query{By: []Dimension{ByKey}, Outcomes: []string{"client_gone"}}},
	)
}
