package simulator

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// told is what a strict reader got out of one choice of a stream.
type told struct {
	content, reasoning string
	calls              []callFunction
	finish             string
	pieces             int
}

// readStream checks the payloads of a finished chat stream against the grammar
// that the strictest clients rely on, and returns the choices and the usage.
func readStream(t *testing.T, events []string, wantUsage bool) ([]told, *usage) {
	t.Helper()
	require.NotEmpty(t, events)
	require.Equal(t, "[DONE]", events[len(events)-1])
	r := &streamReader{t: t, wantUsage: wantUsage}
	for _, e := range events[:len(events)-1] {
		require.Nil(t, r.usage, "nothing follows the usage chunk")
		r.read(e)
	}
	require.Equal(t, wantUsage, r.usage != nil)
	for i, c := range r.choices {
		require.NotEmpty(t, c.finish, "choice %d has no finish_reason", i)
	}
	return r.choices, r.usage
}

type streamReader struct {
	t         *testing.T
	wantUsage bool
	head      map[string]string
	choices   []told
	usage     *usage
}

func (r *streamReader) read(event string) {
	r.t.Helper()
	var chunk map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal([]byte(event), &chunk))
	require.NotContains(r.t, chunk, "error")
	head := map[string]string{}
	for _, name := range []string{"id", "object", "created", "model"} {
		require.Contains(r.t, chunk, name)
		head[name] = string(chunk[name])
	}
	if r.head == nil {
		r.head = head
		require.Equal(r.t, `"chat.completion.chunk"`, head["object"])
	}
	require.Equal(r.t, r.head, head, "the head of a chunk never changes")

	require.Contains(r.t, chunk, "choices")
	var choices []map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal(chunk["choices"], &choices))
	require.NotNil(r.t, choices)
	r.readUsage(chunk["usage"], len(choices))
	for _, c := range choices {
		r.readChoice(c)
	}
}

func (r *streamReader) readUsage(raw json.RawMessage, choices int) {
	r.t.Helper()
	switch {
	case !r.wantUsage:
		require.Nil(r.t, raw, "usage was not asked for")
		require.NotZero(r.t, choices)
	case choices > 0:
		require.Equal(r.t, "null", string(raw))
	default:
		r.usage = &usage{}
		require.NoError(r.t, json.Unmarshal(raw, r.usage))
	}
}

func (r *streamReader) readChoice(c map[string]json.RawMessage) {
	r.t.Helper()
	var index int
	require.NoError(r.t, json.Unmarshal(c["index"], &index))
	require.Contains(r.t, c, "logprobs")
	require.Contains(r.t, c, "finish_reason")
	var d map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal(c["delta"], &d))

	if index == len(r.choices) {
		require.Equal(r.t, `"assistant"`, string(d["role"]), "the first delta of a choice has the role")
		require.Contains(r.t, []string{`""`, "null"}, string(d["content"]))
		require.Equal(r.t, "null", string(c["finish_reason"]))
		r.choices = append(r.choices, told{})
		return
	}
	require.Less(r.t, index, len(r.choices))
	require.NotContains(r.t, d, "role", "the role comes once")
	t := &r.choices[index]
	require.Empty(r.t, t.finish, "nothing follows the finish chunk")
	if string(c["finish_reason"]) != "null" {
		require.NoError(r.t, json.Unmarshal(c["finish_reason"], &t.finish))
		require.True(r.t, slices.Contains([]string{"stop", "length", "tool_calls"}, t.finish))
		require.Empty(r.t, d, "the finish chunk has an empty delta")
		return
	}
	t.pieces++
	t.readDelta(r.t, d)
}

func (c *told) readDelta(t *testing.T, d map[string]json.RawMessage) {
	t.Helper()
	require.Len(t, d, 1, "a delta says one thing")
	var text string
	switch {
	case d["content"] != nil:
		require.NoError(t, json.Unmarshal(d["content"], &text))
		c.content += text
	case d["reasoning_content"] != nil:
		require.Empty(t, c.content, "reasoning comes before content")
		require.NoError(t, json.Unmarshal(d["reasoning_content"], &text))
		c.reasoning += text
	default:
		var calls []struct {
			Index    *int
			ID, Type string
			Function callFunction
		}
		require.NoError(t, json.Unmarshal(d["tool_calls"], &calls))
		require.Len(t, calls, 1)
		call := calls[0]
		require.NotNil(t, call.Index)
		if *call.Index == len(c.calls) {
			require.NotEmpty(t, call.ID)
			require.Equal(t, "function", call.Type)
			require.NotEmpty(t, call.Function.Name)
			require.Empty(t, call.Function.Arguments)
			c.calls = append(c.calls, call.Function)
			return
		}
		require.Equal(t, len(c.calls)-1, *call.Index, "calls are dense and one after the other")
		require.Empty(t, call.ID+call.Type+call.Function.Name, "id, type and name come once")
		c.calls[*call.Index].Arguments += call.Function.Arguments
	}
}
