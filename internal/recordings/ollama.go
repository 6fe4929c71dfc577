package recordings

import "encoding/json"

// ollamaLine is a line of Ollama's own chat stream.
type ollamaLine struct {
	Model   string
	Message struct {
		Content, Thinking loose
		Calls             []struct {
			ID       loose
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	Done       bool
	DoneReason string `json:"done_reason"`
	Prompt     *int64 `json:"prompt_eval_count"`
	Output     *int64 `json:"eval_count"`
	Error      json.RawMessage
}

// ollama reads a stream of lines, which the line that says done makes whole. Calls come
// whole.
func (r *Reading) ollama(stream []byte) error {
	return each(lines(stream), func(l ollamaLine) bool {
		r.head("", l.Model)
		r.count("prompt", l.Prompt)
		r.count("completion", l.Output)
		if stated(l.Error) {
			r.fail(messageIn(l.Error))
			return false
		}
		c := r.choice(0)
		c.Text += string(l.Message.Content)
		c.Reasoning += string(l.Message.Thinking)
		for _, call := range l.Message.Calls {
			c.open(len(c.calls), string(call.ID), call.Function.Name).Arguments = string(call.Function.Arguments)
		}
		if l.Done {
			r.Whole = true
			word := stop
			if l.DoneReason == length {
				word = length
			}
			c.finish(l.DoneReason, word)
		}
		return !l.Done
	})
}
