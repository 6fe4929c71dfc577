package gemini

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// argWriter writes the JSON text of a call's arguments while they come in as
// partialArgs, each with the JSONPath (RFC 9535) of one value. A model makes them in
// the order of the text, so each can be written at once and only the way to the last
// one is remembered. What would have to be written further up is not accepted.
// Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
type argWriter struct {
	levels []argLevel // the brackets that are open, the outermost first
	text   bool       // the last value is a string that goes on
	path   string     // of the last value
	names  int        // bytes of the names that are remembered
}

// argLevel is an object or array that is being written.
type argLevel struct {
	step  step // where it stands in the one around it
	array bool
	count int // of its values
	names map[string]bool
}

// step is a member's name or an element's index.
type step struct {
	name  string
	index int
	array bool
}

// Bounds of arguments that come in pieces.
const (
	maxArgLevels = 64
	maxArgNames  = 1 << 20
	maxArgIndex  = 1 << 16
)

// add appends what one partial argument adds to the text. ok is false if it cannot be
// written there.
func (a *argWriter) add(dst []byte, v jsonview.Value) (_ []byte, ok bool) {
	path, text := v.Get("jsonPath").Text(), v.Get("stringValue")
	goesOn := v.Get("willContinue").IsTrue()
	if text.IsString() && path == a.path && len(a.levels) > 0 {
		if !a.text {
			return dst, text.Inside() == "" // it has ended
		}
		dst = append(dst, text.Inside()...)
		if !goesOn {
			dst = a.endText(dst)
		}
		return dst, true
	}
	value := text.Raw
	if !text.IsString() {
		if value, ok = scalar(v); !ok || value == "" {
			return dst, ok
		}
	}
	steps, ok := parsePath(path)
	if !ok || len(steps) == 0 {
		return dst, false
	}
	if dst, ok = a.goTo(a.endText(dst), steps); !ok {
		return dst, false
	}
	dst = append(dst, value...)
	if a.path = strings.Clone(path); text.IsString() && goesOn {
		dst, a.text = dst[:len(dst)-1], true
	}
	return dst, true
}

// scalar is the value of a partial argument that is no string, empty if it has none.
func scalar(v jsonview.Value) (raw string, ok bool) {
	number, truth := v.Get("numberValue"), v.Get("boolValue")
	switch {
	case number.Exists() && !number.IsNull():
		return number.Raw, number.IsNumber()
	case truth.IsBool():
		return truth.Raw, true
	case v.Get("nullValue").Exists(): // whose own value is null
		return "null", true
	}
	return "", true
}

func (a *argWriter) endText(dst []byte) []byte {
	if a.text {
		a.text = false
		dst = append(dst, '"')
	}
	return dst
}

// goTo closes and opens brackets until the value at steps can follow.
func (a *argWriter) goTo(dst []byte, steps []step) (_ []byte, ok bool) {
	if len(a.levels) == 0 {
		a.levels = append(a.levels, argLevel{})
		dst = append(dst, '{')
	}
	same := 1
	for same < len(a.levels) && same < len(steps) && a.levels[same].step == steps[same-1] {
		same++
	}
	dst = a.closeDownTo(dst, same)
	for i := same - 1; i < len(steps); i++ {
		if dst, ok = a.next(dst, steps[i]); !ok {
			return dst, false
		}
		if i+1 < len(steps) {
			inner := argLevel{step: steps[i], array: steps[i+1].array}
			dst = append(dst, bracket(inner.array, '[', '{'))
			a.levels = append(a.levels, inner)
		}
	}
	return dst, len(a.levels) <= maxArgLevels
}

func bracket(array bool, ofArray, ofObject byte) byte {
	if array {
		return ofArray
	}
	return ofObject
}

func (a *argWriter) closeDownTo(dst []byte, count int) []byte {
	for len(a.levels) > count {
		last := len(a.levels) - 1
		dst = append(dst, bracket(a.levels[last].array, ']', '}'))
		a.levels = a.levels[:last]
	}
	return dst
}

// next begins the next value of the innermost bracket: its comma and name. Elements
// that were passed over are null.
func (a *argWriter) next(dst []byte, to step) (_ []byte, ok bool) {
	l := &a.levels[len(a.levels)-1]
	if l.array != to.array {
		return dst, false
	}
	if to.array && (to.index < l.count || to.index > maxArgIndex) {
		return dst, false
	}
	for to.array && l.count < to.index {
		dst = append(comma(dst, l.count), "null"...)
		l.count++
	}
	dst = comma(dst, l.count)
	l.count++
	if to.array {
		return dst, true
	}
	if a.names += len(to.name) + 1; l.names[to.name] || a.names > maxArgNames {
		return dst, false
	}
	if l.names == nil {
		l.names = make(map[string]bool)
	}
	l.names[to.name] = true
	dst = translate.AppendQuoted(dst, to.name)
	return append(dst, ':'), true
}

func comma(dst []byte, count int) []byte {
	if count > 0 {
		return append(dst, ',')
	}
	return dst
}

// end appends what is missing to a whole text.
func (a *argWriter) end(dst []byte) []byte {
	dst = a.endText(dst)
	if len(a.levels) == 0 {
		return append(dst, "{}"...)
	}
	return a.closeDownTo(dst, 0)
}

// parsePath reads the paths of single values: $.a.b[0], $['a']["b"].
func parsePath(path string) ([]step, bool) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, false
	}
	var steps []step
	for rest != "" {
		var s step
		switch {
		case len(steps) == maxArgLevels:
			return nil, false
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			s.name, rest = rest[1:end], rest[end:]
			ok = s.name != ""
		case strings.HasPrefix(rest, `['`), strings.HasPrefix(rest, `["`):
			s.name, rest, ok = quotedName(rest[1:])
		case rest[0] == '[':
			var digits string
			digits, rest, ok = strings.Cut(rest[1:], "]")
			n, err := strconv.Atoi(digits)
			s.index, s.array, ok = n, true, ok && err == nil && n >= 0
		default:
			return nil, false
		}
		if !ok {
			return nil, false
		}
		s.name = strings.Clone(s.name)
		steps = append(steps, s)
	}
	return steps, true
}

// quotedName reads 'a']… or "a"]…, in which a backslash escapes.
func quotedName(s string) (name, rest string, ok bool) {
	var plain []byte
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case s[0]:
			rest, ok = strings.CutPrefix(s[i+1:], "]")
			return string(plain), rest, ok
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			plain = append(plain, unescaped(s[i]))
		default:
			plain = append(plain, s[i])
		}
	}
	return "", "", false
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c
}

// appendInside appends JSON text so that it can stand inside a JSON string. Unlike
// jsonview.AppendEscaped it takes any piece of a text.
func appendInside(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return dst
}
