package simulator

import (
	"encoding/json"
	"slices"
	"strings"
)

// tokensOfMedia is what an image, a sound or a file in a prompt counts.
const tokensOfMedia = 85

type chatRequest struct {
	generation
	Messages            []message       `json:"messages"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Tools               []tool          `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	ResponseFormat      *responseFormat `json:"response_format"`
}

type message struct {
	Role      string     `json:"role"`
	Name      string     `json:"name"`
	Content   content    `json:"content"`
	ToolCalls []toolCall `json:"tool_calls"`
}

type toolCall struct {
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// content is the text of a message, which comes as a string or in parts.
type content struct {
	text  string
	media int // parts that are no text
}

type contentPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (c *content) UnmarshalJSON(raw []byte) error {
	var whole *string
	if json.Unmarshal(raw, &whole) == nil {
		if whole != nil {
			c.text = *whole
		}
		return nil
	}
	var parts []contentPart
	if json.Unmarshal(raw, &parts) != nil {
		return errNotTexts
	}
	for _, p := range parts {
		if p.Type == "text" {
			c.text += p.Text
		} else {
			c.media++
		}
	}
	return nil
}

var roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

func (q *chatRequest) check() *failure {
	if f := q.generation.check(); f != nil {
		return f
	}
	if len(q.Messages) == 0 {
		return invalid("messages", "messages must be a list with at least one message.")
	}
	for _, m := range q.Messages {
		if !slices.Contains(roles, m.Role) {
			return invalid("messages", "A message has no known role.")
		}
	}
	if q.MaxCompletionTokens != nil && *q.MaxCompletionTokens < 1 {
		return invalid("max_completion_tokens", "max_completion_tokens must be at least 1.")
	}
	for _, t := range q.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return invalid("tools", "Every tool must be a function with a name.")
		}
	}
	if f := q.checkFormat(); f != nil {
		return f
	}
	_, f := q.toolChoice()
	return f
}

func (q *chatRequest) checkFormat() *failure {
	if q.ResponseFormat == nil {
		return nil
	}
	switch q.ResponseFormat.Type {
	case "text", "json_object":
		return nil
	case "json_schema":
		if q.ResponseFormat.JSONSchema.Name == "" {
			return invalid("response_format.json_schema.name", "json_schema needs a name.")
		}
		return nil
	}
	return invalid("response_format.type", "response_format must be text, json_object or json_schema.")
}

// limit is the most tokens an answer may have; 0 is no limit.
func (q *chatRequest) limit() int {
	for _, m := range []*int{q.MaxCompletionTokens, q.MaxTokens} {
		if m != nil {
			return *m
		}
	}
	return 0
}

// choice says whether tools are to be called: by name, at all, or as the model likes.
type choice struct {
	never, must bool
	named       string
}

func (q *chatRequest) toolChoice() (choice, *failure) {
	if len(q.ToolChoice) == 0 || string(q.ToolChoice) == "null" {
		return choice{}, nil
	}
	var word string
	if json.Unmarshal(q.ToolChoice, &word) == nil {
		switch {
		case word == "none":
			return choice{never: true}, nil
		case len(q.Tools) == 0:
			return choice{}, invalid("tool_choice", "tool_choice is only allowed when tools are specified.")
		case word == "auto":
			return choice{}, nil
		case word == "required":
			return choice{must: true}, nil
		}
		return choice{}, invalid("tool_choice", "tool_choice must be none, auto, required or a named function.")
	}
	var named tool
	if json.Unmarshal(q.ToolChoice, &named) != nil || named.Type != "function" ||
		!slices.ContainsFunc(q.Tools, func(t tool) bool { return t.Function.Name == named.Function.Name }) {
		return choice{}, invalid("tool_choice", "tool_choice must be none, auto, required or one of the given functions.")
	}
	return choice{must: true, named: named.Function.Name}, nil
}

// lastUserText is what the answer is chosen by.
func (q *chatRequest) lastUserText() string {
	for _, m := range slices.Backward(q.Messages) {
		if m.Role == "user" {
			return m.Content.text
		}
	}
	return ""
}

// hasFreshToolResult reports whether a tool has spoken last.
func (q *chatRequest) hasFreshToolResult() bool {
	role := q.Messages[len(q.Messages)-1].Role
	return role == "tool" || role == "function"
}

// calledTools are the functions an answer calls.
func (q *chatRequest) calledTools(eager bool) []function {
	c, _ := q.toolChoice()
	if len(q.Tools) == 0 || c.never || (!c.must && (!eager || q.hasFreshToolResult())) {
		return nil
	}
	var called []function
	for _, t := range q.Tools {
		if c.named == t.Function.Name || (c.named == "" && strings.Contains(q.lastUserText(), t.Function.Name)) {
			called = append(called, t.Function)
		}
	}
	if len(called) == 0 {
		called = []function{q.Tools[0].Function}
	}
	if c.named != "" || (q.ParallelToolCalls != nil && !*q.ParallelToolCalls) {
		called = called[:1]
	}
	return called
}

// promptTokens counts what the caller sent.
func (q *chatRequest) promptTokens() int {
	n := 0
	for _, m := range q.Messages {
		n += countTokens(m.Content.text) + countTokens(m.Name) + m.Content.media*tokensOfMedia
		for _, c := range m.ToolCalls {
			n += countTokens(c.Function.Name) + countTokens(c.Function.Arguments)
		}
	}
	for _, t := range q.Tools {
		n += countTokens(t.Function.Name) + countTokens(t.Function.Description) + countTokens(string(t.Function.Parameters))
	}
	if q.ResponseFormat != nil {
		n += countTokens(string(q.ResponseFormat.JSONSchema.Schema))
	}
	return n
}
