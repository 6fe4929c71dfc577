package gemini

import (
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate/wire"
)

const effortNone = "none"

// thinking asks for as much reasoning as the client wants. Thoughts are asked for only
// where an effort is: models that cannot think refuse the question, and clients that
// said nothing of reasoning expect none.
func (r *request) thinking() {
	effort, known := r.chat.Effort, &r.c.Known.Reasoning
	if effort == "" || !wire.Takes(r.c, "reasoning_effort") {
		return
	}
	w := wire.NewObject(64)
	tokens, budgeted := budget(known, effort)
	word, leveled := level(known, effort)
	switch {
	case known.Style == modeldata.StyleBudget && budgeted:
		w.Int("thinkingBudget", tokens)
	case known.Style == modeldata.StyleLevel && leveled:
		w.Text("thinkingLevel", word)
	default:
		r.c.Warn("'reasoning_effort' was dropped: it is not known how this model is told how much to think.")
		return
	}
	if effort != effortNone {
		w.Bool("includeThoughts", true)
	}
	r.out.Literal("thinkingConfig", string(w.End()))
}

// budget is the tokens for an effort. A model that can be told not to think gets 0 for
// none, whatever its smallest budget.
func budget(known *modeldata.Reasoning, effort string) (tokens int64, ok bool) {
	tokens, ok = wire.Nearest(known.Budgets, effort)
	if effort == effortNone {
		if _, stated := known.Budgets[effortNone]; !stated {
			tokens = 0
		}
		if !known.Always {
			return tokens, true
		}
		ok = true
	}
	tokens = max(tokens, known.Min)
	if known.Max > 0 {
		tokens = min(tokens, known.Max)
	}
	return tokens, ok
}

// level is the word for an effort.
func level(known *modeldata.Reasoning, effort string) (word string, ok bool) {
	if effort == effortNone && known.Off != "" {
		return known.Off, true
	}
	return wire.Nearest(known.Words, effort)
}
