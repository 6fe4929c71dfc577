package limits

import (
	"errors"
	"fmt"
	"time"
)

// ErrSettled is what Extend comes to when the reservation has been settled.
var ErrSettled = errors.New("reservation already settled")

// ErrClosed is behind an *Unavailable after Close.
var ErrClosed = errors.New("limiter closed")

// Refused is the error of a request that ran into a limit.
type Refused struct {
	// Subject has no quota.
	Subject Subject
	Limit   Limit
	// Budget is nil unless the limit is one. It is shared: read only.
	Budget *Budget
	// RetryAfter is when the request would fit if nothing else came; 0 when waiting does
	// not help. For streams, which end when they like, it is a guess.
	RetryAfter time.Duration
	// State is as it stands: nothing has been taken.
	State State

	part int
}

// Error names the kind of the subject, not its name.
func (r *Refused) Error() string {
	switch r.Limit {
	case LimitRequests:
		return fmt.Sprintf("requests per minute of the %s are used up", r.Subject.Kind)
	case LimitTokens:
		return fmt.Sprintf("tokens per minute of the %s are used up", r.Subject.Kind)
	case LimitStreams:
		return fmt.Sprintf("too many requests of the %s at the same time", r.Subject.Kind)
	}
	if r.Budget != nil && r.Budget.Per != Total {
		return fmt.Sprintf("budget of the %s for the %s is used up", r.Subject.Kind, r.Budget.Per)
	}
	return fmt.Sprintf("budget of the %s is used up", r.Subject.Kind)
}

// Unavailable is the error of a request that cannot be decided: the shared counters, or
// what was spent before, cannot be learnt, and the quota says to refuse then.
type Unavailable struct {
	// Subject has no quota.
	Subject Subject
	// RetryAfter is when to try again.
	RetryAfter time.Duration

	cause error
}

// Error does not tell the cause, which may name hosts.
func (u *Unavailable) Error() string {
	return fmt.Sprintf("limits of the %s cannot be checked", u.Subject.Kind)
}

// Unwrap returns the cause, for logs.
func (u *Unavailable) Unwrap() error { return u.cause }

func unavailable(s Subject, cause error) *Unavailable {
	return &Unavailable{Subject: Subject{Kind: s.Kind, Name: s.Name}, RetryAfter: time.Second, cause: cause}
}

// verdict is the limit that holds a request up the longest.
type verdict struct {
	refused bool
	part    int
	limit   Limit
	budget  int
	// wait is in microseconds, or one of those below.
	wait float64
}

// Waits that only the calendar knows. They are longer than any of a rate, and in the
// order of their length.
const (
	untilDay   = 1e15
	untilMonth = 2e15
	forever    = 3e15
)

// streamWait is what a client is told that found all streams taken.
const streamWait = 1e6

func (v *verdict) add(part int, limit Limit, budget int, wait float64) {
	if !v.refused || wait > v.wait {
		*v = verdict{refused: true, part: part, limit: limit, budget: budget, wait: wait}
	}
}

func (v *verdict) retryAfter(now time.Time) time.Duration {
	now = now.UTC()
	switch {
	case v.wait >= forever:
		return 0
	case v.wait >= untilMonth:
		return time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC).Sub(now)
	case v.wait >= untilDay:
		return time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC).Sub(now)
	}
	return duration(v.wait)
}

// budgetWait is when a budget has room again that has none.
func budgetWait(b *Budget, spent, ask int64) float64 {
	switch {
	case spent < b.Amount && ask <= b.Amount-spent:
		return streamWait // what others reserved is in the way, and some of it comes back
	case ask > b.Amount || b.Amount <= 0 || b.Per == Total:
		return forever
	case b.Per == Month:
		return untilMonth
	}
	return untilDay
}
