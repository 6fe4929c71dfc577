package chatrules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// chunk is one event, with usage being null as after include_usage.
func chunk(choices string) string { return chunkWith(choices, "null", "") }

func chunkWith(choices, usage, more string) string {
	if usage != "" {
		usage = `,"usage":` + usage
	}
	return `data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[` + choices + `]` + usage + more + "}\n\n"
}

func delta(index int, members string) string {
	return fmt.Sprintf(`{"index":%d,"delta":{%s},"logprobs":null,"finish_reason":null}`, index, members)
}

func finish(index int, reason string) string {
	return fmt.Sprintf(`{"index":%d,"delta":{},"logprobs":null,"finish_reason":%q}`, index, reason)
}

func start(index int) string { return chunk(delta(index, `"role":"assistant","content":""`)) }

func call(index int, id, name string) string {
	return chunk(delta(0, fmt.Sprintf(
		`"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]`, index, id, name)))
}

func arguments(index int, fragment string) string {
	quoted, _ := json.Marshal(fragment)
	return chunk(delta(0, fmt.Sprintf(`"tool_calls":[{"index":%d,"function":{"arguments":%s}}]`, index, quoted)))
}

const (
	counts = `{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,` +
		`"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":0}}`
	done = "data: [DONE]\n\n"
)

// good is a stream with one of everything, and asked is what its client asked for.
var (
	good = start(0) +
		chunk(delta(0, `"reasoning_content":"hm"`)) +
		chunk(delta(0, `"content":"It is "`)) +
		chunk(delta(0, `"content":"warm."`)) +
		chunk(delta(0, `"refusal":"no"`)) +
		chunk(delta(0, `"images":[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]`)) +
		chunk(`{"index":0,"delta":{},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]},"finish_reason":null}`) +
		call(0, "c0", "weather") +
		arguments(0, `{"city":`) +
		arguments(0, `"Oslo"}`) +
		call(1, "c1", "time") +
		arguments(1, `{}`) +
		chunk(delta(0, `"extra_content":{"google":{"thought_signature":"s"}}`)) +
		chunkWith(finish(0, "tool_calls"), "null", `,"sluice":{"native_finish_reason":"STOP"}`) +
		chunkWith("", counts, "") + done
	asked = chatrules.Options{IncludeUsage: true, Model: "m"}
)

func requireGood(t *testing.T, body string, o chatrules.Options) *chatrules.Stream {
	t.Helper()
	s, violations := chatrules.ReadStream([]byte(body), o)
	require.Empty(t, violations, "%s", body)
	return s
}

func TestAGoodStreamIsReadAsSDKsReadIt(t *testing.T) {
	s := chatrules.CheckStream(t, []byte(good), asked)
	extra := map[string]any{"google": map[string]any{"thought_signature": "s"}}
	require.Equal(t, &chatrules.Stream{
		Answer: chatrules.Answer{
			ID: "a", Model: "m", Created: 1,
			Choices: []*chatrules.Choice{{
				Text: "It is warm.", Reasoning: "hm", Refusal: "no", Images: []string{"data:image/png;base64,AA=="}, Logprobs: 1,
				Calls:  []chatrules.Call{{ID: "c0", Name: "weather", Arguments: `{"city":"Oslo"}`}, {ID: "c1", Name: "time", Arguments: `{}`}},
				Finish: "tool_calls", Native: "STOP", Extra: extra,
			}},
			Usage:    map[string]int64{"prompt": 5, "completion": 3, "cached": 4, "cache_write": 1, "reasoning": 0},
			RawUsage: s.RawUsage,
		},
		Chunks: 15, Done: true,
	}, s)
}

func TestGoodStreamsPass(t *testing.T) {
	unasked := chatrules.Options{}
	f := func(body string, o chatrules.Options) { t.Helper(); requireGood(t, body, o) }

	f(strings.ReplaceAll(good, "\n", "\r\n"), asked)
	f(": waiting\n\n"+strings.Replace(good, "data: ", ": still\ndata:", 1), asked)
	f(strings.ReplaceAll(strings.Replace(good, chunkWith("", counts, ""), "", 1), `,"usage":null`, ""), unasked)
	// without a content of its own, a choice that says nothing, and two that interleave
	f(start(0)+chunk(finish(0, "content_filter"))+chunkWith("", counts, "")+done, asked)
	f(start(0)+start(1)+chunk(delta(1, `"content":"b"`))+chunk(delta(0, `"content":"a"`))+
		chunk(finish(1, "stop"))+chunk(finish(0, "length"))+chunkWith("", counts, "")+done, asked)
	// arguments that were cut by a limit
	f(start(0)+call(0, "c", "f")+arguments(0, `{"a`)+chunk(finish(0, "length"))+chunkWith("", counts, "")+done, asked)
	// usage that was asked for and that nobody knows, in part or as a whole
	f(start(0)+chunk(finish(0, "stop"))+
		chunkWith("", `{"prompt_tokens":5,"completion_tokens":null,"total_tokens":null}`, "")+done, asked)
	f(start(0)+chunk(finish(0, "stop"))+done, chatrules.Options{IncludeUsage: true, UsageUnstated: true})
	// the results of moderation, which OpenAI sends last
	f(strings.Replace(good, done, chunkWith("", "null", `,"moderation":{"input":{},"output":{}}`)+done, 1), asked)
	// a cut stream
	f(start(0)+chunk(delta(0, `"content":"a"`)), chatrules.Options{IncludeUsage: true, Cut: true})
}

const annotation = `{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"title":"t","url":"u"}}`

const failure = `data: {"error":{"message":"It broke.","type":"server_error","param":null,"code":"upstream_reset"}}` + "\n\n"

func TestAnErrorEndsAStream(t *testing.T) {
	f := func(body string) {
		t.Helper()
		s := requireGood(t, body, asked)
		require.Equal(t, &chatrules.Failure{Message: "It broke.", Type: "server_error", Code: "upstream_reset"}, s.Failure)
	}
	f(failure)
	f("event: error\n" + failure)
	f(start(0) + chunk(delta(0, `"content":"a"`)) + failure)
	// only then may there be [DONE]: a reader that ignores the error has half a call
	f(start(0) + call(0, "c", "f") + failure + done)
}

func TestEndingsOfCancelledStreamsAreRead(t *testing.T) {
	sluice := `,"sluice":{"outcome":"cancelled","usage_source":"estimated"}`
	s := requireGood(t, start(0)+chunkWith(finish(0, "stop"), "null", sluice)+chunkWith("", counts, sluice)+done, asked)
	require.Equal(t, "cancelled", s.Outcome)
	require.Equal(t, "estimated", s.UsageSource)
}

func TestStreamsOfTheScriptedProviderPass(t *testing.T) {
	for _, o := range []fakeprovider.ChatOptions{
		{},
		{Choices: 3},
		{Reasoning: []string{"a", "b"}, Texts: []string{"c"}},
		{ToolCalls: []fakeprovider.ToolCall{{ID: "c0", Name: "f", Arguments: []string{`{"a`, `":1}`}}, {ID: "c1", Name: "g", Arguments: []string{`{}`}}}},
	} {
		for _, o.IncludeUsage = range []bool{false, true} {
			body := "data: " + strings.Join(fakeprovider.ChatStream(o), "\n\ndata: ") + "\n\n"
			s := chatrules.CheckStream(t, []byte(body), chatrules.Options{IncludeUsage: o.IncludeUsage, Model: "fake-model"})
			require.Len(t, s.Choices, max(o.Choices, 1))
			for _, c := range s.Choices {
				require.Len(t, c.Calls, len(o.ToolCalls))
				require.Equal(t, strings.Join(o.Reasoning, ""), c.Reasoning)
			}
		}
	}
}

// A stream that is good but for one thing, which is found and named.
func TestEachBrokenRuleIsFound(t *testing.T) {
	// in f, from is replaced by to in the good stream, everywhere or the nth time
	broken := func(from, to string, nth int) string {
		parts := strings.Split(good, from)
		if nth < 0 {
			return strings.Join(parts, to)
		}
		require.Greater(t, len(parts), nth+1, "%s", from)
		return strings.Join(parts[:nth+1], from) + to + strings.Join(parts[nth+1:], from)
	}
	f := func(from, to string, nth int, want string) {
		t.Helper()
		body := broken(from, to, nth)
		require.NotEqual(t, good, body, "%s", from)
		_, violations := chatrules.ReadStream([]byte(body), asked)
		require.NotEmpty(t, violations, "%s", want)
		require.Contains(t, strings.Join(violations, "\n"), want)
	}

	f("\n\n", "\n", 14, "json:") // two events that run together
	f(done, "data: [DONE]\n", 0, "framing: no blank line")
	f(done, "data: [DONE]", 0, "framing: the stream ends inside a line")
	f("data: [DONE]", "id: 7\ndata: [DONE]", 0, `framing: the field "id"`)
	f("data: [DONE]", "event: done\rdata: [DONE]", 0, "framing: a carriage return")
	f(`data: {"id"`, "\xef\xbb\xbf"+`data: {"id"`, 0, "framing: the field")
	f(`data: {"id"`, "event: chunk\n"+`data: {"id"`, 3, `framing: a chunk named "chunk"`)
	f("It is ", "It \xff ", 0, "json: not UTF-8")
	f(`"It is "}`, `"It is "`, 0, "json:")
	f(`"content":"It is "`, `"content":"It is ","content":""`, 0, `json: the member "content" is there twice`)

	f(`"id":"a"`, `"id":"b"`, 2, "head: the id changes")
	f(`"id":"a"`, `"id":"b"`, 14, "head: the id changes")
	f(`"model":"m"`, `"model":"n"`, 3, "head: the model changes")
	f(`"model":"m"`, `"model":"n"`, -1, `head: the model is "n"`)
	f(`"created":1`, `"created":2`, 3, "head: created changes")
	f(`"created":1`, `"created":"1"`, 3, "schema:")
	f(`"created":1`, `"created":0`, -1, "schema:")
	f(`"created":1`, `"created":1753879075170`, -1, "schema:")
	f(`"id":"a"`, `"id":""`, -1, "schema:")
	f(`"id":"a",`, ``, 3, "schema:")
	f(`"object":"chat.completion.chunk"`, `"object":"chat.completion"`, 5, "schema:")
	f(`"object":"chat.completion.chunk"`, `"error":null,"object":"chat.completion.chunk"`, 5, "error: a chunk with the member error")

	f(`"role":"assistant",`, "", 0, "role: choice 0 does not begin with its role")
	f(`"reasoning_content":`, `"role":"assistant","reasoning_content":`, 0, `delta: role is said twice, which openai-python reads as "assistantassistant"`)
	f(`"role":"assistant"`, `"role":"model"`, 0, "schema:")
	f(`"index":0,"delta":{"role"`, `"index":1,"delta":{"role"`, 0, "order: choice 1 begins when there are 0")
	f(`"delta":{"content":"warm."},`, ``, 0, "schema:")
	f(`"finish_reason":null`, `"finish_reason":""`, 2, "schema:")
	f(`,"finish_reason":null`, ``, 2, "schema:")
	f(`"reasoning_content"`, `"reasoning"`, 0, "schema:")
	f(`"logprobs":null`, `"logprobs":[]`, 1, "schema:")
	f(`"choices":[],`, ``, 0, "schema:")

	f(`[{"index":0,"id":"c0"`, `[{"id":"c0"`, 0, "schema:")
	f(`[{"index":0,"id":"c0"`, `[{"index":1,"id":"c0"`, 0, "delta: tool_calls goes from 0 elements to index 1")
	f(`[{"index":1,"id":"c1"`, `[{"index":0,"id":"c1"`, 0, `delta: tool_calls[].id is said twice, which openai-python reads as "c0c1"`)
	f(`{"index":0,"function":{"arguments":"{`, `{"index":0,"id":"c0","function":{"arguments":"{`, 0, "tool call: 0 of choice 0 repeats")
	f(`{"index":0,"function":{"arguments":"{`, `{"index":0,"type":"function","function":{"arguments":"{`, 0, "tool call: 0 of choice 0 repeats")
	f(`{"index":0,"function":{"arguments":"{`, `{"index":0,"function":{"name":"weather","arguments":"{`, 0, "openai-python reads as \"weatherweather\"")
	f(`"id":"c0",`, ``, 0, "tool call: 0 of choice 0 begins without id")
	f(`"id":"c0"`, `"id":""`, 0, "schema:")
	f(`"type":"function",`, ``, 0, "begins without id, type or name")
	f(`"name":"weather",`, ``, 0, "begins without id, type or name")
	f(`"name":"weather","arguments":""`, `"name":"weather"`, 0, "begins without arguments")
	f(`"id":"c1"`, `"id":"c0"`, 0, `tool call: two of choice 0 have the id "c0"`)
	f(`\"Oslo\"}`, `\"Oslo\"`, 0, "tool call: the arguments of 0 of choice 0 are no JSON object")
	f(`"arguments":"{}"`, `"arguments":"[]"`, 0, "tool call: the arguments of 1 of choice 0 are no JSON object")
	f(`"arguments":"{}"`, `"arguments":""`, 0, "tool call: the arguments of 1")
	f(`"arguments":"{}"`, `"arguments":{}`, 0, "schema:")

	f(chunk(delta(0, `"content":"warm."`)), chunk(delta(0, `"extra_content":{"google":{"thought_signature":"s"}}`)), 0,
		"delta: extra_content.google.thought_signature is said twice")
	f(chunk(delta(0, `"extra_content":{"google":{"thought_signature":"s"}}`)),
		chunk(delta(0, `"extra_content":{"x":{"n":1}}`))+chunk(delta(0, `"extra_content":{"x":{"n":2}}`)), 0,
		"delta: the number extra_content.x.n is said twice")
	f(chunk(delta(0, `"content":"warm."`)), strings.Repeat(chunk(delta(0, `"annotations":[`+annotation+`]`)), 2), 0,
		"delta: an element of annotations has no index, at which openai-python raises")
	f(`"extra_content":{"google":{"thought_signature":"s"}}`, `"extra_content":{"google":"s"}`, 0, "schema:")
	f(`"native_finish_reason"`, `"reason"`, 0, "schema:")

	f(`"finish_reason":"tool_calls"`, `"finish_reason":"error"`, 0, "schema:")
	f(`"finish_reason":"tool_calls"`, `"finish_reason":"stop"`, 0, "finish: stop, and choice 0 has tool calls")
	f(`"finish_reason":"tool_calls"`, `"finish_reason":"function_call"`, 0, "finish: function_call")
	f(`"delta":{},"logprobs":null`, `"delta":{"content":""},"logprobs":null`, 0, "order: the finish reason of choice 0 is not in a chunk of its own")
	f(`"finish_reason":"tool_calls"`, `"finish_reason":null`, 0, "end: [DONE] and a choice without a finish reason")
	f(chunkWith("", counts, ""), chunk(delta(0, `"content":"!"`))+chunkWith("", counts, ""), 0, "order: choice 0 goes on after its finish")
	f(chunkWith("", counts, ""), chunk(finish(0, "stop"))+chunkWith("", counts, ""), 0, "order: choice 0 goes on after its finish")

	f(chunkWith("", counts, ""), "", 0, "usage: asked for, and there is none")
	f(chunkWith("", counts, ""), chunkWith("", counts, "")+chunkWith("", counts, ""), 0, "usage: in more than one chunk")
	f(chunkWith("", counts, ""), chunkWith("", counts, "")+start(1)+chunk(finish(1, "stop")), 0, "order: the stream goes on after the usage chunk")
	f(`,"usage":null`, ``, 4, "usage: asked for, and a chunk has no such member")
	f(`"usage":null`, `"usage":`+counts, 4, "usage: in a chunk that has choices")
	f(`"total_tokens":8`, `"total_tokens":9`, 0, "usage: total_tokens is not the sum")
	f(`"prompt_tokens":5`, `"prompt_tokens":5.5`, 0, "schema:")
	f(`"cached_tokens":4`, `"cached":4`, 0, "schema:")
	f(`,"completion_tokens_details":{"reasoning_tokens":0}`, `,"completion_tokens_details":{}`, 0, "schema:")
	f(start(0), chunk("")+start(0), 0, "usage: a chunk with neither choices nor usage")
	f(start(0), chunkWith("", counts, ""), 0, "usage:")

	f(done, "", 0, "end: neither [DONE] nor an error")
	f(done, done+done, 0, "order: the stream goes on after its end")
	f(done, done+": bye\n\n"+chunk(""), 0, "order: the stream goes on after its end")
	f(done, failure+done, 0, "end: [DONE] after an error")
	f(done, failure+start(1), 0, "order: the stream goes on after its end")
	f(done, strings.Replace(failure, `"param":null,`, "", 1), 0, "schema: error")
	f(done, strings.Replace(failure, `"code":`, `"choices":[],"code":`, 1), 0, "schema: error")
	f(done, strings.Replace(failure, `data: {`, `data: {"choices":[],`, 1), 0, "schema: error")
	f(done, "event: oops\n"+failure, 0, `framing: an error named "oops"`)
}

func TestUsageThatNobodyAskedForIsFound(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, violations := chatrules.ReadStream([]byte(body), chatrules.Options{})
		require.Contains(t, strings.Join(violations, "\n"), want)
	}
	f(good, "usage: not asked for, and there is <nil>")
	f(strings.ReplaceAll(good, `,"usage":null`, ""), "usage: not asked for, and there is map[")
}

func TestEmptyStreamsAreFound(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, violations := chatrules.ReadStream([]byte(body), chatrules.Options{})
		require.Equal(t, []string{want}, violations)
	}
	f("", "end: neither [DONE] nor an error")
	f(done, "end: [DONE] without any choice")
}

// What a provider adds may pass, the rest holds.
func TestAProvidersOwnMembersMayPass(t *testing.T) {
	body := strings.ReplaceAll(good, `"object"`, `"x":1,"object"`)
	body = strings.ReplaceAll(body, `"delta":{"`, `"y":[{"z":1}],"delta":{"annotations":[{"a":1}],"provider":"p","`)
	body = strings.Replace(body, start(0), chunk("")+start(0), 1)
	_, violations := chatrules.ReadStream([]byte(body), asked)
	require.NotEmpty(t, violations)
	relay := chatrules.Options{IncludeUsage: true, Unknown: true}
	body = strings.ReplaceAll(body, `"annotations":[{"a":1}],`, "")
	requireGood(t, body, relay)
	_, violations = chatrules.ReadStream([]byte(strings.Replace(body, `"id":"a"`, `"id":"b"`, 1)), relay)
	require.NotEmpty(t, violations)

	// what may be null may be absent, what may be absent may be null, and calls may stop
	requireGood(t, `data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","service_tier":null,"choices":[`+
		`{"index":0,"delta":{"role":"assistant","tool_calls":null,"images":null}}]}`+"\n\n"+
		call(0, "c", "f")+arguments(0, "null")+chunk(finish(0, "tool_calls"))+
		start(1)+chunk(finish(1, "stop"))+chunkWith("", `{"prompt_tokens":1,"total_tokens":9,"prompt_tokens_details":null}`, "")+done, relay)
	_, violations = chatrules.ReadStream([]byte(start(0)+chunkWith(finish(0, "stop"), counts, "")+done), relay)
	require.Equal(t, []string{"usage: in a chunk that has choices"}, violations)
	// a nameless chunk before the first, times that are none, reasoning under another name
	azure := `data: {"id":"","model":"","object":"","created":0,"choices":[],"prompt_filter_results":[]}` + "\n\n"
	s := requireGood(t, azure+strings.ReplaceAll(strings.ReplaceAll(good, "reasoning_content", "reasoning"), `"created":1`, `"created":0`), relay)
	require.Equal(t, "hm", s.Choices[0].Reasoning)
	require.Equal(t, "a", s.ID)
}

func TestReportsStayReadable(t *testing.T) {
	_, violations := chatrules.ReadStream([]byte(strings.Repeat("data: {\"a\":1}\n\n", 50)), asked)
	require.Greater(t, len(violations), 50)
	for _, v := range violations {
		require.Less(t, len(v), 1000)
		require.NotContains(t, v, "\n")
	}
}
