package chatrules

import "fmt"

// choice is a choice of a stream that is being read.
type choice struct {
	index    int
	message  map[string]any // as openai-python has accumulated it
	finish   string
	native   string
	logprobs int
	late     bool // something came after its finish, and has been complained of
}

func (c *choice) label() string { return fmt.Sprintf("choice %d", c.index) }

// choice reads an element of choices; beside is how many the chunk has.
func (s *stream) choice(v any, beside int, native string) {
	c := s.choiceAt(v)
	if c == nil {
		return
	}
	if c.finish != "" && !c.late {
		s.add("order: %s goes on after its finish reason, and openai-go forgets that", c.label())
		c.late = true
	}
	delta := object(v, "delta")
	s.checkCalls(c, list(delta, "tool_calls"))
	if s.o.Unknown {
		delta = known(delta)
	}
	s.accumulate(c.message, delta, "")
	c.logprobs += len(list(v, "logprobs", "content"))
	if finish := text(v, "finish_reason"); finish != "" {
		if beside > 1 || len(object(v, "delta")) > 0 {
			s.add("order: the finish reason of %s is not in a chunk of its own with an empty delta", c.label())
		}
		c.finish, c.native = finish, native
	}
}

// choiceAt finds the choice, or begins it: openai-python keeps the choices in the order
// in which they begin, and finds them by index.
func (s *stream) choiceAt(v any) *choice {
	index, ok := number(v, "index")
	if !ok {
		return nil // of which the schema has complained
	}
	for _, c := range s.choices {
		if int64(c.index) == index {
			return c
		}
	}
	c := &choice{index: int(index), message: map[string]any{}}
	if c.index != len(s.choices) {
		s.add("order: %s begins when there are %d, and openai-python takes it for another", c.label(), len(s.choices))
	}
	if text(v, "delta", "role") == "" {
		s.add("role: %s does not begin with its role", c.label())
	}
	s.choices = append(s.choices, c)
	return c
}

// checkCalls checks that a call has its id, type and name when it begins, and only
// then. Nothing forbids a reader to act on a name before it is repeated.
func (s *stream) checkCalls(c *choice, calls []any) {
	begun := int64(len(list(c.message, "tool_calls")))
	for _, call := range calls {
		index, ok := number(call, "index")
		id, kind, name := member(call, "id"), member(call, "type"), member(call, "function", "name")
		switch {
		case !ok:
		case index >= begun:
			begun++
			if id == nil || kind == nil || name == nil {
				s.add("tool call: %d of %s begins without id, type or name", index, c.label())
			}
			if _, there := object(call, "function")["arguments"]; !there {
				s.add("tool call: %d of %s begins without arguments, which openai-python then has as None", index, c.label())
			}
		case id != nil || kind != nil || name != nil:
			s.add("tool call: %d of %s repeats its id, type or name", index, c.label())
		}
	}
}

// result is the choice as the client has it.
func (c *choice) result() *Choice {
	r := choiceOf(c.message)
	r.Index, r.Finish, r.Native, r.Logprobs = c.index, c.finish, c.native, c.logprobs
	return r
}

// choiceOf reads a message, accumulated or whole. Reasoning may have another name if it
// is a provider's own.
func choiceOf(message map[string]any) *Choice {
	r := &Choice{
		Text: text(message, "content"), Reasoning: text(message, "reasoning_content"), Refusal: text(message, "refusal"),
		Extra: object(message, "extra_content"),
	}
	if r.Reasoning == "" {
		r.Reasoning = text(message, "reasoning")
	}
	for _, call := range list(message, "tool_calls") {
		r.Calls = append(r.Calls, Call{
			ID: text(call, "id"), Name: text(call, "function", "name"), Arguments: text(call, "function", "arguments"),
			Extra: object(call, "extra_content"),
		})
	}
	for _, image := range list(message, "images") {
		r.Images = append(r.Images, text(image, "image_url", "url"))
	}
	return r
}
