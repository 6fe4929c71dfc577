package chatrules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

const goodAnswer = `{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[` +
	`{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm",` +
	`"tool_calls":[{"id":"c0","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"},` +
	`"extra_content":{"google":{"thought_signature":"s"}}}],` +
	`"images":[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},` +
	`"logprobs":null,"finish_reason":"tool_calls"},` +
	`{"index":1,"message":{"role":"assistant","content":"b","refusal":null},"logprobs":{"content":[]},"finish_reason":"stop"}],` +
	`"usage":` + counts + `,"sluice":{"native_finish_reason":"tool_use"}}`

func TestAGoodAnswerIsRead(t *testing.T) {
	a := chatrules.CheckAnswer(t, []byte(goodAnswer), chatrules.Options{Model: "m"})
	require.Equal(t, &chatrules.Answer{
		ID: "a", Model: "m", Created: 1,
		Choices: []*chatrules.Choice{
			{
				Reasoning: "hm", Images: []string{"data:image/png;base64,AA=="}, Finish: "tool_calls", Native: "tool_use",
				Calls: []chatrules.Call{{
					ID: "c0", Name: "weather", Arguments: `{"city":"Oslo"}`,
					Extra: map[string]any{"google": map[string]any{"thought_signature": "s"}},
				}},
			},
			{Index: 1, Text: "b", Finish: "stop", Native: "tool_use"},
		},
		Usage:    map[string]int64{"prompt": 5, "completion": 3, "cached": 4, "cache_write": 1, "reasoning": 0},
		RawUsage: a.RawUsage,
	}, a)
	require.Contains(t, a.RawUsage, "total_tokens")
}

func TestAnswersOfTheScriptedProviderPass(t *testing.T) {
	calls := []fakeprovider.ToolCall{{ID: "c", Name: "f", Arguments: []string{`{"a`, `":1}`}}}
	for _, o := range []fakeprovider.ChatOptions{{}, {Choices: 2}, {Reasoning: []string{"a"}}, {ToolCalls: calls}, {NullUsage: true}} {
		chatrules.CheckAnswer(t, []byte(fakeprovider.ChatAnswer(o)), chatrules.Options{UsageUnstated: o.NullUsage})
	}
}

func TestEachBrokenRuleOfAnAnswerIsFound(t *testing.T) {
	f := func(from, to, want string) {
		t.Helper()
		body := strings.Replace(goodAnswer, from, to, 1)
		require.NotEqual(t, goodAnswer, body)
		_, violations := chatrules.ReadAnswer([]byte(body), chatrules.Options{Model: "m"})
		require.Contains(t, strings.Join(violations, "\n"), want)
	}
	f(`{"id"`, `{id`, "json:")
	f(`{"id"`, `[]{"id"`, "json: something follows")
	f(`"model":"m"`, `"model":"n"`, `head: the model is "n"`)
	f(`"id":"a"`, `"id":1`, "schema:")
	f(`"object":"chat.completion"`, `"object":"chat.completion.chunk"`, "schema:")
	f(`"usage"`, `"error":null,"usage"`, "schema:")
	f(`"usage":`+counts+`,`, ``, "usage: there is none")
	f(`"total_tokens":8`, `"total_tokens":7`, "usage: total_tokens is not the sum")
	f(`{"index":1,"message"`, `{"index":2,"message"`, "order: choice 2 is at place 1")
	f(`"role":"assistant",`, ``, "schema:")
	f(`"refusal":null,"reasoning_content"`, `"reasoning_content"`, "schema:")
	f(`"reasoning_content"`, `"reasoning"`, "schema:")
	f(`"tool_calls":[{"id":"c0",`, `"tool_calls":[{`, "schema:")
	f(`"tool_calls":[{`, `"tool_calls":[{"index":0,`, "schema:")
	f(`\"Oslo\"}`, `\"Oslo\"`, "tool call: the arguments of 0")
	f(`"arguments":"{\"city\":\"Oslo\"}"`, `"arguments":{"city":"Oslo"}`, "schema:")
	f(`"finish_reason":"tool_calls"`, `"finish_reason":"stop"`, "finish: stop")
	f(`"finish_reason":"tool_calls"`, `"finish_reason":null`, "schema:")
	f(`"finish_reason":"stop"`, `"finish_reason":"tool_calls"`, "finish: tool_calls, and the message has none")
	f(`"finish_reason":"stop"`, `"finish_reason":"max_tokens"`, "schema:")
	f(`"native_finish_reason"`, `"x"`, "schema:")
}

func TestErrorsAreRead(t *testing.T) {
	f := chatrules.CheckError(t, []byte(`{"error":{"message":"No.","type":"invalid_request_error","param":"n","code":"unsupported_value"}}`), chatrules.Options{})
	require.Equal(t, &chatrules.Failure{Message: "No.", Type: "invalid_request_error", Param: "n", Code: "unsupported_value"}, f)

	bad := func(body string, o chatrules.Options) {
		t.Helper()
		_, violations := chatrules.ReadError([]byte(body), o)
		require.NotEmpty(t, violations, "%s", body)
	}
	relay := chatrules.Options{Unknown: true}
	bad(``, relay)
	bad(`{"error":"No."}`, relay)
	bad(`{"error":{"message":""}}`, relay)
	bad(`{"error":{"message":"No.","type":"t","param":null}}`, chatrules.Options{})
	bad(`{"error":{"message":"No.","type":"t","param":null,"code":1}}`, chatrules.Options{})
	bad(`{"error":{"message":"No.","type":"t","param":null,"code":null},"request_id":"r"}`, chatrules.Options{})
	chatrules.CheckError(t, []byte(`{"error":{"message":"No.","code":1},"request_id":"r"}`), relay)
}
