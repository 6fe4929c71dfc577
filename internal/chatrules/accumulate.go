package chatrules

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// fragments are the strings of a delta that are meant to be joined.
var fragments = []string{
	"content", "refusal", "reasoning_content", "reasoning",
	"tool_calls[].function.arguments", "function_call.arguments", "audio.data", "audio.transcript",
}

// accumulate merges a delta into a message by the algorithm of openai-python
// (accumulate_delta), and finds fault with what comes out wrong there: strings that
// are not fragments double when they are repeated, numbers add up, and the elements of
// lists are merged by their index.
func (f *findings) accumulate(message, delta map[string]any, path string) {
	for _, name := range slices.Sorted(maps.Keys(delta)) {
		value, at := delta[name], join(path, name)
		if known := message[name]; known == nil {
			if !indexed(value) {
				message[name] = value
				continue
			}
			message[name] = []any{}
		}
		if name == "index" || name == "type" {
			message[name] = value
			continue
		}
		switch known := message[name].(type) {
		case string:
			if s, ok := value.(string); ok {
				message[name] = known + s
				if s != "" && !slices.Contains(fragments, at) {
					f.add("delta: %s is said twice, which openai-python reads as %q", at, known+s)
				}
			}
		case json.Number:
			if _, ok := value.(json.Number); ok {
				f.add("delta: the number %s is said twice, and openai-python adds the two", at)
			}
		case map[string]any:
			if inner, ok := value.(map[string]any); ok {
				f.accumulate(known, inner, at)
			}
		case []any:
			if more, ok := value.([]any); ok {
				message[name] = f.accumulateList(known, more, at)
			}
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func indexed(v any) bool {
	elements, _ := v.([]any)
	return slices.ContainsFunc(elements, func(e any) bool { return member(e, "index") != nil })
}

// accumulateList merges lists: those of plain values grow, those of objects are merged
// by index.
func (f *findings) accumulateList(known, more []any, at string) []any {
	plain := !slices.ContainsFunc(known, func(e any) bool { _, ok := e.(map[string]any); return ok })
	if plain && (len(known) > 0 || !indexed(more)) {
		return append(known, more...)
	}
	for _, element := range more {
		o, ok := element.(map[string]any)
		index, numbered := number(o, "index")
		if !ok || !numbered || index < 0 {
			f.add("delta: an element of %s has no index, at which openai-python raises", at)
			continue
		}
		if index >= int64(len(known)) {
			if index > int64(len(known)) {
				f.add("delta: %s goes from %d elements to index %d, and openai-python puts it at %[2]d", at, len(known), index)
			}
			known = append(known, o)
			continue
		}
		if into, ok := known[index].(map[string]any); ok {
			f.accumulate(into, o, fmt.Sprint(at, "[]"))
		}
	}
	return known
}
