// Package recordings reads recorded answers of providers in the most straightforward
// way, with encoding/json and nothing of the product's own parsers, so that what
// becomes of the same bytes on their way through sluice can be held against it.
//
// The recordings lie outside the repository. Where they are absent, tests are skipped.
package recordings

import (
	"slices"
	"testing"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Recording is one recorded answer with what it says.
type Recording struct {
	fakeprovider.Capture
	// Reading is nil where the format is none that this package reads: that of a model
	// behind Bedrock's InvokeModel that is not Claude, and of an API not in APIs.
	Reading *Reading
}

// APIs are the formats that this package reads.
var APIs = []string{
	"openai-chat", "anthropic-messages", "gemini-generate", "cohere-v2", "ollama-chat",
	"bedrock-converse", "bedrock-converse-json", "bedrock-invoke",
}

// Load reads the recordings of the given formats, all of APIs without any, in a folder
// beside the repository. A recording that cannot be read fails the test; without the
// folder it is skipped, saying so.
func Load(tb testing.TB, folder string, api ...string) []Recording {
	tb.Helper()
	if len(api) == 0 {
		api = APIs
	}
	var all []Recording
	for _, c := range fakeprovider.Captures(tb, folder, api...) {
		r, err := Read(c)
		if err != nil {
			tb.Errorf("reading the recording %s/%s: %v", c.Provider, c.Name, err)
		}
		all = append(all, Recording{Capture: c, Reading: r})
	}
	return all
}

// Name is the path of the recording in its folder, for the names of subtests.
func (r Recording) Name() string { return r.Provider + "/" + r.Capture.Name }

// ContentType is the media type that the answer came with, or would have.
func (r Recording) ContentType() string {
	if recorded := r.Meta.Headers["content-type"]; recorded != "" {
		return recorded
	}
	return map[string]string{
		"sse": "text/event-stream", "ndjson": "application/x-ndjson", "eventstream": "application/vnd.amazon.eventstream",
	}[r.Meta.Container]
}

// Read reads a recording. It returns nil for a format that it does not know.
func Read(c fakeprovider.Capture) (*Reading, error) {
	if !slices.Contains(APIs, c.Meta.API) {
		return nil, nil
	}
	r := newReading(c.Meta.Status)
	if c.Meta.Status >= 400 {
		r.Message = messageIn(c.Response)
		return r, nil
	}
	var err error
	switch c.Meta.API {
	case "openai-chat":
		err = r.chat(c.Response)
	case "anthropic-messages":
		err = r.anthropicSSE(c.Response)
	case "gemini-generate":
		err = r.gemini(c.Response, c.Meta.Container == "json-array")
	case "cohere-v2":
		err = r.cohere(c.Response)
	case "ollama-chat":
		err = r.ollama(c.Response)
	case "bedrock-converse":
		err = r.converse(c.Response)
	case "bedrock-converse-json":
		err = r.converseJSON(c.Response)
	case "bedrock-invoke":
		var claude bool
		if claude, err = r.invoke(c.Response); !claude {
			return nil, err
		}
	}
	r.settle()
	return r, err
}
