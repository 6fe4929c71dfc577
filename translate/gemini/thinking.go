package gemini

import (
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// efforts are OpenAI's words for how much to think, the least first.
var efforts = [...]string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

const effortNone = "none"

// thinking asks for as much reasoning as the client wants. Thoughts are asked for only
// where an effort is: models that cannot think refuse the question, and clients that
// said nothing of reasoning expect none.
func (r *request) thinking() {
	effort := r.chat.Effort
	if effort == "" || !r.takes("reasoning_effort") {
		return
	}
	var w writer
	w.open('{')
	known := &r.c.Known.Reasoning
	var ok bool
	switch known.Style {
	case modeldata.StyleBudget:
		var tokens int64
		if tokens, ok = budget(known, effort); ok {
			w.key("thinkingBudget")
			w.number(tokens)
		}
	case modeldata.StyleLevel:
		var word string
		if word, ok = level(known, effort); ok {
			w.textMember("thinkingLevel", word)
		}
	default:
		r.c.Warn("'reasoning_effort' was dropped: it is not known how this model is told how much to think.")
		return
	}
	if !ok {
		r.fail(translate.InvalidType("reasoning_effort", "one of none, minimal, low, medium, high, xhigh and max"))
		return
	}
	if effort != effortNone {
		w.member("includeThoughts", "true")
	}
	w.close('}')
	r.out.member("thinkingConfig", string(w.b))
}

// budget is the tokens for an effort. A model that can be told not to think gets 0 for
// none, whatever its smallest budget.
func budget(known *modeldata.Reasoning, effort string) (int64, bool) {
	tokens, ok := nearest(known.Budgets, effort)
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
func level(known *modeldata.Reasoning, effort string) (string, bool) {
	if effort == effortNone && known.Off != "" {
		return known.Off, true
	}
	return nearest(known.Words, effort)
}

// nearest looks an effort up. One that is not there is taken for the nearest that is,
// of two the lesser, but thinking is never taken for not thinking.
func nearest[T any](known map[string]T, effort string) (found T, ok bool) {
	if found, ok = known[effort]; ok {
		return found, true
	}
	wanted := -1
	for i, word := range efforts {
		if word == effort {
			wanted = i
		}
	}
	if wanted < 0 {
		return found, false
	}
	best := len(efforts)
	for i, word := range efforts {
		distance := max(wanted-i, i-wanted)
		if value, stated := known[word]; stated && word != effortNone && distance < best {
			found, best, ok = value, distance, true
		}
	}
	return found, ok
}
