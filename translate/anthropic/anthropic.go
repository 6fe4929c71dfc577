// Package anthropic speaks Anthropic's Messages API to a provider: to Anthropic itself,
// to Claude on Google Cloud's Vertex AI, and to Claude behind Amazon Bedrock's
// InvokeModel.
//
// https://platform.claude.com/docs/en/api/messages
// https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
package anthropic

import (
	"net/url"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Dialect is the Messages API. The platform in the context says where it is spoken.
type Dialect struct{}

var _ translate.Dialect = Dialect{}

// Path is where a message is made: below /v1 of Anthropic and of Vertex AI, and below
// the root of Bedrock's runtime.
func (Dialect) Path(c *translate.Context) string {
	switch c.Platform.Platform {
	case translate.PlatformVertex:
		operation := ":rawPredict"
		if c.Stream {
			operation = ":streamRawPredict"
		}
		return "/projects/" + url.PathEscape(c.Project) + "/locations/" + url.PathEscape(c.Region) +
			"/publishers/anthropic/models/" + url.PathEscape(c.Model) + operation
	case translate.PlatformBedrock:
		operation := "/invoke"
		if c.Stream {
			operation = "/invoke-with-response-stream"
		}
		return string(wire.AppendAWSSegment([]byte("/model/"), c.Model)) + operation
	}
	return "/messages"
}

// Framing knows server-sent events, and AWS's frames on Bedrock.
func (Dialect) Framing(media string) (translate.Framing, bool) {
	switch media {
	case "text/event-stream":
		return translate.FramingSSE, true
	case "application/vnd.amazon.eventstream":
		return translate.FramingAWS, true
	case "application/json":
		return translate.FramingNone, true
	}
	return translate.FramingNone, false
}

// Models lists the models of Anthropic's own API, which has at most 1000 on a page.
func (Dialect) Models(c *translate.Context) string {
	if c.Platform.Platform != translate.PlatformNone {
		return ""
	}
	return "/models?limit=1000"
}

// ModelNames reads {"data":[{"id":…}]}.
func (Dialect) ModelNames(body []byte) []string {
	root, _ := jsonview.Parse(body)
	var names []string
	for _, model := range root.Get("data").Elements {
		if id := model.Get("id").Text(); id != "" {
			names = append(names, strings.Clone(id))
		}
	}
	return names
}

// Rules follow what the Messages API has.
func (Dialect) Rules() translate.Rules { return rules }

var rules = translate.Rules{
	"messages": translate.Translated, "tools": translate.Translated, "functions": translate.Translated,
	"tool_choice": translate.Translated, "function_call": translate.Translated,
	"parallel_tool_calls": translate.Translated, "response_format": translate.Translated,
	"reasoning_effort": translate.Translated,
	"max_tokens":       translate.Translated, "max_completion_tokens": translate.Translated,
	"temperature": translate.Translated, "top_p": translate.Translated, "stop": translate.Translated,
	"user": translate.Translated, "safety_identifier": translate.Translated,

	"verbosity": translate.Dropped, "seed": translate.Dropped, "logit_bias": translate.Dropped,
	"frequency_penalty": translate.Dropped, "presence_penalty": translate.Dropped,
	"logprobs": translate.Dropped, "top_logprobs": translate.Dropped,
	"service_tier": translate.Dropped, "metadata": translate.Dropped, "store": translate.Dropped,
	"prediction": translate.Dropped, "prompt_cache_key": translate.Dropped,
	"prompt_cache_retention": translate.Dropped, "audio": translate.Dropped,

	"n": translate.Refused, "modalities": translate.Refused, "web_search_options": translate.Refused,
}
