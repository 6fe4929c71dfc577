package anthropic

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// trace is a Sink that writes down what it is told, a line for each call. Pieces of one
// text or of one call's arguments in a row are joined by |.
type trace struct {
	lines []string
	calls int
}

func (t *trace) add(what string, values ...string) {
	t.lines = append(t.lines, strings.TrimSpace(what+" "+strings.Join(values, " ")))
}

func (t *trace) piece(what, escaped string) {
	if n := len(t.lines); n > 0 && strings.HasPrefix(t.lines[n-1], what+": ") {
		t.lines[n-1] += "|" + escaped
		return
	}
	t.lines = append(t.lines, what+": "+escaped)
}

func (t *trace) Head(id, model string, created int64) {
	t.add("head", id, model, fmt.Sprint(created))
}
func (t *trace) Served(model string)                 { t.add("served", model) }
func (t *trace) Open(choice int)                     { t.add("open", fmt.Sprint(choice)) }
func (t *trace) Text(_ int, escaped string)          { t.piece("text", escaped) }
func (t *trace) Refusal(_ int, s string)             { t.piece("refusal", s) }
func (t *trace) Reasoning(_ int, s string)           { t.piece("reasoning", s) }
func (t *trace) Image(_ int, url string)             { t.add("image", url) }
func (t *trace) Logprobs(_ int, raw string)          { t.add("logprobs", raw) }
func (t *trace) Carry(_ int, v, raw string)          { t.add("carry", v, raw) }
func (t *trace) Finish(_ int, reason, native string) { t.add("finish", reason, native) }
func (t *trace) Fail(e *translate.Error)             { t.add("fail", e.Error(), e.Type+":", e.Message) }

func (t *trace) Call(_ int, call translate.Call) int {
	t.add("call", fmt.Sprint(t.calls), call.ID, call.Name)
	t.calls++
	return t.calls - 1
}

func (t *trace) Arguments(_, call int, escaped string) {
	t.piece(fmt.Sprintf("arguments %d", call), escaped)
}

func (t *trace) ArgumentsJSON(_, call int, raw string) {
	t.piece(fmt.Sprintf("json %d", call), raw)
}

func (t *trace) Usage(u tokens.Usage, raw string) {
	t.add("usage", fmt.Sprintf("input %v cached %v written %v output %v reasoning %v",
		u.Input, u.InputCached, u.InputCacheWrite, u.Output, u.OutputReasoning), raw)
}

func (t *trace) String() string { return strings.Join(t.lines, "\n") }

// message is a Sink that puts the answer together.
type message struct {
	id, model, text, reasoning, refusal, finish, native, carry string

	calls  []messageCall
	usage  tokens.Usage
	failed *translate.Error
}

type messageCall struct{ id, name, arguments string }

func unescape(escaped string) string {
	var s string
	if err := json.Unmarshal([]byte(`"`+escaped+`"`), &s); err != nil {
		return "unreadable: " + escaped
	}
	return s
}

func (m *message) Head(id, model string, _ int64) {
	m.id, m.model = strings.Clone(id), strings.Clone(model)
}
func (m *message) Served(model string)                 { m.model = strings.Clone(model) }
func (m *message) Open(int)                            {}
func (m *message) Text(_ int, s string)                { m.text += unescape(s) }
func (m *message) Refusal(_ int, s string)             { m.refusal += unescape(s) }
func (m *message) Reasoning(_ int, s string)           { m.reasoning += unescape(s) }
func (m *message) Image(int, string)                   {}
func (m *message) Logprobs(int, string)                {}
func (m *message) Carry(_ int, _, raw string)          { m.carry = strings.Clone(raw) }
func (m *message) Finish(_ int, reason, native string) { m.finish, m.native = reason, native }
func (m *message) Fail(e *translate.Error)             { m.failed = e }
func (m *message) Usage(u tokens.Usage, _ string)      { m.usage = u }

func (m *message) Call(_ int, call translate.Call) int {
	m.calls = append(m.calls, messageCall{id: strings.Clone(call.ID), name: strings.Clone(call.Name)})
	return len(m.calls) - 1
}

func (m *message) Arguments(_, call int, escaped string) {
	m.calls[call].arguments += unescape(escaped)
}

func (m *message) ArgumentsJSON(_, call int, raw string) { m.calls[call].arguments += raw }
