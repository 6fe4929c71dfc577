package recordings

import "encoding/json"

// geminiAnswer is an event of a Gemini stream: a whole GenerateContentResponse.
type geminiAnswer struct {
	ResponseID, ModelVersion string
	Candidates               []geminiCandidate
	PromptFeedback           struct{ BlockReason string }
	Usage                    geminiUsage `json:"usageMetadata"`
	Error                    json.RawMessage
}

type geminiCandidate struct {
	Index        int
	FinishReason string
	Content      struct{ Parts []geminiPart }
}

type geminiPart struct {
	Text         string
	Thought      bool
	FunctionCall *geminiCall
	InlineData   struct{ MimeType, Data string }
}

type geminiCall struct {
	ID, Name     string
	Args         json.RawMessage
	PartialArgs  []partialArg
	WillContinue bool
}

type geminiUsage struct {
	Prompt     *int64 `json:"promptTokenCount"`
	Candidates *int64 `json:"candidatesTokenCount"`
	Thoughts   *int64 `json:"thoughtsTokenCount"`
	ToolPrompt *int64 `json:"toolUsePromptTokenCount"`
	Cached     *int64 `json:"cachedContentTokenCount"`
	Total      *int64 `json:"totalTokenCount"`
}

// gemini reads a stream, or the array that takes its place without alt=sse. It has no
// sentinel: the end of the body is the end of the answer, if every candidate has a
// finish reason by then. Of several finish reasons the last counts.
func (r *Reading) gemini(stream []byte, array bool) error {
	data, _ := events(stream)
	if array {
		data = elements(stream)
	}
	var usage geminiUsage
	building := map[*Choice]*partialCall{}
	err := each(data, func(a geminiAnswer) bool {
		r.head(a.ResponseID, a.ModelVersion)
		usage.add(a.Usage)
		if stated(a.Error) {
			r.fail(messageIn(a.Error))
			return false
		}
		for _, c := range a.Candidates {
			r.candidate(c, building)
		}
		if reason := a.PromptFeedback.BlockReason; reason != "" && len(r.Choices) == 0 {
			r.choice(0).finish(reason, contentFilter)
		}
		return true
	})
	r.geminiUsage(usage)
	r.Whole = len(r.Choices) > 0 && !r.Failed
	for _, c := range r.Choices {
		r.Whole = r.Whole && c.HasFinish
	}
	for _, c := range r.Choices {
		if !r.Whole {
			c.Finish = "" // which is held back until the end
		}
	}
	return err
}

func (r *Reading) candidate(candidate geminiCandidate, building map[*Choice]*partialCall) {
	c := r.choice(candidate.Index)
	for _, part := range candidate.Content.Parts {
		switch {
		case part.FunctionCall != nil:
			c.geminiCall(part.FunctionCall, building)
		case part.InlineData.Data != "":
			c.Images = append(c.Images, "data:"+part.InlineData.MimeType+";base64,"+part.InlineData.Data)
		case part.Thought:
			c.Reasoning += part.Text
		default: // empty for what the provider ran itself
			c.Text += part.Text
		}
	}
	if reason := candidate.FinishReason; reason != "" {
		c.finish(reason, geminiFinish(reason))
	}
}

// geminiCall reads a functionCall. Vertex can send one in pieces: a name, then pieces
// of arguments with paths, and an empty one at the end.
func (c *Choice) geminiCall(f *geminiCall, building map[*Choice]*partialCall) {
	if f.Name != "" {
		call := c.open(len(c.calls), f.ID, f.Name)
		if isObject(f.Args) {
			call.Arguments = string(f.Args)
		}
		building[c] = nil
		if f.WillContinue || len(f.PartialArgs) > 0 {
			building[c] = &partialCall{call: call, args: map[string]any{}}
		}
	}
	if p := building[c]; p != nil {
		p.add(f.PartialArgs)
		if !f.WillContinue {
			building[c] = nil
		}
	}
}

func geminiFinish(reason string) string {
	switch reason {
	case "MAX_TOKENS":
		return length
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
		"IMAGE_SAFETY", "IMAGE_RECITATION", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER":
		return contentFilter
	}
	return stop
}

// add takes the numbers that are there, each a total.
func (u *geminiUsage) add(next geminiUsage) {
	for to, from := range map[**int64]*int64{
		&u.Prompt: next.Prompt, &u.Candidates: next.Candidates, &u.Thoughts: next.Thoughts,
		&u.ToolPrompt: next.ToolPrompt, &u.Cached: next.Cached, &u.Total: next.Total,
	} {
		if from != nil {
			*to = from
		}
	}
}

// geminiUsage states the totals: the output is candidates and thoughts, the input has
// what the provider's own tools put into the prompt. A total without candidates says
// that there was no output.
func (r *Reading) geminiUsage(u geminiUsage) {
	if u.Prompt != nil {
		n := *u.Prompt + orZero(u.ToolPrompt)
		r.count("prompt", &n)
	}
	if u.Candidates != nil || u.Total != nil {
		n := orZero(u.Candidates) + orZero(u.Thoughts)
		r.count("completion", &n)
	}
	r.count("cached", u.Cached)
	r.count("reasoning", u.Thoughts)
}
