package accounting

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

const (
	responseCreated = `{"type":"response.created","sequence_number":0,"response":{"id":"r1","created_at":5,"status":"in_progress","model":"m","output":[],"usage":null}}`
	callAdded       = `{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"","status":"in_progress"}}`
	callDelta       = `{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"{\"a\":"}`
	callDelta2      = `{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"1}"}`
	callDone        = `{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":1,"arguments":"{\"a\":1}"}`
	itemDone        = `{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}","status":"completed"}}`
	responseDone    = `{"type":"response.completed","response":{"id":"r1","status":"completed","model":"m","output":[{"type":"reasoning"},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}","status":"completed"}],"usage":{"input_tokens":3,"output_tokens":4}}}`
)

func TestResponsesToolCall(t *testing.T) {
	want := []wanted{{1, "call_1", "f", `{"a":1}`, true}}
	f := func(name string, open bool, want []wanted, events ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m := metered(ShapeResponses, events...)
			require.Equal(t, open, m.OpenToolCall())
			require.Equal(t, want, callsOf(m))
		})
	}
	f("whole stream", false, want, responseCreated, callAdded, callDelta, callDelta2, callDone, itemDone, responseDone)
	f("without deltas", false, want, responseCreated, callAdded, itemDone, responseDone)
	f("without done events", false, want, responseCreated, callAdded, callDelta, callDelta2, responseDone)
	f("only the last event", false, want, responseDone)
	f("item done, response open", true, want, responseCreated, callAdded, callDelta, callDelta2, itemDone)
	f("cut in the arguments", true, []wanted{{1, "call_1", "f", `{"a":`, false}}, responseCreated, callAdded, callDelta)
	f("arguments done, item open", true, []wanted{{1, "call_1", "f", `{"a":1}`, false}}, callAdded, callDelta, callDone)
	f("by item id alone", true, []wanted{{1, "call_1", "f", `{"a":1}`, false}}, callAdded,
		`{"type":"response.function_call_arguments.delta","item_id":"fc_1","delta":"{\"a\":1}"}`)
	f("incomplete", false, []wanted{{1, "call_1", "f", `{}`, false}}, callAdded,
		`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"call_1","arguments":"{}","status":"incomplete"}}`,
		`{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}`)
	f("custom tool", false, []wanted{{0, "c", "sh", "ls -l", true}},
		`{"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","id":"ct","call_id":"c","name":"sh","input":""}}`,
		`{"type":"response.custom_tool_call_input.delta","output_index":0,"item_id":"ct","delta":"ls"}`,
		`{"type":"response.custom_tool_call_input.done","output_index":0,"item_id":"ct","input":"ls -l"}`,
		`{"type":"response.completed","response":{"status":"completed"}}`)
	f("tools of the provider are none", false, nil, `{"type":"response.output_item.added","output_index":0,"item":{"type":"web_search_call","id":"ws"}}`)
}

func TestResponsesUsageAndReasons(t *testing.T) {
	m := metered(ShapeResponses, responseCreated, `{"type":"response.output_text.delta","delta":"hi"}`)
	_, source := m.Usage()
	require.Equal(t, SourceNone, source)
	require.False(t, m.Complete())
	require.Equal(t, KindDone, m.Observe(nil, []byte(responseDone)).Kind)
	u, source := m.Usage()
	require.Equal(t, tokens.Usage{Input: tokens.Known(3), Output: tokens.Known(4)}, u)
	require.Equal(t, SourceReported, source)
	require.Equal(t, []string{"completed"}, m.FinishReasons())

	m = metered(ShapeResponses, `{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1}}}`)
	require.Equal(t, []string{"max_output_tokens"}, m.FinishReasons())
	require.Equal(t, SourceReported, m.Source(false))
}

func TestResponsesText(t *testing.T) {
	m := metered(ShapeResponses,
		`{"type":"response.output_text.delta","delta":"a"}`, `{"type":"response.output_text.done","text":"a"}`,
		`{"type":"response.reasoning_text.delta","delta":"r"}`, `{"type":"response.reasoning_summary_text.delta","delta":"s"}`,
		`{"type":"response.refusal.delta","delta":"no"}`, `{"type":"response.code_interpreter_call_code.delta","delta":"x=1"}`,
		`{"type":"response.unknown.delta","delta":"?"}`)
	text := m.Text()
	require.Equal(t, OutputText{Content: []byte("a"), Reasoning: []byte("rs"), Refusal: []byte("no"), Tools: []byte("x=1"), TotalBytes: 8}, text)
	require.True(t, m.Stats().FirstToken)
}

func TestResponsesBody(t *testing.T) {
	m := metered(ShapeResponses)
	body := `{"id":"r1","object":"response","created_at":5,"status":"completed","error":null,"model":"m","output":[
		{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"r"}]},
		{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"refusal","refusal":"no"}]},
		{"type":"function_call","id":"fc","call_id":"c","name":"f","arguments":"{}","status":"completed"}],
		"usage":{"input_tokens":3,"output_tokens":4}}`
	chunk := m.ObserveBody([]byte(body))
	require.Equal(t, `"m"`, body[chunk.Model.Start:chunk.Model.End])
	text := m.Text()
	require.Equal(t, []string{"a", "sr", "no"}, []string{string(text.Content), string(text.Reasoning), string(text.Refusal)})
	require.Equal(t, []wanted{{2, "c", "f", "{}", true}}, callsOf(m))
	require.True(t, m.Complete())
	require.Equal(t, SourceReported, m.Source(false))

	m = metered(ShapeResponses)
	m.ObserveBody([]byte(`{"id":"r1","status":"queued","output":[]}`))
	require.False(t, m.Complete())
}
