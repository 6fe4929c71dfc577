package openai_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// strict is a client that accepts nothing but what OpenAI itself sends. Its rules are
// those of openai-python, openai-node and openai-go, and of the types that they declare.
type strict struct {
	hidden bool // the client did not ask for usage

	id, model string
	created   float64
	headed    bool
	choices   map[int]*strictChoice
	usage     map[string]any
	// volunteered: usage that nobody asked for stood beside the end of the stream
	volunteered bool
}

type strictChoice struct {
	role, text, reasoning, refusal, finish string
	thoughts                               string // reasoning under its other name
	calls                                  []*strictCall
	snapshot                               map[string]any // as openai-python puts it together
	legacy                                 bool
}

type strictCall struct {
	id, kind, name, arguments string
}

// read takes in the data of one event.
func (s *strict) read(data []byte) error {
	var chunk map[string]any
	if err := json.Unmarshal(data, &chunk); err != nil {
		return err
	}
	if _, there := chunk["error"]; there {
		return errors.New("a top-level error is a failure to openai-go")
	}
	choices, ok := chunk["choices"].([]any)
	if !ok {
		return errors.New("choices is no list")
	}
	if err := s.head(chunk, len(choices)); err != nil {
		return err
	}
	if err := s.readUsage(chunk, len(choices)); err != nil {
		return err
	}
	seen := map[int]bool{}
	for _, c := range choices {
		index, err := s.choice(c)
		if err != nil {
			return err
		}
		if seen[index] {
			return fmt.Errorf("choice %d is twice in one chunk", index)
		}
		seen[index] = true
	}
	return nil
}

// head checks what all chunks must have in common. Azure's results of filters may come
// in front, without it.
func (s *strict) head(chunk map[string]any, choices int) error {
	id, _ := chunk["id"].(string)
	if id == "" && choices == 0 && !s.headed {
		return nil
	}
	model, isModel := chunk["model"].(string)
	created, isTime := chunk["created"].(float64)
	switch {
	case id == "":
		return errors.New("no id")
	case chunk["object"] != "chat.completion.chunk":
		return fmt.Errorf("object is %v", chunk["object"])
	case !isModel || !isTime || created != float64(int64(created)):
		return errors.New("model or created is missing")
	}
	if !s.headed {
		s.id, s.model, s.created, s.headed = id, model, created, true
	}
	if s.id != id || s.model != model || s.created != created {
		return errors.New("the head changes")
	}
	return nil
}

func (s *strict) readUsage(chunk map[string]any, choices int) error {
	usage, there := chunk["usage"]
	if s.hidden {
		groq, _ := chunk["x_groq"].(map[string]any)
		_, inGroq := groq["usage"]
		switch {
		case inGroq || there && s.volunteered:
			return errors.New("usage that the client did not ask for")
		case there && !endsChoice(chunk):
			return errors.New("usage that nobody asked for, and that is not beside the end")
		}
		s.volunteered = there
		return nil
	}
	if usage == nil {
		return nil
	}
	switch {
	case choices > 0:
		return errors.New("usage beside choices")
	case s.usage != nil:
		return errors.New("usage twice: openai-go adds it up")
	}
	s.usage, there = usage.(map[string]any)
	if !there {
		return errors.New("usage is no object")
	}
	return nil
}

// endsChoice tells whether a chunk has a finish reason in it.
func endsChoice(chunk map[string]any) bool {
	choices, _ := chunk["choices"].([]any)
	for _, c := range choices {
		if choice, _ := c.(map[string]any); choice["finish_reason"] != nil {
			return true
		}
	}
	return false
}

func (s *strict) choice(v any) (int, error) {
	c, ok := v.(map[string]any)
	number, isNumber := c["index"].(float64)
	delta, isDelta := c["delta"].(map[string]any)
	finish, hasFinish := c["finish_reason"]
	switch {
	case !ok || !isNumber || number != float64(int(number)) || number < 0 || number > 127:
		return 0, fmt.Errorf("a choice's index is %v", c["index"])
	case !isDelta:
		return 0, errors.New("no delta")
	case !hasFinish:
		return 0, errors.New("no finish_reason")
	}
	index := int(number)
	if _, isObject := c["logprobs"].(map[string]any); c["logprobs"] != nil && !isObject {
		return 0, errors.New("logprobs is no object")
	}
	if _, there := c["usage"]; there && s.hidden {
		return 0, errors.New("usage in a choice")
	}
	if s.choices == nil {
		s.choices = map[int]*strictChoice{}
	}
	known := s.choices[index]
	if known == nil {
		if index != len(s.choices) {
			return 0, errors.New("choices do not appear in order")
		}
		known = &strictChoice{snapshot: map[string]any{}}
		s.choices[index] = known
	}
	if known.finish != "" {
		return 0, errors.New("something after the end of a choice")
	}
	if err := known.delta(delta); err != nil {
		return 0, err
	}
	if finish == nil {
		return index, nil
	}
	known.finish, _ = finish.(string)
	if !slices.Contains([]string{"stop", "length", "tool_calls", "content_filter", "function_call"}, known.finish) {
		return 0, fmt.Errorf("finish_reason is %v", finish)
	}
	if len(delta) > 0 {
		return 0, fmt.Errorf("the last chunk of a choice has more than its end: %v", delta)
	}
	return index, nil
}

func (c *strictChoice) delta(delta map[string]any) error {
	if role, there := delta["role"]; there && role != nil {
		switch {
		case c.role != "":
			return errors.New("role twice")
		case role != "assistant":
			return fmt.Errorf("role is %v", role)
		}
		c.role = "assistant"
	}
	if c.role == "" {
		return errors.New("a choice begins without a role")
	}
	for name, to := range map[string]*string{
		"content": &c.text, "refusal": &c.refusal, "reasoning_content": &c.reasoning, "reasoning": &c.thoughts,
	} {
		text, isText := delta[name].(string)
		if delta[name] != nil && !isText {
			return fmt.Errorf("%s is no text", name)
		}
		*to += text
	}
	if delta["function_call"] != nil {
		c.legacy = true
	}
	if calls := delta["tool_calls"]; calls != nil {
		list, isList := calls.([]any)
		if !isList {
			return errors.New("tool_calls is no list")
		}
		seen := map[int]bool{}
		for _, v := range list {
			index, err := c.call(v)
			if err != nil {
				return err
			}
			if seen[index] {
				return errors.New("a call is twice in one delta")
			}
			seen[index] = true
		}
	}
	return accumulate(c.snapshot, delta)
}

func (c *strictChoice) call(v any) (int, error) {
	call, ok := v.(map[string]any)
	number, isNumber := call["index"].(float64)
	index := int(number)
	if !ok || !isNumber || index < 0 || index > len(c.calls) {
		return 0, fmt.Errorf("the index of a call is %v, there are %d", call["index"], len(c.calls))
	}
	fresh := index == len(c.calls)
	if fresh {
		c.calls = append(c.calls, &strictCall{})
	}
	known := c.calls[index]
	for name, to := range map[string]*string{"id": &known.id, "type": &known.kind} {
		value, there := call[name]
		text, _ := value.(string)
		switch {
		case !fresh && there:
			return 0, fmt.Errorf("%s of a call comes again", name)
		case fresh && text == "":
			return 0, fmt.Errorf("%s of a call is missing", name)
		case fresh:
			*to = text
		}
	}
	function, isObject := call["function"].(map[string]any)
	if custom, isCustom := call["custom"].(map[string]any); isCustom {
		function, isObject = custom, true
	}
	if !isObject {
		return index, nil
	}
	if name, there := function["name"]; there {
		text, _ := name.(string)
		if known.name != "" || text == "" {
			return 0, fmt.Errorf("the name of a call is %v after %q", name, known.name)
		}
		known.name = text
	}
	if arguments, there := function["arguments"]; there {
		text, isText := arguments.(string)
		if !isText {
			return 0, errors.New("arguments are no text")
		}
		known.arguments += text
	}
	if fresh && known.name == "" {
		return 0, errors.New("a call begins without a name")
	}
	return index, nil
}

// end checks a stream that has come to its end.
func (s *strict) end() error {
	for index, c := range s.choices {
		if c.finish == "" {
			return fmt.Errorf("choice %d has no end", index)
		}
		if len(c.calls) > 0 && c.finish == "stop" {
			return errors.New("stop with tool calls")
		}
		for _, call := range c.calls {
			if call.kind == "function" && c.finish == "tool_calls" && !json.Valid([]byte(call.arguments)) {
				return fmt.Errorf("arguments of a whole call: %q", call.arguments)
			}
		}
	}
	return nil
}

// accumulate adds a delta to what came before, as accumulate_delta of openai-python
// does, with its refusals.
func accumulate(to, delta map[string]any) error {
	for name, more := range delta {
		have, there := to[name]
		switch {
		case !there || have == nil || name == "index" || name == "type":
			to[name] = more
			continue
		}
		switch have := have.(type) {
		case string:
			if text, ok := more.(string); ok {
				to[name] = have + text
			}
		case float64:
			if n, ok := more.(float64); ok {
				to[name] = have + n
			}
		case map[string]any:
			if object, ok := more.(map[string]any); ok {
				if err := accumulate(have, object); err != nil {
					return err
				}
			}
		case []any:
			if list, ok := more.([]any); ok {
				joined, err := accumulateList(have, list)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				to[name] = joined
			}
		}
	}
	return nil
}

func accumulateList(have, more []any) ([]any, error) {
	plain := true
	for _, v := range have {
		_, isText := v.(string)
		_, isNumber := v.(float64)
		plain = plain && (isText || isNumber)
	}
	if plain {
		return append(have, more...), nil
	}
	for _, v := range more {
		entry, ok := v.(map[string]any)
		if !ok {
			return nil, errors.New("an element is no object")
		}
		number, ok := entry["index"].(float64)
		if !ok {
			return nil, errors.New("an element has no index")
		}
		index := int(number)
		if index >= len(have) {
			have = append(have, entry)
			continue
		}
		known, ok := have[index].(map[string]any)
		if !ok {
			return nil, errors.New("an element is no object")
		}
		if err := accumulate(known, entry); err != nil {
			return nil, err
		}
	}
	return have, nil
}
