package limits

import (
	"time"
)

// slot is a counter that budgets of a subject share: a unit and a period.
type slot uint8

const slots = 6

func slotOf(b *Budget) slot {
	s := slot(b.Unit) * 3
	switch b.Per {
	case Month:
		return s + 1
	case Total:
		return s + 2
	}
	return s
}

func (s slot) unit() Unit { return Unit(s / 3) }

// total is the window that never ends.
const total = "total"

// window is the id of the window in which the day is: 2026-11-21, 2026-11 or total.
func (s slot) window(day string) string {
	switch {
	case s%3 == 2:
		return total
	case s%3 == 1 && len(day) >= 7:
		return day[:7]
	}
	return day
}

// since is when the window began; the zero time for the total.
func (s slot) since(window string) time.Time {
	layout := time.DateOnly
	if s%3 == 1 {
		layout = "2006-01"
	}
	begin, err := time.Parse(layout, window)
	if s%3 == 2 || err != nil {
		return time.Time{}
	}
	return begin
}

// slotSet is a set of slots, one a bit.
type slotSet uint8

func (s slotSet) has(one slot) bool { return s&(1<<one) != 0 }

func (s *slotSet) add(one slot) { *s |= 1 << one }

// calendar knows the day, in UTC. It never goes back.
type calendar struct {
	day string
	// ends is the Unix time of the end of the day.
	ends int64
}

func (c *calendar) advance(now time.Time) string {
	if unix := now.Unix(); unix >= c.ends {
		c.ends = unix - unix%86400 + 86400
		c.day = now.UTC().Format(time.DateOnly)
	}
	return c.day
}
