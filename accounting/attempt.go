package accounting

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// Why an attempt was made.
const (
	AttemptFirst    = "first"    // to begin with
	AttemptRetry    = "retry"    // the one before did not run, or failed
	AttemptFallback = "fallback" // the fallback model was asked
	AttemptHedge    = "hedge"    // the one before was slow, and went on
)

// Attempt is one upstream call inside an exchange.
type Attempt struct {
	ID       string `json:"id"`
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"`
	// Kind is one of the Attempt constants.
	Kind    string    `json:"kind,omitempty"`
	Phase   Phase     `json:"phase"`
	Outcome Outcome   `json:"outcome"`
	Status  int       `json:"status,omitempty"`
	Start   time.Time `json:"start"`
	// Final marks the one attempt of a record whose answer, or failure, the client got.
	// What it has used is in the record; what the others have used, below.
	Final bool `json:"final,omitempty"`

	// Usage and what follows is about an attempt that is not the final one and may have
	// run. They are as the members of the same name in the record.
	Usage           tokens.Usage `json:"usage,omitzero"`
	UsageSource     Source       `json:"usage_source,omitempty"`
	MayBill         string       `json:"may_bill,omitempty"`
	CostNanoUSD     *int64       `json:"cost_nano_usd,omitempty"`
	CostLowNanoUSD  *int64       `json:"cost_low_nano_usd,omitempty"`
	CostHighNanoUSD *int64       `json:"cost_high_nano_usd,omitempty"`
	ServiceTier     string       `json:"service_tier,omitempty"`
	CloseMicros     *int64       `json:"close_us,omitempty"`

	// Duration is monotonic; in JSON it is duration_ms, a float.
	Duration time.Duration `json:"-"`
	Code     string        `json:"code,omitempty"`
	// Reused says that the call went over a kept upstream connection.
	Reused bool `json:"reused"`
}

// Abandoned reports that the attempt is not the final one of its record and has used
// something, or may have. It is charged by its own provider, beside what the record has used.
func (a *Attempt) Abandoned() bool {
	if a.Final {
		return false
	}
	return a.Usage.Any() || a.MayBill != "" && a.MayBill != MayBillNone
}

// AbandonedCost is what the abandoned attempts of the record cost, as far as it is known, in
// units of 1e-9 USD.
func (r *Record) AbandonedCost() int64 {
	var sum int64
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() && a.CostNanoUSD != nil {
			sum += *a.CostNanoUSD
		}
	}
	return sum
}

// Used is what the exchange has used with all its attempts: tokens of input and output, and
// the cost in units of 1e-9 USD. What is not known adds nothing.
func (r *Record) Used() (tokens, nanoUSD int64) {
	tokens = r.Usage.Input.N + r.Usage.Output.N
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() {
			tokens += a.Usage.Input.N + a.Usage.Output.N
		}
	}
	if r.CostNanoUSD != nil {
		nanoUSD = *r.CostNanoUSD
	}
	return tokens, nanoUSD + r.AbandonedCost()
}

// The twin carries the member that encoding/json cannot derive from a time.Duration.
type (
	attemptFields Attempt
	attemptJSON   struct {
		*attemptFields
		Duration *float64 `json:"duration_ms,omitempty"`
	}
)

// MarshalJSON writes the duration as milliseconds with fractions.
func (a Attempt) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(attemptJSON{attemptFields: (*attemptFields)(&a), Duration: toMillis(a.Duration)})
	if err != nil {
		return nil, fmt.Errorf("encoding attempt: %w", err)
	}
	return b, nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Attempt) UnmarshalJSON(b []byte) error {
	in := attemptJSON{attemptFields: (*attemptFields)(a)}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("decoding attempt: %w", err)
	}
	a.Duration = fromMillis(in.Duration)
	return nil
}
