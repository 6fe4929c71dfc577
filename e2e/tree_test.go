//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
)

// tree is a JSON value that is looked into by path: names of members and numbers of
// elements. What is not there is nil, and so is everything below it.
type tree struct{ value any }

func parseTree(text []byte) (tree, error) {
	var t tree
	if err := json.Unmarshal(text, &t.value); err != nil {
		return tree{}, fmt.Errorf("reading JSON: %w", err)
	}
	return t, nil
}

func (t tree) at(path ...any) tree {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := t.value.(map[string]any)
			t = tree{object[step]}
		case int:
			list, _ := t.value.([]any)
			if step >= len(list) {
				return tree{}
			}
			t = tree{list[step]}
		}
	}
	return t
}

func (t tree) exists() bool { return t.value != nil }

func (t tree) text() string {
	s, _ := t.value.(string)
	return s
}

func (t tree) number() float64 {
	n, _ := t.value.(float64)
	return n
}

func (t tree) isTrue() bool {
	b, _ := t.value.(bool)
	return b
}

func (t tree) elements() []tree {
	list, _ := t.value.([]any)
	all := make([]tree, len(list))
	for i := range list {
		all[i] = tree{list[i]}
	}
	return all
}

// wording is the text of a content that is a string or a list of parts with text, and
// anything else as JSON.
func (t tree) wording() string {
	list, isList := t.value.([]any)
	if !isList {
		if s, ok := t.value.(string); ok {
			return s
		}
		raw, _ := json.Marshal(t.value) // it came from JSON
		return string(raw)
	}
	all := ""
	for _, part := range list {
		if text := (tree{part}).at("text"); text.exists() {
			all += text.text()
			continue
		}
		all += tree{part}.wording()
	}
	return all
}
