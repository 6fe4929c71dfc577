// Package modeldata knows what differs from model to model and ages: limits, ways to
// ask for reasoning, parameters that are refused. The facts are in models.json, which
// an operator can extend or replace.
package modeldata

// Model is what is known of a model. The zero value is a model of which nothing is
// known: it has no limits and refuses nothing. Models of one Table share memory: what
// their slices and maps hold must not be changed.
type Model struct {
	// Context and MaxOutput are limits in tokens; 0 is unknown.
	Context   int64 `json:"context,omitempty"`
	MaxOutput int64 `json:"max_output,omitempty"`

	Reasoning Reasoning `json:"reasoning,omitzero"`
	// Refuses names the members of a chat request that the provider answers with an
	// error for this model.
	Refuses []string `json:"refuses,omitempty"`
	// Traits are the Trait constants that apply.
	Traits []string `json:"traits,omitempty"`
}

// Reasoning is how a model is asked to think.
type Reasoning struct {
	// Style is one of the Style constants.
	Style string `json:"style,omitempty"`
	// Min and Max bound a thinking budget in tokens.
	Min int64 `json:"min,omitempty"`
	Max int64 `json:"max,omitempty"`
	// Budgets gives the tokens for a reasoning effort, and Words the provider's word
	// for it. An effort that is in neither map is taken for the nearest known one.
	// Where a model cannot be told not to think, "none" stands for as little as it can.
	Budgets map[string]int64  `json:"budgets,omitempty"`
	Words   map[string]string `json:"words,omitempty"`
	// On means that the model thinks unless it is told not to; Always, that it cannot
	// be told not to.
	On     bool `json:"on,omitempty"`
	Always bool `json:"always,omitempty"`
	// Off is the provider's word for "do not think" where it differs from the one that
	// its dialect usually has.
	Off string `json:"off,omitempty"`
}

// The ways to ask for reasoning.
const (
	StyleNone     = ""         // unknown, or none
	StyleBudget   = "budget"   // a number of tokens
	StyleAdaptive = "adaptive" // Anthropic's adaptive thinking with an effort
	StyleLevel    = "level"    // a word for how much: Gemini's thinkingLevel, Ollama's think
	StyleEffort   = "effort"   // OpenAI's reasoning_effort, Nova's maxReasoningEffort
)

// What a model has or wants.
const (
	TraitJSONSchema        = "json_schema"          // takes a schema for its answer
	TraitTemperatureOrTopP = "temperature_or_top_p" // refuses both at once
	TraitThoughtSignatures = "thought_signatures"   // refuses tool results without the signature of their call
	TraitOpenAPISchemas    = "openapi_schemas"      // wants schemas in Gemini's OpenAPI subset
	TraitNoPrefill         = "no_prefill"           // refuses an assistant message at the end
	TraitNoForcedTools     = "no_forced_tools"      // refuses to be made to call a tool, or a certain one
	TraitBoundThoughts     = "bound_thoughts"       // refuses thoughts when what was in front of them has changed
)

// Has reports whether a trait applies.
func (m Model) Has(trait string) bool {
	for _, t := range m.Traits {
		if t == trait {
			return true
		}
	}
	return false
}

// Refused reports whether the provider answers the member of a chat request with an
// error for this model.
func (m Model) Refused(member string) bool {
	for _, r := range m.Refuses {
		if r == member {
			return true
		}
	}
	return false
}
