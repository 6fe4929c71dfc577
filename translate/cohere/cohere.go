// Package cohere is the dialect of Cohere's Chat API, version 2.
//
// Sources: https://docs.cohere.com/reference/chat and /reference/chat-stream for the
// members and events, https://docs.cohere.com/docs/reasoning for thinking, and
// https://docs.cohere.com/docs/structured-outputs.
package cohere

import (
	"github.com/sluicehq/sluice/translate"
)

// Dialect is Cohere's. The base URL ends in /v2.
type Dialect struct{}

var _ translate.Dialect = Dialect{}

// vendor is the name under which Cohere's own data is carried.
const vendor = "cohere"

// Path implements translate.Dialect.
func (Dialect) Path(*translate.Context) string { return "/chat" }

// Models implements translate.Dialect: the list of models exists in version 1 only,
// which is not below the base URL.
func (Dialect) Models(*translate.Context) string { return "" }

// ModelNames implements translate.Dialect.
func (Dialect) ModelNames([]byte) []string { return nil }

// Framing implements translate.Dialect.
func (Dialect) Framing(media string) (translate.Framing, bool) {
	switch media {
	case "text/event-stream":
		return translate.FramingSSE, true
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
	"top_logprobs":           translate.Refused,
	"modalities":             translate.Refused,
	"web_search_options":     translate.Refused,
}
