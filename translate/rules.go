package translate

import (
	"strings"
)

// Rule is what becomes of a member of a chat request in another dialect.
type Rule uint8

const (
	// Translated means that the provider has the same, perhaps by another name or for
	// some of the values only.
	Translated Rule = iota + 1
	// Dropped means that the answer is as good without it. The client is warned.
	Dropped
	// Refused means that the client would get something else than it asked for.
	Refused
)

// Rules say for each member of ChatMembers what becomes of it.
type Rules map[string]Rule

// ChatMembers are the members of a chat request for which a dialect must have a rule.
// Those that sluice itself acts on (model, stream, stream_options) are not among them.
var ChatMembers = []string{
	"messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls",
	"response_format", "reasoning_effort", "verbosity", "max_tokens", "max_completion_tokens",
	"temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "n", "seed",
	"logprobs", "top_logprobs", "logit_bias", "user", "safety_identifier", "service_tier",
	"metadata", "store", "modalities", "audio", "prediction", "prompt_cache_key",
	"prompt_cache_retention", "web_search_options",
}

// Apply goes through the members that the client sent: it refuses the first that must
// be refused and warns of those that are dropped, of members below the top level that
// OpenAI does not have, and of results that repeat. Request calls it first.
func (r Rules) Apply(c *Context, chat *Chat) *Error {
	for _, name := range chat.present {
		switch r[name] {
		case Translated:
		case Dropped:
			c.Warn("'" + name + "' was dropped: the provider of this model has nothing like it.")
		default:
			return Unsupported(name, "the provider of this model has nothing like it")
		}
	}
	for _, path := range chat.stray {
		c.Warn("'" + plainPath(path) + "' was dropped: it is unknown.")
	}
	if chat.repeated != "" {
		c.Warn("'" + chat.repeated + "' was dropped: its call has another result.")
	}
	return nil
}

// plainPath makes a path fit for a header: names come from the client.
func plainPath(path string) string {
	const longest = 128
	path = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '\'' {
			return '?'
		}
		return r
	}, path)
	return path[:min(len(path), longest)]
}
