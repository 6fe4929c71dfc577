package recordings

import (
	"encoding/json"
	"regexp"
	"strconv"
)

// partialArg is a piece of a function call's arguments: a value at a path such as
// $.places[0].name. Strings may come in several pieces.
type partialArg struct {
	JSONPath     string
	StringValue  *string
	NumberValue  *json.Number
	BoolValue    *bool
	NullValue    json.RawMessage
	WillContinue bool
}

// partialCall is a call whose arguments come in pieces.
type partialCall struct {
	call *openCall
	args map[string]any
	open string // path of a string that goes on
}

func (p *partialCall) add(pieces []partialArg) {
	for _, piece := range pieces {
		steps := pathSteps(piece.JSONPath)
		if len(steps) == 0 {
			continue
		}
		value := piece.value()
		if s, ok := value.(string); ok && p.open == piece.JSONPath {
			before, _ := at(p.args, steps).(string)
			value = before + s
		}
		p.open = ""
		if piece.WillContinue {
			p.open = piece.JSONPath
		}
		p.args, _ = put(p.args, steps, value).(map[string]any)
	}
	raw, err := json.Marshal(p.args)
	if err == nil {
		p.call.Arguments = string(raw)
	}
}

func (a partialArg) value() any {
	switch {
	case a.StringValue != nil:
		return *a.StringValue
	case a.NumberValue != nil:
		return *a.NumberValue
	case a.BoolValue != nil:
		return *a.BoolValue
	}
	return nil
}

var pathStep = regexp.MustCompile(`\.([^.\[\]]+)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]`)

// pathSteps takes a path apart into names and positions.
func pathSteps(path string) (steps []any) {
	for _, m := range pathStep.FindAllStringSubmatch(path, -1) {
		if m[4] != "" {
			n, _ := strconv.Atoi(m[4])
			steps = append(steps, n)
			continue
		}
		steps = append(steps, m[1]+m[2]+m[3])
	}
	return steps
}

// at is the value at the end of a path, nil if there is none.
func at(v any, steps []any) any {
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

// put returns v with a value at the end of a path.
func put(v any, steps []any, value any) any {
	if len(steps) == 0 {
		return value
	}
	switch step := steps[0].(type) {
	case string:
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		m[step] = put(m[step], steps[1:], value)
		return m
	case int:
		l, _ := v.([]any)
		for len(l) <= step {
			l = append(l, nil)
		}
		l[step] = put(l[step], steps[1:], value)
		return l
	}
	return v
}
