package recordings_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// These streams are made up, after the formats' definitions, for what no recording has.

func read(t *testing.T, api, body string) *recordings.Reading {
	t.Helper()
	container := "sse"
	if strings.HasPrefix(body, "[") {
		container = "json-array"
	}
	r, err := recordings.Read(fakeprovider.Capture{
		Meta: fakeprovider.CaptureMeta{API: api, Status: 200, Container: container}, Response: []byte(body),
	})
	require.NoError(t, err)
	return r
}

func sse(events ...string) string { return "data: " + strings.Join(events, "\n\ndata: ") + "\n\n" }

// summary says what was read in one line.
func summary(r *recordings.Reading) string {
	var parts []string
	for _, c := range r.Choices {
		part := fmt.Sprintf("%d: %q", c.Index, c.Text)
		if c.Reasoning != "" {
			part += fmt.Sprintf(" thought %q", c.Reasoning)
		}
		if c.Refusal != "" {
			part += fmt.Sprintf(" refused %q", c.Refusal)
		}
		for _, call := range c.Calls {
			part += fmt.Sprintf(" %s=%s%s", call.ID, call.Name, call.Arguments)
		}
		parts = append(parts, part+" "+c.Finish)
	}
	if r.Usage != nil {
		parts = append(parts, strings.TrimPrefix(fmt.Sprint(r.Usage), "map"))
	}
	switch {
	case r.Failed:
		parts = append(parts, "failed: "+r.Message)
	case !r.Whole:
		parts = append(parts, "cut")
	}
	return strings.Join(parts, "; ")
}

func delta(members string) string { return `{"choices":[{"delta":{` + members + `}}]}` }

func ended(reason string) string {
	return `{"choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}`
}

func TestChatStreamsOfImitators(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		require.Equal(t, want, summary(read(t, "openai-chat", sse(events...))))
	}
	// the sentinel or a finish reason makes it whole
	f(`0: "a" stop`, delta(`"content":"a"`), "[DONE]")
	f(`0: "a" stop`, delta(`"content":"a"`), ended("stop"))
	f(`0: "a" ; cut`, delta(`"content":"a"`))
	f(`0: "" stop; 1: "" ; cut`, `{"choices":[{"index":1,"delta":{}},{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	// words of their own, and what follows a finish
	f(`0: "" length`, ended("length"), "[DONE]")
	f(`0: "" stop`, ended("eos_token"), "[DONE]")
	f(`0: "a" stop`, delta(`"content":"a"`), ended("stop"), delta(`"content":"b"`), ended("length"), "[DONE]")
	// reasoning under each of its names, once
	f(`0: "" thought "abcd" stop`, delta(`"reasoning":"a"`), delta(`"reasoning_content":"b"`),
		delta(`"reasoning":"c","reasoning_content":"c","reasoning_details":[{"text":"c"}]`),
		delta(`"reasoning_details":[{"type":"reasoning.text","text":"d"}]`), "[DONE]")
	f(`0: "xy" thought "h" stop`,
		delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"}]},{"type":"text","text":"x"}]`), delta(`"content":"y"`), "[DONE]")
	// calls that share an index, that have none, repeat themselves, or bring objects
	f(`0: "" a=f{"x":1} b=g{} tool_calls`, delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]`),
		delta(`"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":""}}]`), ended("stop"))
	f(`0: "" a=f{"x":1} b=g{} tool_calls`, delta(`"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\""}}]`),
		delta(`"tool_calls":[{"function":{"arguments":":1}"}}]`), delta(`"tool_calls":[{"id":"b","function":{"name":"g"}}]`), ended("tool_calls"))
	f(`0: "" a=f{"x":1.0} tool_calls`, delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":null}}]`),
		delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1.0}}}]`),
		delta(`"tool_calls":[{"index":0,"id":"","type":"","function":{"name":null,"arguments":""}}]`), "[DONE]")
	f(`0: "" a=f{"x length`, delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x"}}]`), ended("length"))
	f(`0: "" a=f ; cut`, delta(`"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]`))
	// usage, wherever it stands
	f(`0: "" stop; [cached:3 completion:7 prompt:5 reasoning:4]`,
		`{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":null}}`,
		`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":12,`+
			`"completion_tokens_details":{"reasoning_tokens":4},"prompt_cache_hit_tokens":3}}}`, "[DONE]")
	// errors
	f(`0: "a" ; [prompt:1]; failed: no`, delta(`"content":"a"`), `{"error":{"message":"no"},"usage":{"prompt_tokens":1},"choices":[]}`, delta(`"content":"b"`), "[DONE]")
	f(`0: "a" stop`, delta(`"content":"a"`), `{"error":null,"choices":[]}`, "[DONE]")
	named := read(t, "openai-chat", sse(delta(`"content":"a"`))+"event: error\ndata: {\"message\":\"no\"}\n\n")
	require.Equal(t, `0: "a" ; failed: no`, summary(named))
}

const messageStart = `{"type":"message_start","message":{"id":"m","model":"c","content":[],` +
	`"usage":{"input_tokens":5,"cache_read_input_tokens":2,"cache_creation_input_tokens":null,"output_tokens":1}}}`

func stopped(reason string) string {
	return `{"type":"message_delta","delta":{"stop_reason":"` + reason + `"},"usage":{"output_tokens":9}}`
}

func TestMessagesStreams(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		require.Equal(t, want, summary(read(t, "anthropic-messages", sse(events...))))
		frames := ""
		for _, e := range events {
			frames += frame("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(e))+`"}`)
		}
		require.Equal(t, want, summary(read(t, "bedrock-invoke", frames)))
	}
	usage := "; [cached:2 completion:9 prompt:7]"
	f(`0: "" stop`+usage, messageStart, stopped("end_turn"), `{"type":"message_stop"}`)
	f(`0: "" stop`+usage, messageStart, stopped("pause_turn"))
	f(`0: "" length`+usage, messageStart, stopped("model_context_window_exceeded"))
	f(`0: "" ; [cached:2 prompt:7]; cut`, messageStart, `{"type":"message_stop"}`)
	f(`0: "" ; [cached:2 prompt:7]; failed: Overloaded`, messageStart, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)
	f(`0: "" stop`+usage, messageStart, messageStart, stopped("end_turn"))
	f(`0: "" ; [cached:2 prompt:7]; failed: `, messageStart, strings.Replace(messageStart, `"m"`, `"n"`, 1))
	f(`0: "" refused "why" content_filter`+usage, messageStart,
		`{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"why"}},"usage":{"output_tokens":9}}`)

	start := func(index int, block string) string {
		return fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{%s}}`, index, block)
	}
	grow := func(index int, delta string) string {
		return fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{%s}}`, index, delta)
	}
	// deltas go by index, and only the client's own tools are its calls
	f(`0: "abc" t=f{"x":1} tool_calls`+usage, messageStart, start(0, `"type":"text","text":"a"`),
		start(1, `"type":"tool_use","id":"t","name":"f","input":{}`), start(2, `"type":"server_tool_use","id":"s","name":"g","input":{}`),
		grow(2, `"type":"input_json_delta","partial_json":"{}"`), grow(0, `"type":"text_delta","text":"b"`),
		grow(1, `"type":"input_json_delta","partial_json":""`), grow(1, `"type":"input_json_delta","partial_json":"{\"x\":"`),
		start(3, `"type":"web_search_tool_result","content":[]`), grow(1, `"type":"input_json_delta","partial_json":"1}"`),
		grow(0, `"type":"text_delta","text":"c"`), stopped("tool_use"))
	// arguments that the block begins with, or that never come
	f(`0: "" t=f{"x":1} u=g{} v=h{} tool_calls`+usage, messageStart, start(0, `"type":"tool_use","id":"t","name":"f","input":{"x":1}`),
		start(1, `"type":"tool_use","id":"u","name":"g","input":{}`), start(2, `"type":"tool_use","id":"v","name":"h"`), stopped("end_turn"))
	// no calls, so it has stopped
	f(`0: "" stop`+usage, messageStart, stopped("tool_use"))
	// a message that begins with content, and one that is there all at once
	content := `[{"type":"thinking","thinking":"h"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"a"},` +
		`{"type":"tool_use","id":"t","name":"f","input":{"x":1}}]`
	f(`0: "a" thought "h" t=f{"x":1} tool_calls`+usage, strings.Replace(messageStart, "[]", content, 1), stopped("tool_use"))
	f(`0: "a" thought "h" t=f{"x":1} tool_calls; [completion:3 prompt:5]`,
		`{"type":"message","id":"m","content":`+content+`,"stop_reason":"tool_use","usage":{"input_tokens":5,"output_tokens":3}}`)
	// counts grow, and null says nothing
	f(`0: "" stop; [cached:3 completion:9 prompt:11]`, messageStart,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":8,"cache_read_input_tokens":3,"output_tokens":null}}`,
		`{"type":"message_delta","delta":{},"usage":{"output_tokens":9}}`)
}

func TestGeminiStreams(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		require.Equal(t, want, summary(read(t, "gemini-generate", sse(events...))))
		require.Equal(t, want, summary(read(t, "gemini-generate", "[\n"+strings.Join(events, "\n,\r\n")+"]")))
	}
	say := func(part, finish string) string {
		return `{"candidates":[{"content":{"parts":[` + part + `]},"finishReason":"` + finish + `"}]}`
	}
	// the last finish reason counts, and the end of the body is the end
	f(`0: "ab" length`, say(`{"text":"a"}`, "STOP"), say(`{"text":"b"}`, "MAX_TOKENS"))
	f(`0: "a" ; cut`, say(`{"text":"a"}`, ""))
	f(`0: "" =f{"x":1} length`, say(`{"functionCall":{"name":"f","args":{"x":1}}}`, ""), say("", "MAX_TOKENS"))
	f(`0: "" stop`, say("", "MALFORMED_FUNCTION_CALL"))
	f(`0: "" content_filter`, say("", "PROHIBITED_CONTENT"))
	f(`0: "" content_filter`, `{"promptFeedback":{"blockReason":"OTHER"}}`)
	// candidates by their index
	f(`0: "a" stop; 1: "b" stop`, `{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}`, say(`{"text":"a"}`, "STOP"))
	f(`0: "a" ; 1: "b" ; cut`, `{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]}}]}`, say(`{"text":"a"}`, "STOP"))
	// errors
	f(`0: "a" ; failed: no`, say(`{"text":"a"}`, "STOP"), `{"error":{"code":500,"message":"no","status":"INTERNAL"}}`)
	// a signature makes no thought, and what the provider ran is nothing of the client's
	f(`0: "a" thought "h" =f{} tool_calls`, say(`{"text":"h","thought":true},{"text":"a","thoughtSignature":"s"},{"executableCode":{"code":"x"}},`+
		`{"codeExecutionResult":{"output":"y"}},{"functionCall":{"name":"f","args":null}}`, "STOP"))
	// usage: totals of which the last counts
	f(`0: "" stop; [cached:1 completion:7 prompt:9 reasoning:4]`,
		`{"candidates":[{}],"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":4,"totalTokenCount":9}}`,
		`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":3,"toolUsePromptTokenCount":3,"cachedContentTokenCount":1}}`)
	f(`0: "" stop; [completion:0 prompt:5]`, `{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}`)
	f(`0: "" stop; [prompt:5]`, `{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"trafficType":"ON_DEMAND"}}`)
}

func TestGeminiArgumentsInPieces(t *testing.T) {
	piece := func(call string) string {
		return `{"candidates":[{"content":{"parts":[{"functionCall":` + call + `}]}}]}`
	}
	r := read(t, "gemini-generate", sse(
		piece(`{"name":"f","willContinue":true}`),
		piece(`{"partialArgs":[{"jsonPath":"$.places[0].name","stringValue":"Os","willContinue":true}],"willContinue":true}`),
		piece(`{"partialArgs":[{"jsonPath":"$.places[0].name","stringValue":"lo"},{"jsonPath":"$.places[1]['name']","stringValue":"Rome"}],"willContinue":true}`),
		piece(`{"partialArgs":[{"jsonPath":"$.n","numberValue":1.50},{"jsonPath":"$.b","boolValue":false},{"jsonPath":"$.z","nullValue":"NULL_VALUE"}],"willContinue":true}`),
		piece(`{}`),
		piece(`{"name":"g","args":{"x":1}}`),
		`{"candidates":[{"finishReason":"STOP"}]}`,
	))
	require.Equal(t, []recordings.Call{
		{Name: "f", Arguments: `{"b":false,"n":1.50,"places":[{"name":"Oslo"},{"name":"Rome"}],"z":null}`},
		{Name: "g", Arguments: `{"x":1}`},
	}, r.Choices[0].Calls)
}

func TestCohereStreams(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		require.Equal(t, want, summary(read(t, "cohere-v2", sse(events...))))
	}
	content := func(kind, text string) string {
		return `{"type":"content-delta","delta":{"message":{"content":{"` + kind + `":"` + text + `"}}}}`
	}
	end := func(reason string) string {
		return `{"type":"message-end","delta":{"finish_reason":"` + reason + `","usage":{"billed_units":{"input_tokens":1},"tokens":{"input_tokens":5,"output_tokens":3}}}}`
	}
	start := `{"type":"message-start","id":"i","delta":{"message":{"content":[],"tool_calls":[]}}}`
	f(`0: "a" thought "h" stop; [completion:3 prompt:5]`, start, content("thinking", "h"), content("text", "a"), end("STOP_SEQUENCE"), "[DONE]")
	f(`0: "a" ; cut`, start, content("text", "a"), "[DONE]")
	f(`0: "" length; [completion:3 prompt:5]`, start, end("MAX_TOKENS"))
	f(`0: "" c=f{} tool_calls; [completion:3 prompt:5]`, start,
		`{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c","function":{"name":"f","arguments":""}}}}}`, end("TOOL_CALL"))
}

func TestOllamaStreams(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		require.Equal(t, want, summary(read(t, "ollama-chat", strings.Join(lines, "\n"))))
	}
	done := func(more string) string {
		return `{"message":{"role":"assistant","content":""},"done":true,"eval_count":3` + more + `}`
	}
	f(`0: "ab" thought "h" stop; [completion:3]`, `{"message":{"content":"a","thinking":"h"}}`, `{"message":{"content":"b"}}`, done(`,"done_reason":"stop"`))
	f(`0: "" stop; [completion:3 prompt:5]`, done(`,"prompt_eval_count":5`))
	f(`0: "" length; [completion:3]`, done(`,"done_reason":"length"`))
	f(`0: "a" ; cut`, `{"message":{"content":"a"}}`, `{"message":{"con`)
	f(`0: "a" ; failed: no`, `{"message":{"content":"a"}}`, `{"error":"no"}`)
	f(`0: "" =f{"x":1} tool_calls; [completion:3]`, `{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]}}`, done(`,"done_reason":"stop"`))
}

// frame is a message of an AWS event stream.
func frame(event, payload string) string {
	return frameWith(payload, ":message-type", "event", ":event-type", event)
}

func frameWith(payload string, fields ...string) string {
	var headers []byte
	for i := 0; i < len(fields); i += 2 {
		headers = append(append(headers, byte(len(fields[i]))), fields[i]...)
		headers = binary.BigEndian.AppendUint16(append(headers, 7), uint16(len(fields[i+1])))
		headers = append(headers, fields[i+1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

func TestConverseStreams(t *testing.T) {
	f := func(want string, events ...string) { // name, payload, …
		t.Helper()
		frames, objects := "", []string{}
		for i := 0; i < len(events); i += 2 {
			frames += frame(events[i], events[i+1])
			objects = append(objects, fmt.Sprintf(`{%q:%s}`, events[i], events[i+1]))
		}
		require.Equal(t, want, summary(read(t, "bedrock-converse", frames)))
		require.Equal(t, want, summary(read(t, "bedrock-converse-json", sse(objects...))))
	}
	f(`0: "a" thought "h" t=f{"x":1} tool_calls; [cache_write:2 cached:1 completion:3 prompt:8]`,
		"messageStart", `{"role":"assistant"}`,
		"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"h"}}}`,
		"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}}}`,
		"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"a"}}`,
		"contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`,
		"contentBlockStart", `{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"s","name":"g","type":"server_tool_use"}}}`,
		"contentBlockDelta", `{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{}"}}}`,
		"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"x\":1}"}}}`,
		"messageStop", `{"stopReason":"tool_use"}`,
		"metadata", `{"usage":{"inputTokens":5,"outputTokens":3,"totalTokens":11,"cacheReadInputTokens":1,"cacheWriteInputTokens":2}}`)
	f(`0: "" content_filter`, "messageStop", `{"stopReason":"content_filtered"}`)
	f(`0: "a" ; cut`, "contentBlockDelta", `{"delta":{"text":"a"}}`)

	begun := frame("contentBlockDelta", `{"delta":{"text":"a"}}`)
	for _, broken := range []string{
		frameWith(`{"message":"slow"}`, ":message-type", "exception", ":exception-type", "throttlingException"),
		frameWith("", ":message-type", "error", ":error-code", "InternalFailure", ":error-message", "slow"),
	} {
		require.Equal(t, `0: "a" ; failed: slow`, summary(read(t, "bedrock-converse", begun+broken)))
	}
	require.Equal(t, "failed: slow", summary(read(t, "bedrock-converse-json", sse(`{"throttlingException":{"message":"slow"}}`))))
}

func TestBrokenFramesAreFound(t *testing.T) {
	whole := []byte(frame("messageStop", `{"stopReason":"end_turn"}`))
	for i := range whole {
		broken := append([]byte(nil), whole...)
		broken[i] ^= 1
		r, err := recordings.Read(fakeprovider.Capture{
			Meta: fakeprovider.CaptureMeta{API: "bedrock-converse", Status: 200}, Response: broken,
		})
		require.True(t, err != nil || !r.Whole, "byte %d", i)
	}
}

func TestErrorBodiesHaveMessages(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		r, err := recordings.Read(fakeprovider.Capture{
			Meta: fakeprovider.CaptureMeta{API: "openai-chat", Status: 500}, Response: []byte(body),
		})
		require.NoError(t, err)
		require.Equal(t, want, r.Message)
	}
	f(`{"error":{"message":"no","code":1}}`, "no")
	f(`{"type":"error","error":{"type":"t","message":"no"}}`, "no")
	f(`[{"error":{"message":"no"}}]`, "no")
	f(`{"code":"c","error":"no"}`, "no")
	f(`{"object":"error","message":"no"}`, "no")
	f(`{"detail":[{"loc":["body"],"msg":"no"}]}`, "no")
	f(`{"detail":"no"}`, "no")
	f(`<html>`, "")
	f(``, "")
}

func TestCanonicalJSON(t *testing.T) {
	f := func(text, want string) { t.Helper(); require.Equal(t, want, recordings.Canonical(text)) }
	f(` { "b" : 1.0 , "a":[1e3,"<é\u0041"] } `, `{"a":[1e3,"<éA"],"b":1.0}`)
	f(`{"a":`, `{"a":`)
	f(`{} {}`, `{} {}`)
	f(``, ``)
}

func TestDifferencesAreNamed(t *testing.T) {
	r := read(t, "openai-chat", sse(
		delta(`"content":"a","reasoning":"h"`),
		delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"x\": 1}"}}]`), ended("stop"),
		`{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}`, "[DONE]"))
	client := func() *chatrules.Answer {
		return &chatrules.Answer{
			Choices: []*chatrules.Choice{{
				Text: "a", Reasoning: "h", Finish: "tool_calls",
				Calls: []chatrules.Call{{ID: "c", Name: "f", Arguments: `{"x":1}`}},
			}},
			Usage: map[string]int64{"prompt": 5, "completion": 3},
		}
	}
	f := func(change func(a *chatrules.Answer), want ...string) {
		t.Helper()
		a := client()
		change(a)
		got := r.Differences(a)
		require.Len(t, got, len(want), "%q", got)
		for i := range want {
			require.Contains(t, got[i], want[i])
		}
	}
	f(func(*chatrules.Answer) {})
	f(func(a *chatrules.Answer) { a.Usage = nil })
	f(func(a *chatrules.Answer) { a.Usage["cached"] = 0 }, "usage:")
	f(func(a *chatrules.Answer) {
		a.Usage = nil
		a.RawUsage = map[string]any{"prompt_tokens": json.Number("5"), "completion_tokens": json.Number("4")}
	}, "usage:")
	f(func(a *chatrules.Answer) { a.Choices[0].Text = "b" }, "text of choice 0")
	f(func(a *chatrules.Answer) { a.Choices[0].Reasoning = "" }, "reasoning of choice 0")
	f(func(a *chatrules.Answer) { a.Choices[0].Calls[0].Arguments = "{}" }, "tool calls of choice 0")
	f(func(a *chatrules.Answer) { a.Choices[0].Calls[0].ID = "d" }, "tool calls of choice 0")
	f(func(a *chatrules.Answer) { a.Choices[0].Calls = nil; a.Choices[0].Finish = "stop" }, "tool calls of choice 0", "finish of choice 0")
	f(func(a *chatrules.Answer) { a.Choices = nil }, "choice 0")
	f(func(a *chatrules.Answer) { a.Choices = append(a.Choices, &chatrules.Choice{Index: 1}) }, "choice 1")
}
