package accounting

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func fullRecord() *Record {
	cost, closed := int64(1_234_567), int64(87)
	return &Record{
		ID: "req-1", Start: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		ToHeaders: 12500 * time.Microsecond, ToFirstToken: 40 * time.Millisecond, Total: 3 * time.Second,
		Key: "team-a", ModelAsked: "fast", ModelServed: "gpt-4o-mini", Provider: "openai", Target: "openai/gpt-4o-mini",
		DialectIn: "openai", DialectOut: "openai", Stream: true, Endpoint: "chat/completions",
		Phase: PhaseStreaming, Outcome: OutcomeClientGone, Code: "client_gone", HalfClosed: true,
		StatusDownstream: 200, StatusUpstream: 200, Chunks: 17, BytesDelivered: 4096,
		Usage:       tokens.Usage{Input: tokens.Known(12), InputCached: tokens.Known(0), Output: tokens.Known(34)},
		UsageSource: SourceRunning, RawUsage: json.RawMessage(`{"prompt_tokens":12}`), MayBill: MayBillPartial,
		CostNanoUSD: &cost, ToolCalls: []ToolCallSummary{{Choice: 0, Index: 1, Name: "f", ArgumentBytes: 9, Complete: true}},
		FinishReasons: []string{"tool_calls"}, CloseMicros: &closed, Delivered: false, AccountingDegraded: true, BadEvents: 2,
		Attempts: []Attempt{{
			ID: "req-1.1", Provider: "openai", Model: "gpt-4o-mini", Phase: PhaseStreaming, Outcome: OutcomeClientGone,
			Status: 200, Start: time.Date(2026, 3, 4, 5, 6, 7, 1000, time.UTC), Duration: 2500 * time.Millisecond, Reused: true,
		}},
		UpstreamRequestID: "up-1", Warnings: []string{"w"},
	}
}

func TestRecordSurvivesJSON(t *testing.T) {
	b, err := json.Marshal(fullRecord())
	require.NoError(t, err)
	var back Record
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, *fullRecord(), back)
}

func TestRecordJSONNames(t *testing.T) {
	b, err := json.Marshal(fullRecord())
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(b, &got))

	require.Equal(t, 12.5, got["to_headers_ms"])
	require.Equal(t, 40.0, got["to_first_token_ms"])
	require.Equal(t, 3000.0, got["total_ms"])
	require.Equal(t, "streaming", got["phase"])
	require.Equal(t, "client_gone", got["outcome"])
	require.Equal(t, 87.0, got["close_us"])
	require.Equal(t, 1234567.0, got["cost_nano_usd"])
	require.Equal(t, map[string]any{"prompt_tokens": 12.0}, got["raw_usage"])
	attempt := got["attempts"].([]any)[0].(map[string]any)
	require.Equal(t, 2500.0, attempt["duration_ms"])
	require.Equal(t, true, attempt["reused"])
	for name := range got {
		require.Regexp(t, `^[a-z][a-z_]*$`, name)
	}
}

func TestRecordLeavesOutWhatWasNotReached(t *testing.T) {
	b, err := json.Marshal(&Record{ID: "a", Outcome: OutcomeClientGone, UsageSource: SourceNone})
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(b, &got))
	for _, name := range []string{
		"to_headers_ms", "to_first_token_ms", "total_ms", "cost_nano_usd", "close_us",
		"status_upstream", "status_downstream", "raw_usage", "tool_calls", "attempts",
	} {
		require.NotContains(t, got, name)
	}
	require.Equal(t, false, got["delivered"])
}

func TestRecordMarshalsAlikeByValueAndInSlices(t *testing.T) {
	byPointer, err := json.Marshal(fullRecord())
	require.NoError(t, err)
	byValue, err := json.Marshal(*fullRecord())
	require.NoError(t, err)
	require.JSONEq(t, string(byPointer), string(byValue))
	list, err := json.Marshal([]*Record{fullRecord()})
	require.NoError(t, err)
	require.JSONEq(t, "["+string(byPointer)+"]", string(list))
}

func TestToolCallSummaryKeepsNoArguments(t *testing.T) {
	require.Nil(t, SummarizeToolCalls(nil))
	summary := SummarizeToolCalls([]ToolCall{{
		Choice: 1, Index: 2, ID: "canary-id", Name: "lookup",
		Arguments: []byte(`{"secret":"canary"}`), ArgumentBytes: 19, Complete: true,
	}})
	require.Equal(t, []ToolCallSummary{{Choice: 1, Index: 2, Name: "lookup", ArgumentBytes: 19, Complete: true}}, summary)
	b, err := json.Marshal(&Record{ToolCalls: summary})
	require.NoError(t, err)
	require.NotContains(t, string(b), "canary")
}

func TestDecodingErrorsQuoteNoContent(t *testing.T) {
	var r Record
	err := json.Unmarshal([]byte(`{"chunks":"canary"}`), &r)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "canary")
}

func TestRecordOutlivesUnreadableRawUsage(t *testing.T) {
	for _, raw := range []string{"{", "", "\xff", "{}x"} {
		r := &Record{ID: "a", Chunks: 3, RawUsage: json.RawMessage(raw)}
		b, err := json.Marshal(r)
		require.NoError(t, err)
		var back Record
		require.NoError(t, json.Unmarshal(b, &back))
		require.EqualValues(t, 3, back.Chunks)
		require.Nil(t, back.RawUsage)
		require.Equal(t, raw, string(r.RawUsage), "the record itself stays as it is")
	}
}
