package bedrock

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// thinking is how the model is asked to think.
type thinking struct {
	fields    []field // for additionalModelRequestFields
	effort    string  // for outputConfig
	sampling  sampling
	maxTokens int64 // 0 for no bound
}

// sampling is what a thinking model lets its client choose of how it is sampled.
type sampling uint8

const (
	free        sampling = iota
	nearlyFixed          // a temperature of 1 and a top_p near to it
	fixed                // nothing, not even to say what is the case anyway
)

type field struct{ name, json string }

// planThinking translates reasoning_effort, which Converse itself knows only for models
// that adapt their thinking to an effort; other models have parameters of their own.
//
// https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
// https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
func (r *request) planThinking() {
	r.thinking.maxTokens = r.chat.MaxTokens
	r.heedNative()
	effort, how := r.chat.Effort, r.c.Known.Reasoning
	if effort == "" {
		return
	}
	switch how.Style {
	case modeldata.StyleBudget:
		r.planBudget(effort, how)
	case modeldata.StyleAdaptive:
		r.planAdaptive(effort, how)
	case modeldata.StyleEffort:
		r.planWord(effort, how)
	default:
		if effort != "none" {
			r.dropEffort("how this model is asked to reason is not known")
		}
	}
}

// heedNative heeds the member thinking that the client wrote itself, in Claude's words.
func (r *request) heedNative() {
	var kind jsonview.Value
	for _, m := range r.chat.Unknown {
		switch m.Name {
		case "thinking":
			kind = m.Value.Get("type")
		case modelFields:
			kind = m.Value.Get("thinking", "type")
		}
	}
	if kind.Is("enabled") && r.c.AnswerTool != "" {
		r.fail(translate.Unsupported("thinking", "this model cannot think and answer in the form of 'response_format' at once"))
	}
	if kind.Is("enabled") || kind.Is("adaptive") {
		r.thinking.sampling = nearlyFixed
	}
}

// mayThink tells whether the rest of the request allows thoughts. Claude refuses them
// beside a tool that must be called or a text that must be continued, except where it
// thinks unasked. What the client asked for in so many words counts for more.
func (r *request) mayThink(how modeldata.Reasoning) bool {
	switch {
	case how.On || how.Always:
		return true
	case r.forcesTool():
		r.c.Warn("'reasoning_effort' turned no thinking on: this model cannot think when it has to call a tool.")
	case r.prefill != nil:
		r.c.Warn("'reasoning_effort' turned no thinking on: this model cannot think when it continues a message.")
	default:
		return true
	}
	return false
}

// knowsThoughts tells whether the thoughts are there that led to the calls whose results
// the model gets. Claude refuses to go on thinking without, where it takes a budget.
func (r *request) knowsThoughts() bool {
	start := wire.LoopStart(r.chat)
	if start == nil || r.hasThoughts(start) {
		return true
	}
	r.c.Warn("'reasoning_effort' turned no thinking on: what this model thought before it called the tools is not known.")
	return false
}

// planPrefill finds out whether there is a text to continue, and refuses it where the
// model would.
func (r *request) planPrefill() {
	r.prefill = wire.Prefill(r.chat)
	if r.prefill != nil && r.c.Known.Has(modeldata.TraitNoPrefill) {
		r.fail(translate.Unsupported(r.prefill.Path, "this model cannot continue a message of the assistant"))
	}
}

func (r *request) dropEffort(why string) {
	r.c.Warn("'reasoning_effort' was dropped: " + why + ".")
}

// planOff is "none": it needs to be said only to models that think unasked.
func (r *request) planOff(how modeldata.Reasoning) {
	switch {
	case how.Always:
		r.dropEffort("this model cannot be told not to reason")
	case how.On:
		word := how.Off
		if word == "" {
			word = "disabled"
		}
		r.thinking.fields = []field{{"thinking", `{"type":` + quoted(word) + `}`}}
	}
}

// planBudget sets a number of tokens for thoughts. It has to be less than the answer's
// bound, which goes for thoughts and answer together; half of it is left to the answer.
func (r *request) planBudget(effort string, how modeldata.Reasoning) {
	if effort == "none" {
		r.planOff(how)
		return
	}
	if !r.mayThink(how) || !r.knowsThoughts() {
		return
	}
	budget, ok := wire.Nearest(how.Budgets, effort)
	if !ok {
		r.dropEffort("how this model is asked to reason is not known")
		return
	}
	if how.Max > 0 {
		budget = min(budget, how.Max)
	}
	budget = max(budget, how.Min)
	if limit := r.chat.MaxTokens; limit > 0 {
		if budget = min(budget, limit/2); budget < max(how.Min, 1) {
			r.dropEffort("the bound on the answer's tokens leaves no room for it")
			return
		}
	} else {
		const answer = 4096 // what older models have for a bound where none is set
		r.thinking.maxTokens = budget + answer
		if r.c.Known.MaxOutput > budget {
			r.thinking.maxTokens = r.c.Known.MaxOutput
		}
	}
	r.thinking.sampling = nearlyFixed
	r.thinking.fields = []field{{"thinking", `{"type":"enabled","budget_tokens":` + strconv.FormatInt(budget, 10) + `}`}}
}

// planAdaptive sets an effort, and asks for thoughts that can be read: some models leave
// them out otherwise.
func (r *request) planAdaptive(effort string, how modeldata.Reasoning) {
	if effort == "none" && !how.Always {
		r.planOff(how)
		return
	}
	word, ok := wire.Nearest(how.Words, effort)
	if !ok {
		r.dropEffort("how this model is asked to reason is not known")
		return
	}
	r.thinking.effort = word
	if r.mayThink(how) {
		r.thinking.sampling = nearlyFixed
		r.thinking.fields = []field{{"thinking", `{"type":"adaptive","display":"summarized"}`}}
	} else if word == "xhigh" || word == "max" { // which are for thinking only
		r.thinking.effort = "high"
	}
}

// planWord passes a word for the effort on to the model.
func (r *request) planWord(effort string, how modeldata.Reasoning) {
	nova := strings.Contains(strings.ToLower(r.c.Model), "nova")
	if effort == "none" && nova {
		return
	}
	word, ok := how.Words[effort]
	if !ok && effort == "none" {
		word = how.Off
	} else if !ok {
		word, _ = wire.Nearest(how.Words, effort)
	}
	switch {
	case word == "":
		r.dropEffort("this model has no word for it")
	case nova:
		r.planNova(word)
	default:
		r.thinking.fields = []field{{"reasoning_effort", quoted(word)}}
	}
}

// planNova sets Nova's maxReasoningEffort, with whose highest value it takes neither a
// bound nor parameters of sampling. A bound that the client set counts for more.
func (r *request) planNova(word string) {
	if word == "high" && r.chat.MaxTokens > 0 {
		word = "medium"
		r.c.Warn("'reasoning_effort' was lowered to medium: this model takes no bound on its tokens above that.")
	}
	if word == "high" {
		r.thinking.sampling = fixed
	}
	r.thinking.fields = []field{{"reasoningConfig", `{"type":"enabled","maxReasoningEffort":` + quoted(word) + `}`}}
}

func quoted(text string) string { return string(translate.AppendQuoted(nil, text)) }
