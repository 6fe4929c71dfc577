package recordings

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// Reading is what an answer says.
type Reading struct {
	Status int
	// Message is the provider's own words for an HTTP error or one inside the stream.
	Message string
	// ID and Model are what the provider calls the answer; empty where it does not say.
	// Of several models the last counts: it has written the answer.
	ID, Model string
	Choices   []*Choice // in the order of their index
	// Usage has the counts that the provider stated, nil for none: prompt (all of it),
	// of which cached and cache_write; completion (all of it), of which reasoning. What
	// it said nothing of is absent.
	Usage map[string]int64
	// Whole: the provider ended the answer, and did not fail.
	Whole bool
	// Failed: the provider reported an error inside the stream. What came before stands.
	Failed bool
}

// Choice is one of the answers to a request.
type Choice struct {
	Index                    int
	Text, Reasoning, Refusal string
	Calls                    []Call   // those that the client is to execute
	Images                   []string // pictures as URLs
	// Finish is one of stop, length, tool_calls and content_filter; empty if the choice
	// has not ended. Whether it is stop or tool_calls goes by Calls. HasFinish says whether
	// the provider gave a reason, and Native which.
	Finish    string
	HasFinish bool
	Native    string

	calls []*openCall
}

// Call is a tool call. Arguments are in canonical form if they are JSON, and as they
// came if not. ID is empty where the provider gives none.
type Call struct{ Name, Arguments, ID string }

// openCall is a call that is being read, under the number that the provider gives it.
type openCall struct {
	Call
	number int
}

// The finish reasons of the hub.
const (
	stop          = "stop"
	length        = "length"
	toolCalls     = "tool_calls"
	contentFilter = "content_filter"
)

func newReading(status int) *Reading { return &Reading{Status: status} }

// choice finds a choice, or begins it.
func (r *Reading) choice(index int) *Choice {
	for _, c := range r.Choices {
		if c.Index == index {
			return c
		}
	}
	c := &Choice{Index: index}
	r.Choices = append(r.Choices, c)
	slices.SortFunc(r.Choices, func(a, b *Choice) int { return a.Index - b.Index })
	return c
}

// head notes what the answer is called: the first id, the last model.
func (r *Reading) head(id, model string) {
	if r.ID == "" {
		r.ID = id
	}
	if model != "" {
		r.Model = model
	}
}

// count notes the counts that are stated; a later one replaces an earlier one.
func (r *Reading) count(name string, n *int64) {
	if n == nil {
		return
	}
	if r.Usage == nil {
		r.Usage = map[string]int64{}
	}
	r.Usage[name] = *n
}

func (r *Reading) fail(message string) {
	r.Failed = true
	r.Message = message
}

// finish notes the provider's reason and the hub's word for it.
func (c *Choice) finish(native, word string) {
	c.Native, c.Finish, c.HasFinish = native, word, true
}

// open begins a call under a number of the provider's.
func (c *Choice) open(number int, id, name string) *openCall {
	call := &openCall{Call: Call{ID: id, Name: name}, number: number}
	c.calls = append(c.calls, call)
	return call
}

// numbered finds the latest call with a number, nil if there is none.
func (c *Choice) numbered(number int) *openCall {
	for _, call := range slices.Backward(c.calls) {
		if call.number == number {
			return call
		}
	}
	return nil
}

// settle draws the conclusions that need the whole stream.
func (r *Reading) settle() {
	r.Whole = r.Whole && !r.Failed
	for _, c := range r.Choices {
		switch {
		case c.Finish == "" && !r.Whole:
		case c.Finish == "", c.Finish == stop, c.Finish == toolCalls:
			c.Finish = stop
			if len(c.calls) > 0 {
				c.Finish = toolCalls
			}
		}
		for _, call := range c.calls {
			if strings.TrimSpace(call.Arguments) == "" && c.Finish != "" {
				call.Arguments = "{}"
			}
			call.Arguments = Canonical(call.Arguments)
			c.Calls = append(c.Calls, call.Call)
		}
	}
}

// Canonical writes JSON with sorted members and without spaces, its number literals
// untouched. What is no JSON stays as it is.
func Canonical(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return text
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return text
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// loose is a string that may be null or something else, which is then empty.
type loose string

// UnmarshalJSON implements json.Unmarshaler.
func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = loose(s)
	}
	return nil
}

// isObject reports whether raw is a JSON object.
func isObject(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// stated reports whether raw is there and not null.
func stated(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
