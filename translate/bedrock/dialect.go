// Package bedrock speaks Amazon Bedrock's Converse and ConverseStream operations, which
// are the same for all models that Bedrock hosts.
//
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
package bedrock

import (
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Dialect is the Converse API of Bedrock's runtime endpoints.
type Dialect struct{}

var _ translate.Dialect = Dialect{}

// Path implements translate.Dialect.
func (Dialect) Path(c *translate.Context) string {
	path := wire.AppendAWSSegment([]byte("/model/"), c.Model)
	path = append(path, "/converse"...)
	if c.Stream {
		path = append(path, "-stream"...)
	}
	return string(path)
}

// Framing implements translate.Dialect. Bedrock sends frames; gateways in front of it
// send the same events as server-sent events.
func (Dialect) Framing(media string) (translate.Framing, bool) {
	switch media {
	case "application/vnd.amazon.eventstream":
		return translate.FramingAWS, true
	case "text/event-stream":
		return translate.FramingSSE, true
	case "application/json":
		return translate.FramingNone, true
	}
	return translate.FramingNone, false
}

// Models implements translate.Dialect. Models are listed by Bedrock's control plane,
// which is at another host.
func (Dialect) Models(*translate.Context) string { return "" }

// ModelNames implements translate.Dialect.
func (Dialect) ModelNames([]byte) []string { return nil }

// Rules implements translate.Dialect.
func (Dialect) Rules() translate.Rules { return rules }

var rules = translate.Rules{
	"messages":        translate.Translated,
	"tools":           translate.Translated,
	"functions":       translate.Translated,
	"tool_choice":     translate.Translated,
	"function_call":   translate.Translated,
	"response_format": translate.Translated,

	"reasoning_effort":      translate.Translated,
	"max_tokens":            translate.Translated,
	"max_completion_tokens": translate.Translated,
	"temperature":           translate.Translated,
	"top_p":                 translate.Translated,
	"stop":                  translate.Translated,
	"service_tier":          translate.Translated,

	"parallel_tool_calls":    translate.Dropped,
	"verbosity":              translate.Dropped,
	"frequency_penalty":      translate.Dropped,
	"presence_penalty":       translate.Dropped,
	"seed":                   translate.Dropped,
	"logprobs":               translate.Dropped,
	"top_logprobs":           translate.Dropped,
	"logit_bias":             translate.Dropped,
	"user":                   translate.Dropped,
	"safety_identifier":      translate.Dropped,
	"metadata":               translate.Dropped,
	"store":                  translate.Dropped,
	"audio":                  translate.Dropped,
	"prediction":             translate.Dropped,
	"prompt_cache_key":       translate.Dropped,
	"prompt_cache_retention": translate.Dropped,

	"n":                  translate.Refused,
	"modalities":         translate.Refused,
	"web_search_options": translate.Refused,
}
