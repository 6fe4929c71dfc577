package translate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// events spells an event stream of these data.
func events(data ...string) string {
	var all strings.Builder
	for _, d := range data {
		all.WriteString("data: " + d + "\n\n")
	}
	return all.String()
}

func TestCancelledStreamEndsWell(t *testing.T) {
	head := Head{ID: "chatcmpl-1", Created: 1700000000, Model: "fast"}
	f := func(object string, choices []int, usage *tokens.Usage, source string, want ...string) {
		t.Helper()
		got := AppendCancelEnding([]byte("before"), head, object, choices, usage, "cancelled", source)
		require.Equal(t, "before"+events(want...), string(got))
		for _, data := range want[:len(want)-1] {
			require.True(t, json.Valid([]byte(data)), data)
		}
	}

	f(ChatChunk, []int{0}, nil, "estimated",
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fast","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"sluice":{"outcome":"cancelled","usage_source":"estimated"}}`,
		`[DONE]`)

	// cut before any chunk: clients still need a finish of choice 0
	f(ChatChunk, nil, nil, "none",
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fast","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"sluice":{"outcome":"cancelled","usage_source":"none"}}`,
		`[DONE]`)

	f(ChatChunk, []int{0, 2}, &tokens.Usage{Input: tokens.Known(10), Output: tokens.Known(5), InputCached: tokens.Known(0), OutputReasoning: tokens.Known(3)}, "running",
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fast","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"sluice":{"outcome":"cancelled","usage_source":"running"}}`,
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fast","choices":[{"index":2,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"sluice":{"outcome":"cancelled","usage_source":"running"}}`,
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fast","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}},"sluice":{"outcome":"cancelled","usage_source":"running"}}`,
		`[DONE]`)

	f(CompletionChunk, []int{0}, &tokens.Usage{Input: tokens.Known(1), Output: tokens.Known(2)}, "estimated",
		`{"id":"chatcmpl-1","object":"text_completion","created":1700000000,"model":"fast","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}],"usage":null,"sluice":{"outcome":"cancelled","usage_source":"estimated"}}`,
		`{"id":"chatcmpl-1","object":"text_completion","created":1700000000,"model":"fast","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"sluice":{"outcome":"cancelled","usage_source":"estimated"}}`,
		`[DONE]`)
}

func TestAbsentCountsAreNotZero(t *testing.T) {
	f := func(u tokens.Usage, want string) {
		t.Helper()
		require.Equal(t, want, string(appendUsage(nil, u)))
	}
	f(tokens.Usage{}, `{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}`)
	f(tokens.Usage{Output: tokens.Known(0)}, `{"prompt_tokens":null,"completion_tokens":0,"total_tokens":null}`)
	f(tokens.Usage{Input: tokens.Known(0), Output: tokens.Known(0)}, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`)
}

func TestStreamTailAfterAllChoicesFinished(t *testing.T) {
	require.Equal(t, "data: [DONE]\n\n", string(AppendStreamTail(nil, Head{}, ChatChunk, nil, "cancelled", "none")))
	tail := string(AppendStreamTail(nil, Head{ID: "a"}, ChatChunk, &tokens.Usage{Input: tokens.Known(1)}, "limit", "reported"))
	require.NotContains(t, tail, "finish_reason")
	require.Contains(t, tail, `"choices":[],"usage":{"prompt_tokens":1,`)
	require.Contains(t, tail, `"sluice":{"outcome":"limit","usage_source":"reported"}`)
	require.True(t, strings.HasSuffix(tail, "}\n\ndata: [DONE]\n\n"))
}

func TestEndingCannotBeInjectedInto(t *testing.T) {
	head := Head{ID: "a\"\n\ndata: x", Model: "m\r\n\xff"}
	out := string(AppendCancelEnding(nil, head, ChatChunk, nil, &tokens.Usage{}, "o\n", "s\""))
	require.Len(t, strings.Split(strings.TrimSuffix(out, "\n\n"), "\n\n"), 3)
	for event := range strings.SplitSeq(strings.TrimSuffix(out, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		require.True(t, ok)
		require.True(t, data == "[DONE]" || json.Valid([]byte(data)), data)
	}
}
