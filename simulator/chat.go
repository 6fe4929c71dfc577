package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

const fingerprint = "fp_sluice_simulator"

var jsonNull = json.RawMessage("null")

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var q chatRequest
	if f := readJSON(w, r, &q); f != nil {
		fail(w, f)
		return
	}
	m, f := findModel(q.Model, false)
	if f == nil {
		f = q.check()
	}
	if f != nil {
		fail(w, f)
		return
	}
	a := s.planChat(&q, m)
	s.respond(w, r, &q.generation, a, &chatForm{a: a, nulls: q.includeUsage()})
}

// chatForm writes chat.completion and chat.completion.chunk objects.
type chatForm struct {
	a     *answer
	nulls bool // usage is null beside choices, because totals will follow
}

type chatChunk struct {
	ID          string          `json:"id"`
	Object      string          `json:"object"`
	Created     int64           `json:"created"`
	Model       string          `json:"model"`
	Fingerprint string          `json:"system_fingerprint"`
	Choices     []chunkChoice   `json:"choices"`
	Usage       json.RawMessage `json:"usage,omitempty"`
}

type chunkChoice struct {
	Index    int             `json:"index"`
	Delta    delta           `json:"delta"`
	Logprobs json.RawMessage `json:"logprobs"`
	Finish   *string         `json:"finish_reason"`
}

type delta struct {
	Role      string          `json:"role,omitempty"`
	Content   json.RawMessage `json:"content,omitempty"`
	Reasoning string          `json:"reasoning_content,omitempty"`
	ToolCalls []callDelta     `json:"tool_calls,omitempty"`
}

type callDelta struct {
	Index    int          `json:"index"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function callFunction `json:"function"`
}

type callFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func (f *chatForm) chunk(choices ...chunkChoice) *chatChunk {
	c := &chatChunk{
		ID: f.a.id, Object: "chat.completion.chunk", Created: f.a.created, Model: f.a.model,
		Fingerprint: fingerprint, Choices: choices,
	}
	if f.nulls {
		c.Usage = jsonNull
	}
	return c
}

func (f *chatForm) opening(i int) any {
	d := delta{Role: "assistant", Content: json.RawMessage(`""`)}
	if steps := f.a.options[i].steps; len(steps) > 0 && steps[0].kind == stepCall {
		d.Content = jsonNull
	}
	return f.chunk(chunkChoice{Index: i, Delta: d, Logprobs: jsonNull})
}

func (f *chatForm) piece(i int, st step) any {
	var d delta
	switch st.kind {
	case stepText:
		d.Content = encode(st.text)
	case stepReasoning:
		d.Reasoning = st.text
	case stepCall:
		d.ToolCalls = []callDelta{{Index: st.call, ID: st.id, Type: "function", Function: callFunction{Name: st.text}}}
	case stepArgument:
		d.ToolCalls = []callDelta{{Index: st.call, Function: callFunction{Arguments: st.text}}}
	}
	return f.chunk(chunkChoice{Index: i, Delta: d, Logprobs: jsonNull})
}

func (f *chatForm) closing(i int) any {
	return f.chunk(chunkChoice{Index: i, Logprobs: jsonNull, Finish: &f.a.options[i].finish})
}

func (f *chatForm) totals() any {
	c := f.chunk()
	c.Choices, c.Usage = []chunkChoice{}, encode(f.a.usage())
	return c
}

type wholeMessage struct {
	Role      string      `json:"role"`
	Content   *string     `json:"content"`
	Refusal   *string     `json:"refusal"`
	Reasoning string      `json:"reasoning_content,omitempty"`
	ToolCalls []wholeCall `json:"tool_calls,omitempty"`
}

type wholeCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function callFunction `json:"function"`
}

func (f *chatForm) whole() any {
	choices := make([]any, len(f.a.options))
	for i, o := range f.a.options {
		choices[i] = struct {
			Index    int             `json:"index"`
			Message  wholeMessage    `json:"message"`
			Logprobs json.RawMessage `json:"logprobs"`
			Finish   string          `json:"finish_reason"`
		}{i, o.message(), jsonNull, o.finish}
	}
	return struct {
		ID          string `json:"id"`
		Object      string `json:"object"`
		Created     int64  `json:"created"`
		Model       string `json:"model"`
		Choices     []any  `json:"choices"`
		Usage       usage  `json:"usage"`
		Fingerprint string `json:"system_fingerprint"`
	}{f.a.id, "chat.completion", f.a.created, f.a.model, choices, f.a.usage(), fingerprint}
}

// message joins the tokens of an option.
func (o option) message() wholeMessage {
	m := wholeMessage{Role: "assistant"}
	var text, reasoning strings.Builder
	for _, st := range o.steps {
		switch st.kind {
		case stepText:
			text.WriteString(st.text)
		case stepReasoning:
			reasoning.WriteString(st.text)
		case stepCall:
			m.ToolCalls = append(m.ToolCalls, wholeCall{ID: st.id, Type: "function", Function: callFunction{Name: st.text}})
		case stepArgument:
			m.ToolCalls[st.call].Function.Arguments += st.text
		}
	}
	m.Reasoning = reasoning.String()
	if len(m.ToolCalls) == 0 {
		content := text.String()
		m.Content = &content
	}
	return m
}
