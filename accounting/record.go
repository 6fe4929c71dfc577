package accounting

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// What an upstream may charge for an exchange, as far as sluice can tell.
const (
	MayBillNone    = "none"    // the request cannot have run
	MayBillPartial = "partial" // the provider charges up to the cut
	MayBillFull    = "full"    // the provider charges as if it had run to its end
	MayBillUnknown = "unknown" // the provider does not say
)

// Record is the one account of a finished exchange. The JSON names are those
// of the log line, the API and the ledger alike.
//
// A record never holds prompts, answers, tool arguments or credentials: Key is
// an alias and RawUsage holds numbers. Once handed to Ledger.Finish a record
// is shared and nobody may change it.
type Record struct {
	// UID names the exchange; the ledger keeps one record for each.
	UID UID `json:"uid,omitzero"`
	// ID is the exchange's X-Request-Id, which clients may choose again.
	ID string `json:"id"`
	// Start is the wall-clock time of the first request byte.
	Start time.Time `json:"start"`

	// ToHeaders, ToFirstToken and Total are measured from Start on the
	// monotonic clock. Zero means that the point was not reached. In JSON
	// they are to_headers_ms, to_first_token_ms and total_ms, floats, and
	// left out when zero.
	ToHeaders    time.Duration `json:"-"`
	ToFirstToken time.Duration `json:"-"`
	Total        time.Duration `json:"-"`

	// Key is the alias of the downstream key, never anything secret. Metadata is what
	// the operator has noted about the key, for charging back.
	Key      string            `json:"key,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// ModelAsked is the name the client asked for, ModelServed the upstream's.
	ModelAsked  string `json:"model_asked,omitempty"`
	ModelServed string `json:"model_served,omitempty"`
	Provider    string `json:"provider,omitempty"`
	Target      string `json:"target,omitempty"`
	DialectIn   string `json:"dialect_in,omitempty"`
	DialectOut  string `json:"dialect_out,omitempty"`
	Stream      bool   `json:"stream"`
	Endpoint    string `json:"endpoint,omitempty"`

	// Phase is how far the exchange had come when its outcome was decided.
	Phase   Phase   `json:"phase"`
	Outcome Outcome `json:"outcome"`
	// Code is the error code that goes with the outcome, if any.
	Code string `json:"code,omitempty"`
	// HalfClosed says that the client ended its sending side with FIN and did not
	// reset. A client that closed and one that only half-closed look the same.
	HalfClosed bool `json:"half_closed,omitempty"`

	// StatusDownstream and StatusUpstream are HTTP statuses; zero when no
	// status line was sent or seen.
	StatusDownstream int `json:"status_downstream,omitempty"`
	StatusUpstream   int `json:"status_upstream,omitempty"`
	// Chunks counts the events forwarded; BytesDelivered the body bytes that
	// the kernel accepted for the client.
	Chunks         int64 `json:"chunks"`
	BytesDelivered int64 `json:"bytes_delivered"`

	Usage       tokens.Usage `json:"usage"`
	UsageSource Source       `json:"usage_source"`
	// OutputEstimated says that the output alone was counted here: the provider stated
	// the input at once, and would have stated the output at the end.
	OutputEstimated bool `json:"output_estimated,omitempty"`
	// RawUsage is the provider's own usage object, verbatim. What is not valid
	// JSON is left out when the record is written.
	RawUsage json.RawMessage `json:"raw_usage,omitempty"`
	// MayBill is one of the MayBill constants.
	MayBill string `json:"may_bill,omitempty"`
	// EstimatedWith says what an estimate was made with, as Estimator.Basis names it; empty
	// where nothing was estimated.
	EstimatedWith string `json:"estimated_with,omitempty"`
	// OutputLimit is the most tokens of output that the request allowed; 0 where it said
	// nothing.
	OutputLimit int64 `json:"output_limit,omitempty"`
	// Estimate is what was counted here before the provider's own numbers were had after
	// the end; nil where that did not happen.
	Estimate *tokens.Usage `json:"estimate,omitempty"`
	// CostNanoUSD is the cost of Usage in units of 1e-9 USD; nil when the price is unknown.
	CostNanoUSD *int64 `json:"cost_nano_usd,omitempty"`
	// CostLowNanoUSD and CostHighNanoUSD are the least and the most that the provider may
	// charge by what is known of it (MayBill); both nil when the cost is, and the high one
	// also when there is no bound.
	CostLowNanoUSD  *int64 `json:"cost_low_nano_usd,omitempty"`
	CostHighNanoUSD *int64 `json:"cost_high_nano_usd,omitempty"`
	// ServiceTier is what the provider says of how it served the request: batch, flex,
	// priority and the like, which have their own prices. Empty where it says nothing.
	ServiceTier string `json:"service_tier,omitempty"`

	ToolCalls     []ToolCallSummary `json:"tool_calls,omitempty"`
	FinishReasons []string          `json:"finish_reasons,omitempty"`

	// CloseMicros is the time from the decision of the outcome to the closed
	// upstream socket, in microseconds; nil when the socket was not closed.
	CloseMicros *int64 `json:"close_us,omitempty"`
	// Delivered says that the client got the last byte.
	Delivered bool `json:"delivered"`
	// AccountingDegraded says that the reader of the stream gave up on parts
	// of it; the bytes went through all the same.
	AccountingDegraded bool `json:"accounting_degraded,omitempty"`
	// BadEvents counts the events that could not be parsed.
	BadEvents int64 `json:"bad_events,omitempty"`

	Attempts []Attempt `json:"attempts,omitempty"`
	// UpstreamRequestID is the provider's own id of the last attempt.
	UpstreamRequestID string   `json:"upstream_request_id,omitempty"`
	Warnings          []string `json:"warnings,omitempty"`
}

// ToolCallSummary is what a record keeps of a tool call: sizes, no arguments.
type ToolCallSummary struct {
	Choice        int    `json:"choice"`
	Index         int    `json:"index"`
	Name          string `json:"name"`
	ArgumentBytes int    `json:"argument_bytes"`
	// Complete says that the stream ended the call and its arguments are
	// valid JSON.
	Complete bool `json:"complete"`
}

// SummarizeToolCalls returns what a record keeps of calls: everything but the
// ids and the arguments. It returns nil for no calls.
func SummarizeToolCalls(calls []ToolCall) []ToolCallSummary {
	if len(calls) == 0 {
		return nil
	}
	out := make([]ToolCallSummary, len(calls))
	for i, c := range calls {
		out[i] = ToolCallSummary{
			Choice: c.Choice, Index: c.Index, Name: c.Name,
			ArgumentBytes: c.ArgumentBytes, Complete: c.Complete,
		}
	}
	return out
}

// The twins carry the members that encoding/json cannot derive from a
// time.Duration; embedding the method-free type keeps the rest by its tags.
type (
	recordFields Record
	recordJSON   struct {
		*recordFields
		ToHeaders    *float64 `json:"to_headers_ms,omitempty"`
		ToFirstToken *float64 `json:"to_first_token_ms,omitempty"`
		Total        *float64 `json:"total_ms,omitempty"`
	}
)

// MarshalJSON writes durations as milliseconds with fractions.
func (r Record) MarshalJSON() ([]byte, error) {
	if !json.Valid(r.RawUsage) {
		r.RawUsage = nil // the record must not be lost over it
	}
	b, err := json.Marshal(recordJSON{
		recordFields: (*recordFields)(&r),
		ToHeaders:    toMillis(r.ToHeaders),
		ToFirstToken: toMillis(r.ToFirstToken),
		Total:        toMillis(r.Total),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding record: %w", err)
	}
	return b, nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Record) UnmarshalJSON(b []byte) error {
	in := recordJSON{recordFields: (*recordFields)(r)}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("decoding record: %w", err)
	}
	r.ToHeaders, r.ToFirstToken, r.Total = fromMillis(in.ToHeaders), fromMillis(in.ToFirstToken), fromMillis(in.Total)
	return nil
}

func toMillis(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

func fromMillis(ms *float64) time.Duration {
	if ms == nil {
		return 0
	}
	return time.Duration(*ms*float64(time.Millisecond) + 0.5)
}
