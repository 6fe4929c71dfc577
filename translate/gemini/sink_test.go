package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// memory is a Carried in a map.
type memory map[string]string

func (m memory) Keep(id, raw string)   { m[id] = strings.Clone(raw) }
func (m memory) Find(id string) string { return m[id] }

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
func (c *collector) Text(n int, s string)      { c.choice(n).text += dialecttest.Decoded(s) }
func (c *collector) Reasoning(n int, s string) { c.choice(n).reasoning += dialecttest.Decoded(s) }
func (c *collector) Refusal(int, string)       {}
func (c *collector) Image(n int, s string) {
	c.choice(n).images = append(c.choice(n).images, dialecttest.Decoded(s))
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
	c.choice(n).calls[call].arguments += dialecttest.Decoded(s)
}

func (c *collector) ArgumentsJSON(n, call int, raw string) {
	c.choice(n).calls[call].arguments += string(jsonview.AppendCompact(nil, raw))
}

func (c *collector) Finish(n int, reason, native string) {
	ch := c.choice(n)
	ch.finish, ch.native = reason, strings.Clone(native)
	ch.finishes++
}
