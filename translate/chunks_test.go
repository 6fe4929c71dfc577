package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// written is what a ChunkWriter makes of an answer, one line for each event.
func written(o WriterOptions, say func(s Sink)) string {
	w := NewChunkWriter(Head{ID: "x", Created: 5, Model: "m"}, o)
	w.Lend([]byte("before"))
	say(w)
	out := w.Take()
	var lines []string
	for data := range w.Events(out, len("before")) {
		lines = append(lines, string(data))
	}
	for _, data := range strings.Split(strings.TrimSuffix(string(w.AppendTail(nil)), "\n\n"), "\n\n") {
		lines = append(lines, strings.TrimPrefix(data, "data: "))
	}
	return strings.Join(lines, "\n")
}

// An answer in chunks: role once, calls indexed densely, one finish in a chunk of its
// own, one usage chunk.
func TestChunksThatStrictClientsAccept(t *testing.T) {
	got := written(WriterOptions{IncludeUsage: true, Extensions: true}, func(s Sink) {
		s.Head("id1", "served", 7)
		s.Head("id2", "other", 8)
		s.Text(0, `a\n`)
		s.Text(0, ``)
		call := s.Call(0, Call{ID: "c1", Name: "f"})
		s.Arguments(0, call, `{\"a\":`)
		s.Arguments(0, call, `1}`)
		s.Call(0, Call{Name: "g", Vendor: "google", Carry: `{"thought_signature":"s"}`})
		s.Usage(tokens.Usage{Input: tokens.Known(1)}, `{"in":1}`)
		s.Usage(tokens.Usage{Output: tokens.Known(2)}, `{"out":2}`)
		s.Finish(0, FinishStop, "end_turn")
		s.Finish(0, FinishLength, "again")
		s.Text(0, `late`)
	})
	head := `{"id":"id1","object":"chat.completion.chunk","created":7,"model":"served","choices":[`
	tail := `,"logprobs":null,"finish_reason":null}],"usage":null}`
	require.Equal(t, strings.Join([]string{
		head + `{"index":0,"delta":{"role":"assistant","content":""}` + tail,
		head + `{"index":0,"delta":{"content":"a\n"}` + tail,
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}` + tail,
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}` + tail,
		head + `{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}` + tail,
		head + `{"index":0,"delta":{"tool_calls":[{"index":1,"id":"` + MintCallID("id1", 0, 1) + `","type":"function","function":{"name":"g","arguments":""},"extra_content":{"google":{"thought_signature":"s"}}}]}` + tail,
		head + `{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}` + tail,
		head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"sluice":{"native_finish_reason":"end_turn"},"usage":null}`,
		head + `],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
		`[DONE]`,
	}, "\n"), got)
}

// Who did not ask for usage sees no such member, and without extensions there is
// nothing that OpenAI does not have.
func TestChunksWithoutUsageAndExtensions(t *testing.T) {
	got := written(WriterOptions{Model: "public"}, func(s Sink) {
		s.Reasoning(1, `r`)
		s.Refusal(1, `no`)
		s.Image(1, `data:image/png;base64,AA==`)
		s.Carry(1, "anthropic", `{}`)
		s.Usage(tokens.Usage{Input: tokens.Known(1), Output: tokens.Known(1)}, `{}`)
		s.Finish(1, FinishContent, "refusal")
	})
	head := `{"id":"x","object":"chat.completion.chunk","created":5,"model":"public","choices":[{"index":1,"delta":{`
	tail := `},"logprobs":null,"finish_reason":null}]}`
	require.Equal(t, strings.Join([]string{
		head + `"role":"assistant","content":""` + tail,
		head + `"reasoning_content":"r"` + tail,
		head + `"refusal":"no"` + tail,
		head + `},"logprobs":null,"finish_reason":"content_filter"}]}`,
		`[DONE]`,
	}, "\n"), got)
}

// The same answer as one object.
func TestAnswerInOnePiece(t *testing.T) {
	w := NewAnswerWriter(Head{ID: "x", Created: 5, Model: "m"}, WriterOptions{Extensions: true})
	w.Head("id1", "", 0)
	w.Text(0, `a`)
	w.Text(0, `\n`)
	w.Reasoning(0, `why`)
	call := w.Call(0, Call{ID: "c1", Name: "f"})
	w.ArgumentsJSON(0, call, `{ "a" : "b\"c" }`)
	w.Call(0, Call{ID: "c2", Name: "g"})
	w.Image(0, `data:image/png;base64,AA==`)
	w.Carry(0, "anthropic", `{"thinking_blocks":[]}`)
	w.Usage(tokens.Usage{Input: tokens.Known(1), Output: tokens.Known(2), InputCached: tokens.Known(0)}, `{}`)
	w.Finish(0, FinishStop, "")
	w.Text(0, `late`)
	require.JSONEq(t, `{"id":"id1","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":{
		"role":"assistant","content":"a\n","refusal":null,"reasoning_content":"why","tool_calls":[
			{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":\"b\\\"c\"}"}},
			{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}],
		"images":[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}],
		"extra_content":{"anthropic":{"thinking_blocks":[]}}},"logprobs":null,"finish_reason":"tool_calls"}],
		"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}`,
		string(w.Append(nil)))
}

// Writing a fragment of text allocates nothing.
func BenchmarkChunkWriterText(b *testing.B) {
	w := NewChunkWriter(Head{ID: "x", Created: 5, Model: "m"}, WriterOptions{})
	buf := make([]byte, 0, 1<<12)
	w.Lend(buf)
	w.Text(0, "first")
	b.ReportAllocs()
	for b.Loop() {
		w.Lend(buf)
		w.Text(0, ` some\nwords`)
		buf = w.Take()[:0]
	}
}
