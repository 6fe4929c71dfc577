package fakeprovider

import (
	"encoding/json"
	"fmt"
)

// Usage is the usage object of an answer. Zero numbers of the details are left
// out, so that a test can tell absent from zero.
type Usage struct {
	Prompt, Completion, Cached, Reasoning int
}

// ToolCall is one call in an answer, its arguments in the pieces they come in.
type ToolCall struct {
	ID, Name  string
	Arguments []string
}

// ChatOptions describe one OpenAI chat answer. The zero value is a short stream of
// text that ends well and says nothing of usage.
type ChatOptions struct {
	ID      string // default "chatcmpl-fake"
	Model   string // default "fake-model"
	Created int64  // default 1700000000

	Reasoning []string // reasoning_content deltas, before everything else
	Texts     []string // content deltas; default "Hello", ",", " world", "." without calls
	ToolCalls []ToolCall
	Choices   int // default 1; every choice says the same, interleaved

	FinishReason string // default "stop", or "tool_calls" with calls
	NoFinish     bool   // no finish chunk
	NoDone       bool   // no [DONE]

	IncludeUsage bool   // usage null in every chunk and a usage-only chunk at the end
	NullUsage    bool   // usage null in every chunk, whatever the end
	Usage        *Usage // default 10 prompt tokens and one per delta
	FinishUsage  bool   // usage beside the finish reason instead of a chunk of its own
	RunningUsage bool   // usage, growing, in every chunk that has choices
}

func (o ChatOptions) withDefaults() ChatOptions {
	if o.ID == "" {
		o.ID = "chatcmpl-fake"
	}
	if o.Model == "" {
		o.Model = "fake-model"
	}
	if o.Created == 0 {
		o.Created = 1700000000
	}
	if o.Texts == nil && len(o.ToolCalls) == 0 {
		o.Texts = []string{"Hello", ",", " world", "."}
	}
	o.Choices = max(o.Choices, 1)
	if o.FinishReason == "" {
		o.FinishReason = "stop"
		if len(o.ToolCalls) > 0 {
			o.FinishReason = "tool_calls"
		}
	}
	if o.Usage == nil {
		n := len(o.Texts) + len(o.Reasoning)
		for _, c := range o.ToolCalls {
			n += 1 + len(c.Arguments)
		}
		o.Usage = &Usage{Prompt: 10, Completion: n * o.Choices, Reasoning: len(o.Reasoning) * o.Choices}
	}
	return o
}

// JSON is the usage object as it stands in an answer.
func (u Usage) JSON() string {
	s := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, u.Prompt, u.Completion, u.Prompt+u.Completion)
	if u.Cached > 0 {
		s += fmt.Sprintf(`,"prompt_tokens_details":{"cached_tokens":%d}`, u.Cached)
	}
	if u.Reasoning > 0 {
		s += fmt.Sprintf(`,"completion_tokens_details":{"reasoning_tokens":%d}`, u.Reasoning)
	}
	return s + "}"
}

// chatStream collects the payloads of one stream.
type chatStream struct {
	o      ChatOptions
	out    []string
	deltas int
}

// ChatStream returns the data payloads of a stream, "[DONE]" included, in order.
func ChatStream(o ChatOptions) []string {
	s := &chatStream{o: o.withDefaults()}
	o = s.o
	content := `""`
	if len(o.Texts) == 0 {
		content = "null"
	}
	s.each(`{"role":"assistant","content":`+content+`}`, false)
	for _, text := range o.Reasoning {
		s.each(`{"reasoning_content":`+quote(text)+`}`, true)
	}
	for _, text := range o.Texts {
		s.each(`{"content":`+quote(text)+`}`, true)
	}
	for i, c := range o.ToolCalls {
		s.each(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%s,"type":"function","function":{"name":%s,"arguments":""}}]}`,
			i, quote(c.ID), quote(c.Name)), true)
		for _, piece := range c.Arguments {
			s.each(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quote(piece)), true)
		}
	}
	s.end()
	return s.out
}

// each adds one delta to every choice.
func (s *chatStream) each(delta string, counts bool) {
	for i := range s.o.Choices {
		if counts {
			s.deltas++
		}
		s.add(fmt.Sprintf(`[{"index":%d,"delta":%s,"logprobs":null,"finish_reason":null}]`, i, delta), s.usageBesideChoices())
	}
}

func (s *chatStream) end() {
	for i := 0; i < s.o.Choices && !s.o.NoFinish; i++ {
		usage := s.usageBesideChoices()
		if s.o.FinishUsage && i == s.o.Choices-1 {
			usage = s.o.Usage.JSON()
		}
		s.add(fmt.Sprintf(`[{"index":%d,"delta":{},"logprobs":null,"finish_reason":%s}]`, i, quote(s.o.FinishReason)), usage)
	}
	if s.o.IncludeUsage && !s.o.FinishUsage {
		s.add("[]", s.o.Usage.JSON())
	}
	if !s.o.NoDone {
		s.out = append(s.out, "[DONE]")
	}
}

// usageBesideChoices is the usage member of an ordinary chunk; "" is none.
func (s *chatStream) usageBesideChoices() string {
	switch {
	case s.o.RunningUsage:
		return Usage{Prompt: s.o.Usage.Prompt, Completion: s.deltas}.JSON()
	case s.o.IncludeUsage, s.o.NullUsage:
		return "null"
	}
	return ""
}

func (s *chatStream) add(choices, usage string) {
	chunk := fmt.Sprintf(`{"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s,"choices":%s`,
		quote(s.o.ID), s.o.Created, quote(s.o.Model), choices)
	if usage != "" {
		chunk += `,"usage":` + usage
	}
	s.out = append(s.out, chunk+"}")
}

// ChatAnswer returns the body of a whole answer. Usage is part of it unless
// NullUsage is set.
func ChatAnswer(o ChatOptions) string {
	o = o.withDefaults()
	message := map[string]any{"role": "assistant", "content": nil, "refusal": nil}
	if len(o.Texts) > 0 {
		message["content"] = join(o.Texts)
	}
	if len(o.Reasoning) > 0 {
		message["reasoning_content"] = join(o.Reasoning)
	}
	if len(o.ToolCalls) > 0 {
		calls := make([]any, len(o.ToolCalls))
		for i, c := range o.ToolCalls {
			calls[i] = map[string]any{"id": c.ID, "type": "function", "function": map[string]any{"name": c.Name, "arguments": join(c.Arguments)}}
		}
		message["tool_calls"] = calls
	}
	choices := make([]any, o.Choices)
	for i := range choices {
		choices[i] = map[string]any{"index": i, "message": message, "logprobs": nil, "finish_reason": o.FinishReason}
	}
	answer := map[string]any{"id": o.ID, "object": "chat.completion", "created": o.Created, "model": o.Model, "choices": choices}
	if !o.NullUsage {
		answer["usage"] = json.RawMessage(o.Usage.JSON())
	}
	return mustJSON(answer)
}

// ErrorBody returns an OpenAI error body; an empty code is null.
func ErrorBody(message, kind, code string) string {
	e := map[string]any{"message": message, "type": kind, "param": nil, "code": nil}
	if code != "" {
		e["code"] = code
	}
	return mustJSON(map[string]any{"error": e})
}

func join(pieces []string) string {
	s := ""
	for _, p := range pieces {
		s += p
	}
	return s
}

func quote(s string) string { return mustJSON(s) }

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
