package translate

import (
	"github.com/sluicehq/sluice/modeldata"
)

// Context is what the moments of one exchange share. The proxy makes it; Request may
// note in it what the answer has to know. It belongs to the exchange's goroutine.
type Context struct {
	Model string          // the model's name at the provider
	Known modeldata.Model // what is known of it; the zero value for an unknown one
	Platform
	Stream bool // the client asked for a stream
	N      int  // choices asked for
	// Carried finds what earlier answers gave to be carried to later requests; nil
	// where nothing is remembered.
	Carried Carried
	// Warnings are what the client is told in X-Sluice-Warning: one sentence each,
	// naming members but quoting no values.
	Warnings []string
	// AnswerTool is the name of the tool that Request made up so that the model answers
	// in a form; its arguments are the answer. Empty for none.
	AnswerTool string
	// Prefix is a digest of the conversation that Request wrote, for thoughts that are
	// bound to it. Empty for none.
	Prefix string
	// ThinkTags says that the model's reasoning stands in its text between <think>
	// tags, and is to be taken out.
	ThinkTags bool
}

// Platform says where a vendor's dialect is spoken when it is not the vendor's own API.
type Platform struct {
	// Platform is one of the Platform constants.
	Platform string
	// Project and Region go into Vertex's and AWS's paths.
	Project, Region string
	// APIVersion goes into Azure's query. Empty means its unversioned form.
	APIVersion string
}

// The platforms.
const (
	PlatformNone    = ""
	PlatformVertex  = "vertex"  // Google Cloud Vertex AI
	PlatformBedrock = "bedrock" // Amazon Bedrock's InvokeModel
)

// Warn notes what the client is to know. The same words are noted once.
func (c *Context) Warn(text string) {
	for _, known := range c.Warnings {
		if known == text {
			return
		}
	}
	c.Warnings = append(c.Warnings, text)
}

// Carried is the memory of what must come back to a provider and what chat clients
// drop: signatures of thoughts. It is safe for concurrent use, bounded, and scoped to
// the client and provider of the exchange.
type Carried interface {
	// Keep remembers raw, an object, for the tool call with this id. It copies raw.
	Keep(callID, raw string)
	// Find returns what was kept, "" if that is forgotten.
	Find(callID string) string
}
