package ledger

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errMoment = errors.New("must be a time as 2006-01-02T15:04:05Z, a day as 2006-01-02, or a span back from now as 24h or 7d")

// maxSpan bounds a span back: it is in the years before there were computers.
const maxSpan = 100 * 365 * 24 * time.Hour

// ParseMoment reads a moment that a person writes: a time of RFC 3339, the begin of a day in
// UTC, or a span back from now, which may be in days. Its errors complete a sentence that
// begins with the value. The result is in UTC.
func ParseMoment(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	back, err := parseSpan(s)
	if err != nil {
		return time.Time{}, err
	}
	return now.Add(-back).UTC(), nil
}

// parseSpan reads a span as 90m, 24h, 7d or 1d12h.
func parseSpan(s string) (time.Duration, error) {
	var span time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errMoment
		}
		span, s = time.Duration(n)*24*time.Hour, rest
		if s == "" {
			s = "0s"
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || rest < 0 || strings.HasPrefix(s, "+") || span > maxSpan || rest > maxSpan {
		return 0, errMoment
	}
	return span + rest, nil
}
