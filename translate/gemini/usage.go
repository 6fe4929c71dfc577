package gemini

import (
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// counts are the numbers of usageMetadata as they stand: running totals, of which the
// last that was stated counts.
type counts struct {
	prompt, toolPrompt, cached, candidates, thoughts, total tokens.Count

	promptAudio, toolPromptAudio, candidatesAudio tokens.Count
}

// maxCount bounds what is believed, so that sums cannot overflow.
const maxCount = 1 << 50

// take notes what a usageMetadata states and tells whether it states anything: on
// Vertex AI it may hold the traffic's type only.
func (c *counts) take(v jsonview.Value) bool {
	stated := false
	for name, member := range v.Members {
		switch name {
		case "promptTokenCount":
			stated = set(&c.prompt, member) || stated
		case "toolUsePromptTokenCount":
			stated = set(&c.toolPrompt, member) || stated
		case "cachedContentTokenCount":
			stated = set(&c.cached, member) || stated
		case "candidatesTokenCount", "responseTokenCount":
			stated = set(&c.candidates, member) || stated
		case "thoughtsTokenCount":
			stated = set(&c.thoughts, member) || stated
		case "totalTokenCount":
			stated = set(&c.total, member) || stated
		case "promptTokensDetails":
			setAudio(&c.promptAudio, member)
		case "toolUsePromptTokensDetails":
			setAudio(&c.toolPromptAudio, member)
		case "candidatesTokensDetails":
			setAudio(&c.candidatesAudio, member)
		}
	}
	return stated
}

// growing appends the counts that grow with the output, as far as there is room for
// them: in the events of a stream, others seldom change.
func growing(dst []jsonview.Value, usage jsonview.Value) []jsonview.Value {
	add := func(v jsonview.Value) {
		if v.IsNumber() && len(dst) < cap(dst) {
			dst = append(dst, v)
		}
	}
	for name, member := range usage.Members {
		switch name {
		case "candidatesTokenCount", "responseTokenCount", "thoughtsTokenCount", "totalTokenCount":
			add(member)
		case "candidatesTokensDetails":
			for _, d := range member.Elements {
				add(d.Get("tokenCount"))
			}
		}
	}
	return dst
}

func set(to *tokens.Count, v jsonview.Value) bool {
	n, ok := v.Int()
	if !ok || n < 0 || n > maxCount {
		return false
	}
	to.Set(n)
	return true
}

func setAudio(to *tokens.Count, details jsonview.Value) {
	for _, d := range details.Elements {
		if d.Get("modality").Is("AUDIO") {
			set(to, d.Get("tokenCount"))
		}
	}
}

// usage is what the counts mean. Thoughts are no part of candidates, cached tokens are
// one of the prompt's, and what the provider's own tools fed to the model is more
// input. A total without candidates means that nothing has come out yet: zero counts
// are not sent.
func (c *counts) usage() tokens.Usage {
	u := tokens.Usage{InputCached: c.cached, OutputReasoning: c.thoughts}
	u.Input = sum(c.prompt, c.toolPrompt)
	if !c.prompt.Known {
		u.Input = tokens.Count{}
	}
	candidates := c.candidates
	if !candidates.Known && c.total.Known {
		candidates.Set(0)
	}
	if candidates.Known {
		u.Output = sum(candidates, c.thoughts)
	}
	u.InputAudio = sum(c.promptAudio, c.toolPromptAudio)
	u.OutputAudio = c.candidatesAudio
	return u
}

// sum adds what is known.
func sum(a, b tokens.Count) tokens.Count {
	if !a.Known || !b.Known {
		return a.Or(b)
	}
	return tokens.Known(a.N + b.N)
}
