package ledger

import (
	"math"
	"time"
)

const dayMicros = int64(24 * time.Hour / time.Microsecond)

// dayOf is the day, in UTC and counted from 1970, of a time in microseconds.
func dayOf(micros int64) int64 {
	day := micros / dayMicros
	if micros%dayMicros < 0 {
		day--
	}
	return day
}

// dayName writes a day as 2006-01-02.
func dayName(day int64) string {
	return time.Unix(day*int64(24*time.Hour/time.Second), 0).UTC().Format(time.DateOnly)
}

// stretch is a time from one moment on until before another one, both in microseconds.
type stretch struct{ from, until int64 }

func (s stretch) empty() bool { return s.from >= s.until }

// always is unbounded: no day begins that early or that late.
var always = stretch{math.MinInt64, math.MaxInt64}

// cover is how a stretch is answered: the days from first on until before end by their
// sums, and at most two parts of days by their records.
type cover struct {
	first, end int64
	parts      []stretch
}

// coverOf divides the time of a query at the midnights in UTC.
func coverOf(q Query) cover {
	asked := always
	if !q.Since.IsZero() {
		asked.from = q.Since.UnixMicro()
	}
	if !q.Until.IsZero() {
		asked.until = q.Until.UnixMicro()
	}
	c := cover{first: dayOf(asked.from), end: dayOf(asked.until)}
	if asked.empty() {
		return cover{}
	}
	if asked.from != always.from && asked.from != c.first*dayMicros {
		c.first++
		c.addPart(stretch{asked.from, min(asked.until, c.first*dayMicros)})
	}
	if asked.until != always.until && c.end >= c.first {
		c.addPart(stretch{c.end * dayMicros, asked.until})
	}
	return c
}

func (c *cover) addPart(part stretch) {
	if !part.empty() {
		c.parts = append(c.parts, part)
	}
}

// days reports whether there are whole days.
func (c cover) days() bool { return c.first < c.end }
