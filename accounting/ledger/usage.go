package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Usage tells what was used. It sees the books as they are at one moment, and waits for
// no writer. A query that cannot be answered is an ErrBadQuery or an ErrBadCursor.
func (b *Books) Usage(ctx context.Context, q Query) (Page, error) {
	if err := q.validate(); err != nil {
		return Page{}, err
	}
	var after []any
	if q.After != "" {
		var err error
		if after, err = parseCursor(q.After, q.By); err != nil {
			return Page{}, err
		}
	}
	c := coverOf(q)
	page, err := b.usagePage(ctx, q, c, after)
	if err != nil {
		return Page{}, fmt.Errorf("reading the usage: %w", redact(err))
	}
	if page.Incomplete, err = b.incomplete(ctx, c.parts); err != nil {
		return Page{}, fmt.Errorf("reading the usage: %w", redact(err))
	}
	return page, nil
}

func (b *Books) usagePage(ctx context.Context, q Query, c cover, after []any) (Page, error) {
	ask := b.usageQuestion(q, c, after)
	rows, err := b.db.QueryContext(ctx, b.rebind(ask.text.String()), ask.args...)
	if err != nil {
		return Page{}, err
	}
	defer func() { _ = rows.Close() }()
	page := Page{Rows: []Usage{}}
	var last []any
	for rows.Next() {
		if q.Limit > 0 && len(page.Rows) == q.Limit {
			page.Next = cursorOf(q.By, last)
			break
		}
		var u Usage
		if last, err = scanUsage(rows, q.By, &u); err != nil {
			return Page{}, err
		}
		page.Rows = append(page.Rows, u)
	}
	return page, rows.Err()
}

// scanUsage reads a row into u and returns the values of its dimensions.
func scanUsage(rows *sql.Rows, by []Dimension, u *Usage) ([]any, error) {
	values := make([]any, len(by))
	into := make([]any, 0, len(by)+len(sumColumns))
	for i := range by {
		into = append(into, &values[i])
	}
	if err := rows.Scan(append(into, u.sums()...)...); err != nil {
		return nil, err
	}
	for i, d := range by {
		if err := u.set(d, values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// sums are the places for sumColumns.
func (u *Usage) sums() []any {
	return []any{
		&u.Exchanges, &u.Input, &u.InputCached, &u.InputCacheWrite, &u.InputAudio,
		&u.Output, &u.OutputReasoning, &u.OutputAudio,
		&u.CostNanoUSD, &u.CostLowNanoUSD, &u.CostHighNanoUSD, &u.Unpriced, &u.Unbounded,
		&u.Abandoned, &u.AbandonedCostNanoUSD,
	}
}

var errColumn = errors.New("a column of another kind than expected")

// set sets a dimension to the value of its column.
func (u *Usage) set(d Dimension, value any) error {
	if d == ByDay {
		day, ok := value.(int64)
		if !ok {
			return errColumn
		}
		name := dayName(day)
		u.Day = &name
		return nil
	}
	name, ok := value.(string)
	if !ok {
		return errColumn
	}
	switch d {
	case ByKey:
		u.Key = &name
	case ByModel:
		u.Model = &name
	case ByProvider:
		u.Provider = &name
	case ByOutcome:
		u.Outcome = &name
	case BySource:
		u.Source = &name
	}
	return nil
}

// incomplete names the days of parts that have fewer records left than were counted.
// Retention removes the oldest records first, so that a day before whose begin there is
// one is complete.
func (b *Books) incomplete(ctx context.Context, parts []stretch) ([]string, error) {
	var days []string
	for _, part := range parts {
		day := dayOf(part.from)
		var oldest sql.NullInt64
		if err := b.db.QueryRowContext(ctx, "SELECT MIN(started_at) FROM exchanges").Scan(&oldest); err != nil {
			return nil, err
		}
		if oldest.Valid && oldest.Int64 < day*dayMicros {
			continue
		}
		var counted, left int64
		query := b.rebind(`SELECT (SELECT CAST(COALESCE(SUM(exchanges), 0) AS BIGINT) FROM usage_daily WHERE day = ?),
			(SELECT COUNT(*) FROM exchanges WHERE started_at >= ? AND started_at < ?)`)
		if err := b.db.QueryRowContext(ctx, query, day, day*dayMicros, (day+1)*dayMicros).Scan(&counted, &left); err != nil {
			return nil, err
		}
		if left < counted {
			days = append(days, dayName(day))
		}
	}
	return days, nil
}
