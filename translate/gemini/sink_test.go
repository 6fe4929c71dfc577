package gemini_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// transcript is a Sink that writes down what it is told, a line for each word.
type transcript struct {
	lines   []string
	calls   map[int]int
	failure *translate.Error
}

func (s *transcript) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *transcript) String() string { return strings.Join(s.lines, "\n") + "\n" }

func (s *transcript) Head(id, model string, created int64) {
	s.add("head id=%s model=%s created=%d", id, model, created)
}
func (s *transcript) Served(model string)                { s.add("served %s", model) }
func (s *transcript) Open(choice int)                    { s.add("%d open", choice) }
func (s *transcript) Text(choice int, text string)       { s.add(`%d text "%s"`, choice, text) }
func (s *transcript) Reasoning(choice int, text string)  { s.add(`%d reasoning "%s"`, choice, text) }
func (s *transcript) Refusal(choice int, text string)    { s.add(`%d refusal "%s"`, choice, text) }
func (s *transcript) Image(choice int, url string)       { s.add(`%d image "%s"`, choice, url) }
func (s *transcript) Logprobs(choice int, raw string)    { s.add("%d logprobs %s", choice, raw) }
func (s *transcript) Carry(choice int, vendor, r string) { s.add("%d carry %s %s", choice, vendor, r) }

func (s *transcript) Call(choice int, call translate.Call) int {
	if s.calls == nil {
		s.calls = make(map[int]int)
	}
	number := s.calls[choice]
	s.calls[choice]++
	line := fmt.Sprintf("%d call %d id=%s name=%s", choice, number, call.ID, call.Name)
	if call.Carry != "" {
		line += " " + call.Vendor + call.Carry
	}
	s.lines = append(s.lines, line)
	return number
}

func (s *transcript) Arguments(choice, call int, escaped string) {
	s.add(`%d arguments %d "%s"`, choice, call, escaped)
}

func (s *transcript) ArgumentsJSON(choice, call int, raw string) {
	s.add("%d arguments %d %s", choice, call, jsonview.AppendCompact(nil, raw))
}

func (s *transcript) Finish(choice int, reason, native string) {
	s.add("%d finish %s (%s)", choice, reason, native)
}

func (s *transcript) Usage(u tokens.Usage, _ string) {
	line := "usage"
	for _, c := range []struct {
		name string
		n    tokens.Count
	}{
		{"input", u.Input},
		{"cached", u.InputCached},
		{"written", u.InputCacheWrite},
		{"input_audio", u.InputAudio},
		{"output", u.Output},
		{"reasoning", u.OutputReasoning},
		{"output_audio", u.OutputAudio},
	} {
		if c.n.Known {
			line += " " + c.name + "=" + strconv.FormatInt(c.n.N, 10)
		}
	}
	s.lines = append(s.lines, line)
}

func (s *transcript) Fail(e *translate.Error) {
	s.failure = e
	s.add("fail %d %s %s %q retry=%s", e.Status, e.Type, e.Code, e.Message, e.RetryAfter)
}

// memory is a Carried in a map.
type memory map[string]string

func (m memory) Keep(id, raw string)   { m[id] = strings.Clone(raw) }
func (m memory) Find(id string) string { return m[id] }
func progress(p translate.Progress) string {
	return [...]string{"more", "complete", "failed", "malformed"}[p]
}

// collected is what a client makes of an answer.
type collected struct {
	text, reasoning string
	images          []string
	calls           []collectedCall
	finish, native  string
	finishes        int
	carry           string
}

type collectedCall struct {
	id, name, arguments, carry string
}

// collector is a Sink that puts an answer together.
type collector struct {
	id, model string
	choices   map[int]*collected
	usage     tokens.Usage
	failure   *translate.Error
}

func (c *collector) choice(n int) *collected {
	if c.choices == nil {
		c.choices = make(map[int]*collected)
	}
	if c.choices[n] == nil {
		c.choices[n] = &collected{}
	}
	return c.choices[n]
}

// unquoted decodes the inside of a JSON string.
func unquoted(escaped string) string {
	var s string
	if err := json.Unmarshal([]byte(`"`+escaped+`"`), &s); err != nil {
		panic("no inside of a JSON string: " + escaped)
	}
	return s
}

func (c *collector) Head(id, model string, _ int64) {
	if c.id == "" {
		c.id = id
	}
	if c.model == "" {
		c.model = model
	}
}
func (c *collector) Served(model string)       { c.model = model }
func (c *collector) Open(n int)                { c.choice(n) }
func (c *collector) Text(n int, s string)      { c.choice(n).text += unquoted(s) }
func (c *collector) Reasoning(n int, s string) { c.choice(n).reasoning += unquoted(s) }
func (c *collector) Refusal(int, string)       {}
func (c *collector) Image(n int, s string) {
	c.choice(n).images = append(c.choice(n).images, unquoted(s))
}
func (c *collector) Logprobs(int, string)           {}
func (c *collector) Carry(n int, _, raw string)     { c.choice(n).carry = strings.Clone(raw) }
func (c *collector) Fail(e *translate.Error)        { c.failure = e }
func (c *collector) Usage(u tokens.Usage, _ string) { c.usage = u }

func (c *collector) Call(n int, call translate.Call) int {
	ch := c.choice(n)
	ch.calls = append(ch.calls, collectedCall{id: call.ID, name: call.Name, carry: call.Carry})
	return len(ch.calls) - 1
}

func (c *collector) Arguments(n, call int, s string) {
	c.choice(n).calls[call].arguments += unquoted(s)
}

func (c *collector) ArgumentsJSON(n, call int, raw string) {
	c.choice(n).calls[call].arguments += string(jsonview.AppendCompact(nil, raw))
}

func (c *collector) Finish(n int, reason, native string) {
	ch := c.choice(n)
	ch.finish, ch.native = reason, strings.Clone(native)
	ch.finishes++
}
