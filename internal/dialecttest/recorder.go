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

	numbers map[int][]int // for each choice, where its calls are in Calls
}

// Call is a tool call with all of its arguments, decoded.
type Call struct{ ID, Name, Arguments string }

func (r *Recorder) note(format string, values ...any) {
	r.Lines = append(r.Lines, fmt.Sprintf(format, values...))
}

// noteOf notes what is said of a choice, which is named unless it is the first.
func (r *Recorder) noteOf(choice int, format string, values ...any) {
	if choice != 0 {
		format = fmt.Sprintf("choice %d: ", choice) + format
	}
	r.note(format, values...)
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

func (r *Recorder) text(choice int, to *string, kind, escaped string) {
	r.noteOf(choice, `%s "%s"`, kind, escaped)
	*to += Decoded(escaped)
}

// Text implements translate.Sink.
func (r *Recorder) Text(choice int, escaped string) { r.text(choice, &r.Content, "text", escaped) }

// Reasoning implements translate.Sink.
func (r *Recorder) Reasoning(choice int, escaped string) {
	r.text(choice, &r.Thoughts, "reasoning", escaped)
}

// Refusal implements translate.Sink.
func (r *Recorder) Refusal(choice int, escaped string) { r.noteOf(choice, `refusal "%s"`, escaped) }

// Image implements translate.Sink.
func (r *Recorder) Image(choice int, escapedURL string) { r.noteOf(choice, "image %s", escapedURL) }

// Logprobs implements translate.Sink.
func (r *Recorder) Logprobs(choice int, raw string) { r.noteOf(choice, "logprobs %s", raw) }

// Call implements translate.Sink.
func (r *Recorder) Call(choice int, call translate.Call) int {
	if r.numbers == nil {
		r.numbers = map[int][]int{}
	}
	n := len(r.numbers[choice])
	r.numbers[choice] = append(r.numbers[choice], len(r.Calls))
	r.noteOf(choice, "call %d id=%q name=%q", n, call.ID, call.Name)
	if call.Carry != "" {
		r.noteOf(choice, "call %d carries %s %s", n, call.Vendor, call.Carry)
	}
	r.Calls = append(r.Calls, Call{ID: strings.Clone(call.ID), Name: strings.Clone(call.Name)})
	return n
}

// argue appends to the arguments of a call, if there is one of that number.
func (r *Recorder) argue(choice, call int, text string) {
	if numbers := r.numbers[choice]; call >= 0 && call < len(numbers) {
		r.Calls[numbers[call]].Arguments += text
	}
}

// Arguments implements translate.Sink.
func (r *Recorder) Arguments(choice, call int, escaped string) {
	r.noteOf(choice, `arguments %d "%s"`, call, escaped)
	r.argue(choice, call, Decoded(escaped))
}

// ArgumentsJSON implements translate.Sink.
func (r *Recorder) ArgumentsJSON(choice, call int, raw string) {
	r.noteOf(choice, "arguments %d %s", call, raw)
	r.argue(choice, call, strings.Clone(raw))
}

// Carry implements translate.Sink.
func (r *Recorder) Carry(choice int, vendor, raw string) {
	r.noteOf(choice, "carry %s %s", vendor, raw)
}

// Finish implements translate.Sink.
func (r *Recorder) Finish(choice int, reason, native string) {
	r.noteOf(choice, "finish %s %q", reason, native)
	r.Reason, r.Native = reason, strings.Clone(native)
}

// Usage implements translate.Sink.
func (r *Recorder) Usage(u tokens.Usage, raw string) {
	line := fmt.Sprintf("usage input=%s cached=%s output=%s reasoning=%s", u.Input, u.InputCached, u.Output, u.OutputReasoning)
	if u.InputAudio.Known || u.OutputAudio.Known {
		line += fmt.Sprintf(" audio=%s/%s", u.InputAudio, u.OutputAudio)
	}
	r.note("%s", line)
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
	line := fmt.Sprintf("%d type=%q code=%q param=%q: %s", e.Status, e.Type, e.Code, e.Param, e.Message)
	if e.RetryAfter > 0 {
		line += fmt.Sprintf(" (again after %s)", e.RetryAfter)
	}
	return line
}

// Decoded is the text of the inside of a JSON string. What is none is marked.
func Decoded(escaped string) string {
	var text string
	if json.Unmarshal([]byte(`"`+escaped+`"`), &text) != nil {
		return "<not the inside of a JSON string: " + escaped + ">"
	}
	return text
}
