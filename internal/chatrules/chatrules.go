// Package chatrules judges what a client of the chat completions API is sent, and reads
// it as openai-python, openai-node and openai-go would. It knows nothing of how the
// answer came about, so any dialect's answer can be held against it.
//
// The rules come from the accumulators of those SDKs and from OpenAI's public
// definition of the objects, which the folder schema holds as JSON Schemas together
// with the members that sluice adds.
package chatrules

import (
	"fmt"
	"testing"
)

// Options say what the client asked for, and what is known of the answer.
type Options struct {
	// IncludeUsage: the request had stream_options.include_usage.
	IncludeUsage bool
	// Model is the name that has to be shown; empty for any.
	Model string
	// UsageUnstated: the provider said nothing of usage, so there may be none here.
	UsageUnstated bool
	// Unknown: the answer is a provider's own, mended where SDKs would trip over it. It
	// may have members that OpenAI does not define, lack those that may be null, and have
	// null for optional ones; it may have chunks with neither choices nor usage, among
	// them nameless ones before the first, calls that end with stop, and the provider's
	// own arithmetic. The rest holds all the same.
	Unknown bool
	// Cut: the stream was cut on its way to the client, and need not have an end.
	Cut bool
}

// Answer is what a client has in the end.
type Answer struct {
	ID, Model string
	Created   int64
	Choices   []*Choice // in the order in which they began, which is that of their indices
	// Usage has the counts that were stated, under the names of recordings.Reading:
	// prompt, completion, cached, cache_write and reasoning. nil if there was no usage.
	// RawUsage is all of the object, numbers as json.Number.
	Usage    map[string]int64
	RawUsage map[string]any
	// Outcome and UsageSource are what sluice says of an answer that it ended itself.
	Outcome, UsageSource string
}

// Choice is one of the answers to a request.
type Choice struct {
	Index                    int
	Text, Reasoning, Refusal string
	Calls                    []Call
	Images                   []string       // URLs
	Extra                    map[string]any // extra_content, nil for none
	Logprobs                 int            // tokens of the text that have log probabilities
	Finish                   string         // empty if the choice has not ended
	Native                   string         // the provider's own word for Finish, if shown
}

// Call is a tool call.
type Call struct {
	ID, Name, Arguments string
	Extra               map[string]any // extra_content, nil for none
}

// Stream is an answer that came in chunks.
type Stream struct {
	Answer
	Chunks  int // events with a chunk in them
	Done    bool
	Failure *Failure // the error event, nil for none
}

// Failure is an error object.
type Failure struct{ Message, Type, Param, Code string }

// maxViolations keeps the report of a hopeless answer readable.
const maxViolations = 12

// CheckStream reads the body of an answer of type text/event-stream, and fails the test
// for each rule that it breaks.
func CheckStream(tb testing.TB, body []byte, o Options) *Stream {
	tb.Helper()
	s, violations := ReadStream(body, o)
	report(tb, violations, body)
	return s
}

// CheckAnswer reads a whole chat.completion, and fails the test for each rule that it
// breaks.
func CheckAnswer(tb testing.TB, body []byte, o Options) *Answer {
	tb.Helper()
	a, violations := ReadAnswer(body, o)
	report(tb, violations, body)
	return a
}

// CheckError reads the body of an error status, and fails the test for each rule that
// it breaks.
func CheckError(tb testing.TB, body []byte, o Options) *Failure {
	tb.Helper()
	f, violations := ReadError(body, o)
	report(tb, violations, body)
	return f
}

func report(tb testing.TB, violations []string, body []byte) {
	tb.Helper()
	for i, v := range violations {
		if i == maxViolations {
			tb.Errorf("and %d more", len(violations)-i)
			break
		}
		tb.Error(v)
	}
	if len(violations) > 0 {
		tb.Logf("it was %s", excerpt(string(body), 2000))
	}
}

// excerpt shortens text to about n bytes, its beginning and its end.
func excerpt(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n/2] + " … " + text[len(text)-n/2:]
}

// findings collects what is wrong.
type findings struct{ violations []string }

func (f *findings) add(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
}
