package ledger

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// exchangeTable has the records, in the order of exchangeRow and scanExchange.
var exchangeTable = &table{name: "exchanges", columns: []column{
	{"uid", "bytea"},
	{"id", "text"},
	{"instance", "text"},
	{"started_at", "bigint"},
	{"day", "integer"},
	{"key", "text"},
	{"model", "text"},
	{"model_served", "text"},
	{"provider", "text"},
	{"target", "text"},
	{"dialect_in", "text"},
	{"dialect_out", "text"},
	{"endpoint", "text"},
	{"stream", "boolean"},
	{"phase", "text"},
	{"outcome", "text"},
	{"code", "text"},
	{"half_closed", "boolean"},
	{"status_downstream", "integer"},
	{"status_upstream", "integer"},
	{"chunks", "bigint"},
	{"bytes_delivered", "bigint"},
	{"delivered", "boolean"},
	{"to_headers_us", "bigint"},
	{"to_first_token_us", "bigint"},
	{"total_us", "bigint"},
	{"close_us", "bigint"},
	{"usage_source", "text"},
	{"output_estimated", "boolean"},
	{"input", "bigint"},
	{"input_cached", "bigint"},
	{"input_cache_write", "bigint"},
	{"input_audio", "bigint"},
	{"output", "bigint"},
	{"output_reasoning", "bigint"},
	{"output_audio", "bigint"},
	{"raw_usage", "text"},
	{"service_tier", "text"},
	{"may_bill", "text"},
	{"cost_nano_usd", "bigint"},
	{"cost_low_nano_usd", "bigint"},
	{"cost_high_nano_usd", "bigint"},
	{"detail", "text"},
}}

// exchangeColumns are the columns that scanExchange reads.
var exchangeColumns = exchangeTable.names()

// detail is what a record has that nobody groups by.
type detail struct {
	Metadata           map[string]string            `json:"metadata,omitempty"`
	Estimate           *tokens.Usage                `json:"estimate,omitempty"`
	EstimatedWith      string                       `json:"estimated_with,omitempty"`
	OutputLimit        int64                        `json:"output_limit,omitempty"`
	ToolCalls          []accounting.ToolCallSummary `json:"tool_calls,omitempty"`
	FinishReasons      []string                     `json:"finish_reasons,omitempty"`
	AccountingDegraded bool                         `json:"accounting_degraded,omitempty"`
	BadEvents          int64                        `json:"bad_events,omitempty"`
	UpstreamRequestID  string                       `json:"upstream_request_id,omitempty"`
	Warnings           []string                     `json:"warnings,omitempty"`
}

// exchangeRow is a record as a row of exchanges.
func exchangeRow(r *accounting.Record, instance string) ([]any, error) {
	more, err := json.Marshal(detail{
		Metadata: r.Metadata, Estimate: r.Estimate, EstimatedWith: r.EstimatedWith, OutputLimit: r.OutputLimit, ToolCalls: r.ToolCalls, FinishReasons: r.FinishReasons,
		AccountingDegraded: r.AccountingDegraded, BadEvents: r.BadEvents,
		UpstreamRequestID: r.UpstreamRequestID, Warnings: r.Warnings,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the detail of a record: %w", err)
	}
	u := &r.Usage
	return []any{
		r.UID[:], name(r.ID), instance, micros(r.Start), dayOf(micros(r.Start)),
		name(r.Key), name(r.ModelAsked), name(r.ModelServed), name(r.Provider), name(r.Target),
		name(r.DialectIn), name(r.DialectOut), name(r.Endpoint), r.Stream,
		r.Phase.String(), name(string(r.Outcome)), name(r.Code), r.HalfClosed,
		small(r.StatusDownstream), small(r.StatusUpstream),
		r.Chunks, r.BytesDelivered, r.Delivered,
		spent(r.ToHeaders), spent(r.ToFirstToken), spent(r.Total), optional(r.CloseMicros),
		name(string(r.UsageSource)), r.OutputEstimated,
		count(u.Input), count(u.InputCached), count(u.InputCacheWrite), count(u.InputAudio),
		count(u.Output), count(u.OutputReasoning), count(u.OutputAudio),
		rawUsage(r.RawUsage), name(r.ServiceTier), name(r.MayBill),
		cost(r.CostNanoUSD), cost(r.CostLowNanoUSD), cost(r.CostHighNanoUSD),
		text(string(more)),
	}, nil
}

// scanner is a row of an answer, of either driver.
type scanner interface{ Scan(into ...any) error }

// scanExchange reads a row of exchangeColumns. The record has no attempts yet.
func scanExchange(row scanner) (*accounting.Record, error) {
	var (
		r                                accounting.Record
		uid                              []byte
		started, day                     int64
		instance, phase, outcome, source string
		toHeaders, toFirst, total        *int64
		in, cached, written, inAudio     *int64
		out, reasoning, outAudio         *int64
		raw                              *string
		more                             string
	)
	err := row.Scan(
		&uid, &r.ID, &instance, &started, &day,
		&r.Key, &r.ModelAsked, &r.ModelServed, &r.Provider, &r.Target,
		&r.DialectIn, &r.DialectOut, &r.Endpoint, &r.Stream,
		&phase, &outcome, &r.Code, &r.HalfClosed,
		&r.StatusDownstream, &r.StatusUpstream,
		&r.Chunks, &r.BytesDelivered, &r.Delivered,
		&toHeaders, &toFirst, &total, &r.CloseMicros,
		&source, &r.OutputEstimated,
		&in, &cached, &written, &inAudio, &out, &reasoning, &outAudio,
		&raw, &r.ServiceTier, &r.MayBill,
		&r.CostNanoUSD, &r.CostLowNanoUSD, &r.CostHighNanoUSD,
		&more,
	)
	if err != nil {
		return nil, err
	}
	copy(r.UID[:], uid)
	r.Start = fromMicros(started)
	if err := r.Phase.UnmarshalText([]byte(phase)); err != nil {
		return nil, err
	}
	r.Outcome, r.UsageSource = accounting.Outcome(outcome), accounting.Source(source)
	r.ToHeaders, r.ToFirstToken, r.Total = duration(toHeaders), duration(toFirst), duration(total)
	r.Usage = tokens.Usage{
		Input: counted(in), InputCached: counted(cached), InputCacheWrite: counted(written), InputAudio: counted(inAudio),
		Output: counted(out), OutputReasoning: counted(reasoning), OutputAudio: counted(outAudio),
	}
	if raw != nil {
		r.RawUsage = json.RawMessage(*raw)
	}
	return &r, readDetail(&r, more)
}

func readDetail(r *accounting.Record, more string) error {
	var d detail
	if err := json.Unmarshal([]byte(more), &d); err != nil {
		return fmt.Errorf("decoding the detail of a record: %w", err)
	}
	r.Metadata, r.Estimate, r.ToolCalls, r.FinishReasons = d.Metadata, d.Estimate, d.ToolCalls, d.FinishReasons
	r.AccountingDegraded, r.BadEvents = d.AccountingDegraded, d.BadEvents
	r.UpstreamRequestID, r.Warnings = d.UpstreamRequestID, d.Warnings
	r.EstimatedWith, r.OutputLimit = d.EstimatedWith, d.OutputLimit
	return nil
}

// maxName bounds the texts that stand in indices: PostgreSQL refuses entries of more than
// about 2700 bytes, and names may come from clients.
const maxName = 255

// name is a text that is not longer than maxName.
func name(s string) string {
	s = text(s)
	if len(s) <= maxName {
		return s
	}
	cut := maxName
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// text is what both engines can keep: UTF-8 without NUL.
func text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	const replacement = string(utf8.RuneError)
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}

// rawUsage is a provider's usage object, or nil where it is not JSON.
func rawUsage(raw json.RawMessage) any {
	if len(raw) == 0 || !json.Valid(raw) {
		return nil
	}
	return text(string(raw))
}

// small is a number that fits into 32 bits.
func small(n int) int64 { return int64(min(max(n, math.MinInt32), math.MaxInt32)) }

// micros is a time as the database keeps it.
func micros(t time.Time) int64 { return t.UnixMicro() }

// fromMicros is the reverse of micros.
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// spent is a duration in microseconds, nil when there is none. One that is shorter than a
// microsecond counts as one.
func spent(d time.Duration) any {
	if d <= 0 {
		return nil
	}
	return max(d.Microseconds(), 1)
}

func duration(us *int64) time.Duration {
	if us == nil {
		return 0
	}
	return time.Duration(*us) * time.Microsecond
}

func optional(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

// What is summed is bounded, so that no provider can break the sums of everybody by what
// it states: eight million times the most still fit.
const (
	maxTokens = 1 << 40
	maxCost   = 1 << 50
)

func count(c tokens.Count) any {
	if !c.Known {
		return nil
	}
	return bounded(c)
}

func bounded(c tokens.Count) int64 { return min(max(c.N, 0), maxTokens) }

func cost(n *int64) any {
	if n == nil {
		return nil
	}
	return *boundedCost(n)
}

func boundedCost(n *int64) *int64 {
	if n == nil {
		return nil
	}
	c := min(max(*n, -maxCost), maxCost)
	return &c
}

func counted(n *int64) tokens.Count {
	if n == nil {
		return tokens.Count{}
	}
	return tokens.Known(*n)
}
