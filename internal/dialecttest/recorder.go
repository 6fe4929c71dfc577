// Package dialecttest holds what the tests of the dialects have in common.
package dialecttest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// Recorder is a Sink that notes every call on a line of its own, and what the calls
// come to together.
type Recorder struct {
	Lines []string

	ID, Model         string
	Content, Thoughts string // decoded
	Calls             []Call
	Reason, Native    string
	Counts            tokens.Usage
	RawUsage          string
	Failure           *translate.Error
}

// Call is a tool call with all of its arguments, decoded.
type Call struct{ ID, Name, Arguments string }

func (r *Recorder) note(format string, values ...any) {
	r.Lines = append(r.Lines, fmt.Sprintf(format, values...))
}

// Head implements translate.Sink.
func (r *Recorder) Head(id, model string, created int64) {
	r.note("head id=%q model=%q created=%d", id, model, created)
	if r.ID == "" {
		r.ID = strings.Clone(id)
	}
	if r.Model == "" {
		r.Model = strings.Clone(model)
	}
}

// Served implements translate.Sink.
func (r *Recorder) Served(model string) { r.note("served %q", model) }

// Open implements translate.Sink.
func (r *Recorder) Open(choice int) { r.note("open %d", choice) }

func (r *Recorder) text(to *string, kind, escaped string) {
	r.note(`%s "%s"`, kind, escaped)
	*to += Decoded(escaped)
}

// Text implements translate.Sink.
func (r *Recorder) Text(_ int, escaped string) { r.text(&r.Content, "text", escaped) }

// Reasoning implements translate.Sink.
func (r *Recorder) Reasoning(_ int, escaped string) { r.text(&r.Thoughts, "reasoning", escaped) }

// Refusal implements translate.Sink.
func (r *Recorder) Refusal(_ int, escaped string) { r.note(`refusal "%s"`, escaped) }

// Image implements translate.Sink.
func (r *Recorder) Image(_ int, escapedURL string) { r.note("image %s", escapedURL) }

// Logprobs implements translate.Sink.
func (r *Recorder) Logprobs(_ int, raw string) { r.note("logprobs %s", raw) }

// Call implements translate.Sink.
func (r *Recorder) Call(_ int, call translate.Call) int {
	n := len(r.Calls)
	r.note("call %d id=%q name=%q", n, call.ID, call.Name)
	if call.Carry != "" {
		r.note("call %d carries %s %s", n, call.Vendor, call.Carry)
	}
	r.Calls = append(r.Calls, Call{ID: strings.Clone(call.ID), Name: strings.Clone(call.Name)})
	return n
}

// Arguments implements translate.Sink.
func (r *Recorder) Arguments(_, call int, escaped string) {
	r.note(`arguments %d "%s"`, call, escaped)
	if call >= 0 && call < len(r.Calls) {
		r.Calls[call].Arguments += Decoded(escaped)
	}
}

// ArgumentsJSON implements translate.Sink.
func (r *Recorder) ArgumentsJSON(_, call int, raw string) {
	r.note("arguments %d %s", call, raw)
	if call >= 0 && call < len(r.Calls) {
		r.Calls[call].Arguments += strings.Clone(raw)
	}
}

// Carry implements translate.Sink.
func (r *Recorder) Carry(_ int, vendor, raw string) { r.note("carry %s %s", vendor, raw) }

// Finish implements translate.Sink.
func (r *Recorder) Finish(_ int, reason, native string) {
	r.note("finish %s %q", reason, native)
	r.Reason, r.Native = reason, strings.Clone(native)
}

// Usage implements translate.Sink.
func (r *Recorder) Usage(u tokens.Usage, raw string) {
	r.note("usage input=%s cached=%s output=%s reasoning=%s", u.Input, u.InputCached, u.Output, u.OutputReasoning)
	r.Counts = tokens.Merge(r.Counts, u)
	r.RawUsage = strings.Clone(raw)
}

// Fail implements translate.Sink.
func (r *Recorder) Fail(e *translate.Error) {
	r.note("fail %s", ErrorLine(e))
	r.Failure = e
}

// ErrorLine is an error on one line.
func ErrorLine(e *translate.Error) string {
	return fmt.Sprintf("%d type=%q code=%q param=%q: %s", e.Status, e.Type, e.Code, e.Param, e.Message)
}

// Decoded is the text of the inside of a JSON string. What is none is marked.
func Decoded(escaped string) string {
	var text string
	if json.Unmarshal([]byte(`"`+escaped+`"`), &text) != nil {
		return "<not the inside of a JSON string: " + escaped + ">"
	}
	return text
}
