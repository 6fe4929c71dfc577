package balance

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is told of each turn when it has ended. A nil one is always closed.
type breaker struct {
	steps *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// What the breaker is told of a turn that was not Good.
var (
	errFailed  = errors.New("failed")
	errNeutral = errors.New("says nothing about the target")
)

func (t *Target) newBreaker(open time.Duration) *breaker {
	return &breaker{gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1, // while half open
		Timeout:     open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int64(c.ConsecutiveFailures) >= t.trip.Load() },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNeutral) },
		// It runs with the breaker locked and must not ask it anything.
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				t.opened.Add(1)
			}
		},
	})}
}

// begin returns what is to be called with the verdict on a turn, and nil if that turn does
// not count: the breaker is open, or another turn is trying the target.
func (b *breaker) begin() func(error) {
	if b == nil {
		return nil
	}
	done, err := b.steps.Allow()
	if err != nil {
		return nil
	}
	return done
}

// state also tells whether the next turn would count.
func (b *breaker) state() (name string, allows bool) {
	if b == nil {
		return "closed", true
	}
	switch b.steps.State() {
	case gobreaker.StateOpen:
		return "open", false
	case gobreaker.StateHalfOpen:
		c := b.steps.Counts()
		return "half_open", c.Requests <= c.TotalExclusions
	default:
		return "closed", true
	}
}
