// Package gemini speaks Google's generateContent as an upstream, in the form of the
// Gemini Developer API and in that of Vertex AI.
//
// Sources: https://ai.google.dev/api/generate-content and
// https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; where
// they differ, what both accept. The wire names are those of proto3's JSON mapping:
// lowerCamelCase, though snake_case is read too.
package gemini

import (
	"net/url"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Dialect is generateContent. The base URL ends in the version of the API: /v1beta for
// the Developer API, /v1 for Vertex AI.
type Dialect struct{}

var _ translate.Dialect = Dialect{}

// Rules implements translate.Dialect.
func (Dialect) Rules() translate.Rules { return rules }

var rules = translate.Rules{
	"messages": translate.Translated, "tools": translate.Translated, "functions": translate.Translated,
	"tool_choice": translate.Translated, "function_call": translate.Translated,
	"response_format": translate.Translated, "reasoning_effort": translate.Translated,
	"max_tokens": translate.Translated, "max_completion_tokens": translate.Translated,
	"temperature": translate.Translated, "top_p": translate.Translated,
	"frequency_penalty": translate.Translated, "presence_penalty": translate.Translated,
	"stop": translate.Translated, "n": translate.Translated, "seed": translate.Translated,
	"logprobs": translate.Translated, "top_logprobs": translate.Translated,
	"modalities": translate.Translated,

	"parallel_tool_calls": translate.Dropped, // it may still call several at once
	"verbosity":           translate.Dropped, "logit_bias": translate.Dropped,
	"user": translate.Dropped, "safety_identifier": translate.Dropped,
	"service_tier": translate.Dropped, "metadata": translate.Dropped, "store": translate.Dropped,
	"prediction": translate.Dropped, "prompt_cache_key": translate.Dropped,
	"prompt_cache_retention": translate.Dropped,

	"audio": translate.Refused, "web_search_options": translate.Refused,
}

// Path implements translate.Dialect.
func (Dialect) Path(c *translate.Context) string {
	method := ":generateContent"
	if c.Stream {
		method = ":streamGenerateContent?alt=sse"
	}
	if c.Platform.Platform != translate.PlatformVertex {
		return "/" + developerModel(c.Model) + method
	}
	return "/projects/" + segment(c.Project) + "/locations/" + segment(c.Region) + "/" + vertexModel(c.Model) + method
}

// developerModel is the resource of a model: models/x, or tunedModels/x.
func developerModel(model string) string {
	if name, ok := strings.CutPrefix(model, "tunedModels/"); ok {
		return "tunedModels/" + segment(name)
	}
	_, name := publisher(model)
	return "models/" + segment(name)
}

// vertexModel is the resource of a model below its location: that of a publisher, or an
// endpoint to which a tuned model was deployed.
func vertexModel(model string) string {
	if name, ok := strings.CutPrefix(model, "endpoints/"); ok {
		return "endpoints/" + segment(name)
	}
	from, name := publisher(model)
	return "publishers/" + from + "/models/" + segment(name)
}

// publisher takes apart publishers/google/models/x, models/x, google/x and x.
func publisher(model string) (from, name string) {
	if rest, ok := strings.CutPrefix(model, "publishers/"); ok {
		from, name, ok = strings.Cut(rest, "/models/")
		if ok && isWord(from) {
			return from, name
		}
		return "google", model
	}
	if name, ok := strings.CutPrefix(model, "models/"); ok {
		return "google", name
	}
	if name, ok := strings.CutPrefix(model, "google/"); ok {
		return "google", name
	}
	return "google", model
}

func isWord(s string) bool {
	for i := range len(s) {
		if !translate.IsWord(s[i]) {
			return false
		}
	}
	return s != ""
}

// segment makes any text one segment of a path. The colon is escaped too, as what
// follows one names the method.
func segment(s string) string {
	if s == "." || s == ".." { // not a name, but a way out of the path
		s = "_"
	}
	return strings.ReplaceAll(url.PathEscape(s), ":", "%3A")
}

// Framing implements translate.Dialect. A body of application/json is an array of what
// would be events, or with errors one object.
func (Dialect) Framing(media string) (translate.Framing, bool) {
	switch media {
	case "text/event-stream":
		return translate.FramingSSE, true
	case "application/json":
		return translate.FramingArray, true
	}
	return translate.FramingNone, false
}

// Models implements translate.Dialect. Vertex AI has no list of what a project may use.
func (Dialect) Models(c *translate.Context) string {
	if c.Platform.Platform == translate.PlatformVertex {
		return ""
	}
	return "/models?pageSize=1000"
}

// ModelNames implements translate.Dialect. Models that only make embeddings or images by
// other methods are left out.
func (Dialect) ModelNames(body []byte) []string {
	root, ok := jsonview.Parse(body)
	if !ok {
		return nil
	}
	var names []string
	for _, model := range root.Get("models").Elements {
		name := strings.TrimPrefix(model.Get("name").Text(), "models/")
		if name != "" && generates(model.Get("supportedGenerationMethods")) {
			names = append(names, strings.Clone(name))
		}
	}
	return names
}

func generates(methods jsonview.Value) bool {
	for _, method := range methods.Elements {
		if method.Is("generateContent") {
			return true
		}
	}
	return !methods.IsArray()
}
