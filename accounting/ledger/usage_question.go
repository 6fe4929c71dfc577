package ledger

import "strings"

// question collects a query with question marks and what they stand for.
type question struct {
	text strings.Builder
	args []any
}

func (s *question) add(text string, args ...any) {
	s.text.WriteString(text)
	s.args = append(s.args, args...)
}

// list adds a question mark for each of args.
func (s *question) list(args []any) {
	s.add(strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", "), args...)
}

// filter keeps the rows that a query wants, of days and of exchanges alike.
func (s *question) filter(q Query) {
	for _, f := range q.filters() {
		names := make([]any, len(f.names))
		for i, n := range f.names {
			names[i] = name(n) // as it is kept
		}
		s.add(" AND " + f.column + " IN (")
		s.list(names)
		s.add(")")
	}
}

// usageQuestion is the one statement that answers a query, so that it sees one moment.
func (b *Books) usageQuestion(q Query, c cover, after []any) *question {
	by := columnsOf(q.By)
	grouped := ""
	if by != "" {
		grouped = " GROUP BY " + strings.TrimSuffix(by, ", ")
	}
	s := &question{}
	s.add("WITH used (" + by + namesOf(sumColumns) + ") AS (")
	b.askDays(s, q, c, grouped)
	for _, part := range c.parts {
		s.add(" UNION ALL ")
		b.askPart(s, q, part, grouped)
		s.add(" UNION ALL ")
		b.askAbandoned(s, q, part, grouped)
	}
	s.add(") SELECT " + by + addedUp + " FROM used")
	if after != nil {
		s.add(" WHERE (" + strings.TrimSuffix(by, ", ") + ") > (")
		s.list(after)
		s.add(")")
	}
	s.add(grouped + strings.Replace(grouped, "GROUP", "ORDER", 1))
	if q.Limit > 0 {
		s.add(" LIMIT ?", int64(q.Limit)+1)
	}
	return s
}

// askDays adds the sums of the whole days of a cover.
func (b *Books) askDays(s *question, q Query, c cover, grouped string) {
	s.add("SELECT " + b.ordered(q.By) + addedUp + " FROM usage_daily WHERE ")
	switch {
	case !c.days():
		s.add("1 = 0")
	case q.Since.IsZero() && q.Until.IsZero():
		s.add("1 = 1")
	case q.Since.IsZero():
		s.add("day < ?", c.end)
	case q.Until.IsZero():
		s.add("day >= ?", c.first)
	default:
		s.add("day >= ? AND day < ?", c.first, c.end)
	}
	s.filter(q)
	s.add(grouped)
}

// askPart adds the sums of the exchanges of a part of a day.
func (b *Books) askPart(s *question, q Query, part stretch, grouped string) {
	s.add("SELECT "+b.ordered(q.By)+exchangeSums+" FROM exchanges WHERE started_at >= ? AND started_at < ?", part.from, part.until)
	s.filter(q)
	s.add(grouped)
}

// askAbandoned adds the sums of the abandoned attempts of the exchanges of a part of a day.
func (b *Books) askAbandoned(s *question, q Query, part stretch, grouped string) {
	s.add("SELECT "+b.ordered(q.By)+abandonedSums+" FROM "+abandonedCalls+" WHERE counts_at >= ? AND counts_at < ?", part.from, part.until)
	s.filter(q)
	s.add(grouped)
}

// addedUp are the sums of sumColumns. PostgreSQL's own are of type numeric.
var addedUp = func() string {
	var s []string
	for _, c := range sumColumns {
		s = append(s, "CAST(COALESCE(SUM("+c.name+"), 0) AS BIGINT)")
	}
	return strings.Join(s, ", ")
}()

func namesOf(columns []column) string { return (&table{columns: columns}).names() }

// columnsOf lists the columns of dimensions, each with a comma behind it.
func columnsOf(by []Dimension) string {
	var s strings.Builder
	for _, d := range by {
		s.WriteString(string(d) + ", ")
	}
	return s.String()
}

// ordered is columnsOf for names that will be compared: in the order of their bytes on
// both engines, whatever the language of the database.
func (b *Books) ordered(by []Dimension) string {
	if b.engine == SQLite {
		return columnsOf(by)
	}
	var s strings.Builder
	for _, d := range by {
		s.WriteString(string(d))
		if d != ByDay {
			s.WriteString(` COLLATE "C"`)
		}
		s.WriteString(", ")
	}
	return s.String()
}
