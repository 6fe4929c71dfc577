package recordings

import "encoding/json"

// cohereEvent is an event of Cohere's v2 chat stream.
type cohereEvent struct {
	Type  string
	ID    loose
	Index int
	Delta struct {
		Message struct {
			Content orArray[cohereContent]
			Plan    loose               `json:"tool_plan"`
			Call    orArray[cohereCall] `json:"tool_calls"`
		}
		Finish loose `json:"finish_reason"`
		Error  loose
		Usage  cohereUsage
	}
}

type cohereContent struct{ Text, Thinking loose }

type cohereCall struct {
	ID       loose
	Function struct{ Name, Arguments loose }
}

type cohereUsage struct {
	Tokens struct {
		Input  *int64 `json:"input_tokens"`
		Output *int64 `json:"output_tokens"`
	}
	Cached *int64 `json:"cached_tokens"`
}

// orArray is an object where message-start has an empty array.
type orArray[T any] struct{ is T }

// UnmarshalJSON implements json.Unmarshaler.
func (o *orArray[T]) UnmarshalJSON(b []byte) error {
	if isObject(b) {
		return json.Unmarshal(b, &o.is)
	}
	return nil
}

// cohere reads a stream, which message-end makes whole. The plan of the tool calls is
// reasoning. Tokens count, not what is billed.
func (r *Reading) cohere(stream []byte) error {
	data, _ := events(stream)
	return each(data, func(e cohereEvent) bool {
		c := r.choice(0)
		m := e.Delta.Message
		switch e.Type {
		case "message-start":
			r.head(string(e.ID), "")
		case "content-start", "content-delta":
			c.Text += string(m.Content.is.Text)
			c.Reasoning += string(m.Content.is.Thinking)
		case "tool-plan-delta":
			c.Reasoning += string(m.Plan)
		case "tool-call-start":
			c.open(e.Index, string(m.Call.is.ID), string(m.Call.is.Function.Name)).Arguments = string(m.Call.is.Function.Arguments)
		case "tool-call-delta":
			if call := c.numbered(e.Index); call != nil {
				call.Arguments += string(m.Call.is.Function.Arguments)
			}
		case "message-end":
			r.cohereEnd(c, e)
		}
		return !r.Failed
	})
}

func (r *Reading) cohereEnd(c *Choice, e cohereEvent) {
	usage := e.Delta.Usage
	r.count("prompt", usage.Tokens.Input)
	r.count("completion", usage.Tokens.Output)
	r.count("cached", usage.Cached)
	switch native := string(e.Delta.Finish); native {
	case "":
	case "ERROR":
		r.fail(string(e.Delta.Error))
	default:
		r.Whole = true
		c.finish(native, cohereFinish(native))
	}
}

func cohereFinish(native string) string {
	switch native {
	case "MAX_TOKENS":
		return length
	case "TOOL_CALL":
		return toolCalls
	}
	return stop
}
