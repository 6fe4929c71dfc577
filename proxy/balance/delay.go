package balance

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// longestBackoff ends the doubling.
	longestBackoff = time.Minute
	// longestRetryAfter is what years are cut to: nobody waits for that either.
	longestRetryAfter = 24 * time.Hour
)

// Delay is the pause before a target is asked again: for the n-th repeat, counted from 1,
// base doubled n-1 times and jittered by half of it either way, or retryAfter if that is
// longer. It is not ok if retryAfter is longer than most, and then the pause is 0.
func Delay(n int, base, retryAfter, most time.Duration) (d time.Duration, ok bool) {
	if retryAfter > most {
		return 0, false
	}
	return max(backOff(n, base), retryAfter, 0), true
}

func backOff(n int, base time.Duration) time.Duration {
	if base <= 0 {
		return 0
	}
	b := backoff.ExponentialBackOff{
		InitialInterval: min(base, longestBackoff), MaxInterval: longestBackoff,
		Multiplier: 2, RandomizationFactor: 0.5,
	}
	d := b.NextBackOff()
	for range max(min(n, 64), 1) - 1 { // the doubling has ended long before
		d = b.NextBackOff()
	}
	return d
}

// RetryAfter reads how long a provider asks to wait from the headers of its answer, which
// get returns by their lower-case names, "" if absent: retry-after-ms, as OpenAI sends it,
// else Retry-After in seconds, also with a fraction, or as an HTTP date (RFC 9110 section
// 10.2.3), to which it is now. A date in the past asks for no wait. More than a day counts
// as a day. It is not ok if there is no such header, or none that makes sense.
func RetryAfter(get func(name string) string, now time.Time) (d time.Duration, ok bool) {
	if d, ok := parseWait(get("retry-after-ms"), time.Millisecond); ok {
		return d, true
	}
	value := strings.TrimSpace(get("retry-after"))
	if d, ok := parseWait(value, time.Second); ok {
		return d, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), longestRetryAfter), true
}

// parseWait reads a decimal number of units. Signs, exponents and the like are not numbers
// here.
func parseWait(s string, unit time.Duration) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(n*float64(unit), float64(longestRetryAfter))), true
}
