package jsonview

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// MaxDepth bounds the nesting of what is read. gjson checks a document by recursion, so
// that brackets alone would otherwise take hundreds of megabytes of stack.
const MaxDepth = 512

// WellFormed reports whether data is JSON that is not nested too deeply.
func WellFormed(data []byte) bool { return !tooDeep(data) && gjson.ValidBytes(data) }

// tooDeep is right about everything in front of the first syntax error, which is how
// far the check that follows it goes.
func tooDeep(data []byte) bool {
	if len(data) <= MaxDepth || bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= MaxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(data) && depth <= MaxDepth; i++ {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		}
	}
	return depth > MaxDepth
}
