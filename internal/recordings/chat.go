package recordings

import (
	"encoding/json"
	"fmt"
)

// chatChunk is an event of an OpenAI chat stream, with what its imitators vary.
type chatChunk struct {
	ID, Model loose
	Error     json.RawMessage
	Usage     map[string]any
	XGroq     struct{ Usage map[string]any } `json:"x_groq"`
	Choices   []struct {
		Index  int
		Finish loose `json:"finish_reason"`
		Delta  chatDelta
	}
}

type chatDelta struct {
	Content, Refusal json.RawMessage
	Reasoning        loose
	ReasoningContent loose           `json:"reasoning_content"`
	Details          json.RawMessage `json:"reasoning_details"`
	Calls            []chatCall      `json:"tool_calls"`
}

type chatCall struct {
	Index    *int
	ID       loose
	Function struct {
		Name      loose
		Arguments json.RawMessage
	}
	Custom struct{ Name, Input loose }
}

// chat reads a stream of chat.completion.chunk events. It is whole if the sentinel is
// there or every choice has a finish reason; where the sentinel comes without a finish
// reason, the choice has stopped.
func (r *Reading) chat(stream []byte) error {
	done := false
	for _, block := range Blocks(string(stream)) {
		data := Data(block)
		if done = data == "[DONE]"; done || r.Failed {
			break
		}
		if data == "" {
			continue
		}
		var chunk chatChunk
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return fmt.Errorf("decoding %.200q: %w", data, err)
		}
		r.chatChunk(&chunk)
		if Names(block, "error") && !r.Failed {
			r.fail(messageIn([]byte(data)))
		}
	}
	r.Whole = done || len(r.Choices) > 0
	for _, c := range r.Choices {
		r.Whole = r.Whole && (done || c.HasFinish)
	}
	return nil
}

func (r *Reading) chatChunk(chunk *chatChunk) {
	r.head(string(chunk.ID), string(chunk.Model))
	for _, usage := range []map[string]any{chunk.Usage, chunk.XGroq.Usage} {
		for name, n := range ChatUsage(usage) {
			r.count(name, &n)
		}
	}
	for _, c := range chunk.Choices {
		r.choice(c.Index).chat(c.Delta, string(c.Finish))
	}
	if stated(chunk.Error) && string(chunk.Error) != `""` {
		r.fail(messageIn(chunk.Error))
	}
}

// chat adds a delta. What follows the finish reason of a choice is no part of it.
func (c *Choice) chat(d chatDelta, finish string) {
	if c.HasFinish {
		return
	}
	text, thoughts := contentOf(d.Content)
	c.Text += text
	c.Reasoning += thoughts + d.reasoning()
	refusal, _ := contentOf(d.Refusal)
	c.Refusal += refusal
	for _, call := range d.Calls {
		c.chatCall(call)
	}
	if finish != "" {
		c.finish(finish, chatFinish(finish))
	}
}

// chatFinish keeps to the words that SDKs know.
func chatFinish(native string) string {
	switch native {
	case length, toolCalls, contentFilter, "function_call":
		return native
	}
	return stop
}

// reasoning is the thought in a delta, which some servers repeat under a second name,
// and others state in reasoning_details alone.
func (d *chatDelta) reasoning() string {
	first, second := string(d.ReasoningContent), string(d.Reasoning)
	switch {
	case first == "" && second == "":
		var details []struct{ Text, Summary loose }
		if json.Unmarshal(d.Details, &details) != nil {
			return ""
		}
		all := ""
		for _, detail := range details {
			all += string(detail.Text + detail.Summary)
		}
		return all
	case first == second:
		return first
	}
	return first + second
}

// contentOf reads a content: a string, or an array of parts in which thoughts are
// arrays of parts themselves.
func contentOf(raw json.RawMessage) (text, thoughts string) {
	if json.Unmarshal(raw, &text) == nil {
		return text, ""
	}
	var parts []struct {
		Text     loose
		Thinking json.RawMessage
	}
	if json.Unmarshal(raw, &parts) != nil {
		return "", ""
	}
	for _, part := range parts {
		text += string(part.Text)
		inner, _ := contentOf(part.Thinking)
		thoughts += inner
	}
	return text, thoughts
}

// chatCall adds a fragment of a tool call. A call begins with an index that is new, or
// with an id other than that of the call at its index; without an index, with any id or
// name.
func (c *Choice) chatCall(part chatCall) {
	id, name := string(part.ID), string(part.Function.Name+part.Custom.Name)
	number := len(c.calls) - 1
	fresh := len(c.calls) == 0
	switch {
	case part.Index != nil:
		number = *part.Index
		known := c.numbered(number)
		fresh = known == nil || id != "" && known.ID != "" && id != known.ID
	case id != "" || name != "":
		number = len(c.calls)
		fresh = true
	}
	if fresh {
		c.open(number, "", "")
	}
	call := c.numbered(number)
	if call == nil {
		call = c.calls[len(c.calls)-1]
	}
	if call.ID == "" {
		call.ID = id
	}
	if call.Name == "" {
		call.Name = name
	}
	var fragment string
	switch raw := part.Function.Arguments; {
	case isObject(raw):
		fragment = string(raw)
	case len(raw) > 0:
		_ = json.Unmarshal(raw, &fragment) // null is nothing
	}
	call.Arguments += fragment + string(part.Custom.Input)
}

// ChatUsage reads the usage object of an OpenAI-compatible server: the counts that are
// numbers (float64 or json.Number), under the names of Reading.Usage.
func ChatUsage(usage map[string]any) map[string]int64 {
	found := map[string]int64{}
	for name, paths := range map[string][][]string{
		"prompt":     {{"prompt_tokens"}, {"input_tokens"}},
		"completion": {{"completion_tokens"}, {"output_tokens"}},
		"cached": {
			{"prompt_tokens_details", "cached_tokens"},
			{"input_tokens_details", "cached_tokens"},
			{"prompt_cache_hit_tokens"},
			{"cached_tokens"},
			{"cache_read_input_tokens"},
		},
		"cache_write": {
			{"prompt_tokens_details", "cache_write_tokens"}, {"input_tokens_details", "cache_write_tokens"}, {"cache_creation_input_tokens"},
		},
		"reasoning": {
			{"completion_tokens_details", "reasoning_tokens"}, {"output_tokens_details", "reasoning_tokens"}, {"reasoning_tokens"},
		},
	} {
		for _, path := range paths {
			if n, ok := numberAt(usage, path); ok {
				found[name] = n
				break
			}
		}
	}
	// xAI's total tells that reasoning was left out of the completion.
	total, okTotal := numberAt(usage, []string{"total_tokens"})
	prompt, okPrompt := found["prompt"]
	completion, okCompletion := found["completion"]
	if n := found["reasoning"]; n > 0 && okTotal && okPrompt && okCompletion && total == prompt+completion+n {
		found["completion"] += n
	}
	return found
}

func numberAt(v any, path []string) (int64, bool) {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	switch n := v.(type) {
	case float64:
		return int64(n), true
	case json.Number:
		i, err := n.Int64()
		return i, err == nil
	}
	return 0, false
}
