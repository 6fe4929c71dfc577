package anthropic

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// thought is what the request will say of thinking.
type thought struct {
	on     bool   // the model thinks, or may
	kind   string // of the member thinking: enabled, adaptive, disabled or the model's own; empty for none
	budget int64  // tokens, with enabled
	effort string // of output_config, empty for none
}

const (
	minBudget = 1024 // the API refuses less
	// answerRoom in tokens is what a bound of our own making leaves for the answer.
	answerRoom = 4096
)

// What models get of which only the style is known.
var (
	usualBudgets = map[string]int64{"minimal": 1024, "low": 1024, "medium": 4096, "high": 16000}
	usualWords   = map[string]string{"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
)

// planThinking turns reasoning_effort into the model's way to ask for thoughts. A model
// of which nothing is known is taken for a new one: those think adaptively.
func (e *encoder) planThinking() {
	r := e.c.Known.Reasoning
	t := &e.thought
	t.on = r.On || r.Always
	if native := e.native("thinking"); native.Exists() {
		e.planNative(native)
	}
	effort := e.chat.Effort
	if effort == "" || !wire.Takes(e.c, "reasoning_effort") {
		return
	}
	style := r.Style
	if style == modeldata.StyleNone && !wire.IsKnown(e.c.Known) {
		style = modeldata.StyleAdaptive
	}
	if effort == "none" {
		if !r.Always {
			e.planNone()
			return
		}
		e.c.Warn("'reasoning_effort' was raised: this model cannot be told not to think.")
	}
	switch style {
	case modeldata.StyleAdaptive:
		t.effort = nearest(r.Words, usualWords, effort)
		if e.mayThink() {
			t.on, t.kind = true, "adaptive"
			e.makeRoom(usualBudgets["high"])
		}
	case modeldata.StyleEffort:
		t.effort = nearest(r.Words, usualWords, effort)
	case modeldata.StyleBudget:
		if e.mayThink() && e.knowsThoughts() {
			e.planBudget(max(minBudget, r.Min), r.Max, nearest(r.Budgets, usualBudgets, effort))
		}
	default:
		e.dropped("reasoning_effort", "this model does not think")
	}
}

// planNone turns thinking off where it is not off anyway. A model that has a word of its
// own for it still thinks a little.
func (e *encoder) planNone() {
	r := e.c.Known.Reasoning
	e.thought.on = r.Off != ""
	switch {
	case r.Off != "":
		e.thought.kind = r.Off
	case r.On || !wire.IsKnown(e.c.Known):
		e.thought.kind = "disabled"
	}
}

// planNative heeds the member thinking that the client wrote itself.
func (e *encoder) planNative(v jsonview.Value) {
	kind := v.Get("type")
	e.thought.on = kind.IsString() && !kind.Is("disabled")
	if kind.Is("enabled") && e.c.AnswerTool != "" {
		e.refuse("thinking", "this model cannot think and answer in the form of 'response_format' at once")
	}
	if budget, _ := v.Get("budget_tokens").Int(); e.chat.MaxTokens == 0 && budget >= e.maxTokens {
		e.maxTokens = min(budget, 1<<53) + answerRoom
	}
}

// mayThink tells whether the rest of the request allows thoughts. A tool that must be
// called is called without any, and models that take a budget refuse to think then; none
// thinks and continues a text, except for models that think by themselves. The client's
// explicit wish wins over the effort.
func (e *encoder) mayThink() bool {
	if r := e.c.Known.Reasoning; r.On || r.Always {
		return true
	}
	switch {
	case e.c.AnswerTool != "":
		e.c.Warn("'reasoning_effort' turned no thinking on: this model cannot think and answer in the form of 'response_format' at once.")
	case e.choice.forces():
		e.c.Warn("'reasoning_effort' turned no thinking on: this model cannot think while it must call a tool.")
	case e.prefill != nil:
		e.c.Warn("'reasoning_effort' turned no thinking on: this model cannot think and continue an assistant's message.")
	default:
		return true
	}
	return false
}

// knowsThoughts tells whether the thoughts are there that led to the calls whose results
// the model gets. Models that take a budget refuse to go on thinking without.
func (e *encoder) knowsThoughts() bool {
	start := wire.LoopStart(e.chat)
	if start == nil || e.hasThoughts(start) {
		return true
	}
	e.c.Warn("'reasoning_effort' turned no thinking on: what this model thought before it called the tools is not known.")
	return false
}

// planBudget bounds the thoughts. They count as output here as they do at OpenAI, so
// the client's bound holds for both. The answer is left answerRoom, or half the bound
// where that is less.
func (e *encoder) planBudget(least, most, budget int64) {
	if most > 0 {
		budget = min(budget, most)
	}
	budget = max(budget, least)
	e.makeRoom(budget)
	budget = min(budget, max(least, e.maxTokens/2, e.maxTokens-answerRoom))
	if budget >= e.maxTokens {
		e.c.Warn("'reasoning_effort' turned no thinking on: the bound on the output leaves no room for it.")
		return
	}
	e.thought.on, e.thought.kind, e.thought.budget = true, "enabled", budget
}

// makeRoom raises a bound on the output that nobody has set.
func (e *encoder) makeRoom(budget int64) {
	if e.chat.MaxTokens == 0 && e.c.Known.MaxOutput == 0 {
		e.maxTokens = max(e.maxTokens, budget+answerRoom)
	}
}

// nearest is what is known for an effort, else what is usual.
func nearest[V any](known, usual map[string]V, effort string) V {
	v, ok := wire.Nearest(known, effort)
	if !ok {
		v, _ = wire.Nearest(usual, effort)
	}
	return v
}

// thinking writes the member of that name. Newer models leave out the text of their
// thoughts unless they are asked for it.
func (e *encoder) thinking() {
	if e.thought.kind == "" {
		return
	}
	e.o.Name("thinking")
	e.o.Out = append(e.o.Out, `{"type":`...)
	e.o.Out = translate.AppendQuoted(e.o.Out, e.thought.kind)
	switch e.thought.kind {
	case "enabled":
		e.o.Out = append(e.o.Out, `,"budget_tokens":`...)
		e.o.Out = strconv.AppendInt(e.o.Out, e.thought.budget, 10)
	case "adaptive":
		e.o.Out = append(e.o.Out, `,"display":"summarized"`...)
	}
	e.o.Out = append(e.o.Out, '}')
}

// outputConfig writes the effort and the form of the answer.
func (e *encoder) outputConfig() {
	if e.thought.effort == "" && !e.choice.schema {
		return
	}
	e.o.Name("output_config")
	e.o.Out = append(e.o.Out, '{')
	if e.thought.effort != "" {
		e.o.Out = append(e.o.Out, `"effort":`...)
		e.o.Out = translate.AppendQuoted(e.o.Out, e.thought.effort)
	}
	if e.choice.schema {
		if e.thought.effort != "" {
			e.o.Out = append(e.o.Out, ',')
		}
		e.o.Out = append(e.o.Out, `"format":{"type":"json_schema","schema":`...)
		e.o.Out = wire.AppendStrictSchema(e.o.Out, e.chat.Format.Schema)
		e.o.Out = append(e.o.Out, '}')
	}
	e.o.Out = append(e.o.Out, '}')
}
