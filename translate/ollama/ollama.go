// Package ollama is the dialect of Ollama's own chat API, /api/chat.
//
// Sources: https://docs.ollama.com/api and its openapi.yaml for the members,
// https://docs.ollama.com/capabilities/thinking, and api/types.go of
// https://github.com/ollama/ollama for what servers read and write beyond that.
package ollama

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Dialect is Ollama's. The base URL ends in /api.
type Dialect struct{}

var _ translate.Dialect = Dialect{}

// Path implements translate.Dialect.
func (Dialect) Path(*translate.Context) string { return "/chat" }

// Models implements translate.Dialect.
func (Dialect) Models(*translate.Context) string { return "/tags" }

// ModelNames implements translate.Dialect.
func (Dialect) ModelNames(body []byte) []string {
	root, ok := jsonview.Parse(body)
	if !ok {
		return nil
	}
	var names []string
	for _, m := range root.Get("models").Elements {
		name := m.Get("name").Text()
		if name == "" {
			name = m.Get("model").Text()
		}
		if name != "" {
			names = append(names, strings.Clone(name))
		}
	}
	return names
}

// Framing implements translate.Dialect. Streams of ollama.com have been seen that call
// themselves application/json; Answer reads those too.
func (Dialect) Framing(media string) (translate.Framing, bool) {
	switch media {
	case "application/x-ndjson", "application/ndjson":
		return translate.FramingLines, true
	case "application/json":
		return translate.FramingNone, true
	}
	return translate.FramingNone, false
}

// Rules implements translate.Dialect.
func (Dialect) Rules() translate.Rules { return rules }

// What is refused would change what the answer is made of.
var rules = translate.Rules{
	"messages":               translate.Translated,
	"tools":                  translate.Translated,
	"functions":              translate.Translated,
	"tool_choice":            translate.Translated,
	"function_call":          translate.Translated,
	"response_format":        translate.Translated,
	"reasoning_effort":       translate.Translated,
	"max_tokens":             translate.Translated,
	"max_completion_tokens":  translate.Translated,
	"temperature":            translate.Translated,
	"top_p":                  translate.Translated,
	"frequency_penalty":      translate.Translated,
	"presence_penalty":       translate.Translated,
	"stop":                   translate.Translated,
	"seed":                   translate.Translated,
	"logprobs":               translate.Translated,
	"top_logprobs":           translate.Translated,
	"parallel_tool_calls":    translate.Dropped, // there may still be several at once
	"logit_bias":             translate.Dropped, // tokens have other numbers
	"verbosity":              translate.Dropped,
	"user":                   translate.Dropped,
	"safety_identifier":      translate.Dropped,
	"service_tier":           translate.Dropped,
	"metadata":               translate.Dropped,
	"store":                  translate.Dropped,
	"audio":                  translate.Dropped,
	"prediction":             translate.Dropped,
	"prompt_cache_key":       translate.Dropped,
	"prompt_cache_retention": translate.Dropped,
	"n":                      translate.Refused,
	"modalities":             translate.Refused,
	"web_search_options":     translate.Refused,
}
