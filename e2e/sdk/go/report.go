package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/respjson"
)

// enough is how many chunks with text a client reads before it hangs up.
const enough = 2

// seen is what a client saw, printed as one line of JSON for the test that started it.
type seen struct {
	Text         string   `json:"text"`
	Reasoning    string   `json:"reasoning"`
	ToolCalls    []call   `json:"tool_calls"`
	FinishReason string   `json:"finish_reason"`
	Usage        *usage   `json:"usage"`
	UsageMembers int      `json:"usage_members"`
	Chunks       int      `json:"chunks"`
	Models       []string `json:"models"`
	RequestID    string   `json:"request_id"`
	Error        *failure `json:"error"`

	textChunks int
}

type call struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
}

type failure struct {
	Class      string `json:"class"`
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	RetryAfter string `json:"retry_after"`
}

// chunk adds one chunk and tells whether the client has had enough of a long answer.
func (s *seen) chunk(c openai.ChatCompletionChunk) bool {
	s.Chunks++
	s.model(c.Model)
	if c.JSON.Usage.Raw() != "" {
		s.UsageMembers++
	}
	if c.JSON.Usage.Valid() {
		s.Usage = &usage{PromptTokens: c.Usage.PromptTokens, CompletionTokens: c.Usage.CompletionTokens}
	}
	for _, choice := range c.Choices {
		if choice.FinishReason != "" {
			s.FinishReason = choice.FinishReason
		}
		s.Reasoning += extra(choice.Delta.JSON.ExtraFields, "reasoning_content")
		if choice.Delta.Content != "" {
			s.Text += choice.Delta.Content
			s.textChunks++
		}
	}
	return s.textChunks >= enough
}

// whole takes a complete answer, or what the SDK's accumulator made of a stream.
func (s *seen) whole(a openai.ChatCompletion) {
	if len(a.Choices) == 0 {
		return
	}
	choice := a.Choices[0]
	s.Text, s.FinishReason = choice.Message.Content, choice.FinishReason
	s.Reasoning += extra(choice.Message.JSON.ExtraFields, "reasoning_content")
	s.model(a.Model)
	if a.Usage.TotalTokens > 0 {
		s.Usage = &usage{PromptTokens: a.Usage.PromptTokens, CompletionTokens: a.Usage.CompletionTokens}
	}
	for _, c := range choice.Message.ToolCalls {
		s.ToolCalls = append(s.ToolCalls, call{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
}

func (s *seen) model(name string) {
	for _, known := range s.Models {
		if known == name {
			return
		}
	}
	s.Models = append(s.Models, name)
}

// headers keeps the id of the exchange; r is nil if no answer came.
func (s *seen) headers(r *http.Response) {
	if r != nil {
		s.RequestID = r.Header.Get("X-Request-Id")
	}
}

func (s *seen) fail(err error) {
	if err == nil {
		return
	}
	s.Error = &failure{Class: fmt.Sprintf("%T", err), Message: err.Error()}
	if errors.Is(err, context.Canceled) {
		s.Error.Class = "Canceled"
	}
	var refused *openai.Error
	if errors.As(err, &refused) {
		s.Error.Class, s.Error.Status, s.Error.Code, s.Error.Message = "Error", refused.StatusCode, refused.Code, refused.Message
		if refused.Response != nil {
			s.headers(refused.Response)
			s.Error.RetryAfter = refused.Response.Header.Get("Retry-After")
		}
	}
}

// extra is a member that the SDK has no field for.
func extra(fields map[string]respjson.Field, name string) string {
	var text string
	if field, ok := fields[name]; ok {
		_ = json.Unmarshal([]byte(field.Raw()), &text) // null and absent are the same
	}
	return text
}

// report prints what was seen and returns when standard input ends, so that a closed
// connection is the SDK's doing and not that of a process that left.
func report(what any) error {
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
