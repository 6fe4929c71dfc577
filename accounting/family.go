package accounting

import (
	"slices"
	"strings"

	"github.com/tiktoken-go/tokenizer"
)

// modelFamily is what models of one line have in common when their tokens are counted: the
// vocabulary, and what their chat format adds to the texts.
type modelFamily struct {
	// name is what Basis shows.
	name string
	// models are patterns of model names; see matches.
	models     []string
	vocabulary *vocabulary
	chat       chatCost
	tools      toolCost
	answer     answerCost
	images     imageRule
	reasoning  reasoningView
}

// chatCost is what a chat format adds around the texts of a prompt, in tokens.
type chatCost struct {
	// opening is added once: what begins the prompt and what opens the answer, and a
	// system prompt that the provider puts in front unasked.
	opening float64
	// The marks around a message, by its role; system is that of developer too.
	user, assistant, system, tool float64
	// name is for the name of a participant.
	name float64
	// thinking is added where the request asks the model to think.
	thinking float64
}

// everyRole is the cost of a format that marks all messages alike.
func everyRole(opening, message float64) chatCost {
	return chatCost{opening: opening, user: message, assistant: message, system: message, tool: message}
}

// toolCost is what the definitions of tools take in a prompt.
type toolCost struct {
	style toolStyle
	// schema is what the parts of a definition take besides their texts, in toolsAsTypes.
	schema schemaCost
	// some is added once if there are any: the instructions for using them. each is added
	// for every tool.
	some, each float64
}

// toolStyle is the notation in which a model is shown its tools.
type toolStyle uint8

const (
	toolsAsTypes toolStyle = iota // names, types and comments
	toolsAsJSON                   // the JSON text of the definition
)

// answerCost is what a model writes beside the text that its provider shows, in tokens.
type answerCost struct {
	// end is for an answer that the model itself ended. formatted is added where the
	// request has tools or wants a form.
	end, formatted float64
	// call is for the marks of a tool call, without its name and its arguments. Where
	// several calls are wrapped, wrapping is added once and wrapped takes the place of call.
	call, wrapping, wrapped float64
	// think is for the marks around reasoning that is shown.
	think float64
	// unseen is for the same marks of a model that always thinks and does not show it.
	unseen float64
}

// reasoningView says what is to be seen of a family's reasoning.
type reasoningView uint8

const (
	reasoningShown    reasoningView = iota // as it was, or there is none
	reasoningOptional                      // summarised, where the model was asked to reason
	reasoningHidden                        // hidden or summarised, and there may always be some
)

// promptCall is what a tool call takes that a prompt repeats from an earlier answer.
func (f *modelFamily) promptCall() float64 {
	if f.tools.style == toolsAsTypes {
		return 3 // the cookbook gives no number; it counts like a message
	}
	return f.answer.call
}

// vocabularies that several families share.
var (
	o200k  = &vocabulary{encoding: tokenizer.O200kBase}
	cl100k = &vocabulary{encoding: tokenizer.Cl100kBase}
	likely = &vocabulary{encoding: tokenizer.O200kBase, assumed: true}
)

// familyOf finds the family of a model by its name; known is false for a name that tells
// nothing, which gets unknownFamily.
func familyOf(model string) (f *modelFamily, known bool) {
	full, bare := strings.ToLower(model), bareModel(model)
	if full != "" {
		for i := range families {
			if families[i].matches(full, bare) {
				return &families[i], true
			}
		}
	}
	return &unknownFamily, false
}

// matches reports whether a model belongs to the family. A pattern is the beginning of
// the model's own name; with a star in front it may stand anywhere in the full one.
func (f *modelFamily) matches(full, bare string) bool {
	return slices.ContainsFunc(f.models, func(pattern string) bool {
		if anywhere, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.Contains(full, anywhere)
		}
		return strings.HasPrefix(bare, pattern)
	})
}

// bareModel strips what stands in front of a model's own name: "provider/", the
// "region.vendor." of Bedrock, and the "ft:" of a fine-tuned one.
func bareModel(model string) string {
	name := strings.ToLower(model)
	if slash := strings.LastIndexByte(name, '/'); slash >= 0 {
		name = name[slash+1:]
	}
	for {
		owner, rest, ok := strings.Cut(name, ".")
		if !ok || owner == "" || strings.Trim(owner, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return strings.TrimPrefix(name, "ft:")
		}
		name = rest
	}
}

// Basis says what a model's tokens are counted with: "o200k_base" or "cl100k_base" for
// models of which that is the own vocabulary, "calibrated:" and a family for those whose
// vocabulary is imitated by a rule that was measured, and "assumed:o200k_base" for models
// whose vocabulary nobody has published, and for a name that tells nothing.
func (*Estimator) Basis(model string) string {
	f, _ := familyOf(model)
	return f.vocabulary.basis(f.name)
}

// BestModelName returns the first name that tells which family a model is of, and the
// first of all where none does. A deployment has any name its owner likes; what the answer
// says of its model may help then.
func BestModelName(names ...string) string {
	for _, name := range names {
		if _, known := familyOf(name); known {
			return name
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// MayHideReasoning reports whether the model may have reasoned without showing it, or
// shown no more than a summary. What an estimate says of its output is then a lower bound:
// from what never came nothing can be counted.
func (*Estimator) MayHideReasoning(model string, text OutputText) bool {
	switch f, _ := familyOf(model); f.reasoning {
	case reasoningHidden:
		return true
	case reasoningOptional:
		return len(text.Reasoning) > 0
	}
	return false
}
