package accounting

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

// value is a JSON value where it stands in an event: raw is a view of the
// event's data, at its offset there. The zero value means "not there". What
// outlives the event must be copied.
type value struct {
	raw string
	at  int
}

// parse checks data and returns the value in it; ok is false for malformed text.
func parse(data []byte) (v value, ok bool) {
	if !wellFormed(data) {
		return value{}, false
	}
	root := gjson.Parse(view(data))
	return value{root.Raw, root.Index}, true
}

// is reports whether the value begins with the given byte, which tells its kind.
func (v value) is(first byte) bool { return v.raw != "" && v.raw[0] == first }

// text returns the inside of a string, still escaped, and "" for any other kind of value.
func (v value) text() string {
	if !v.is('"') {
		return ""
	}
	return v.raw[1 : len(v.raw)-1]
}

// span returns the offsets of the value, inside those of the text of a string.
func (v value) span() Span   { return Span{v.at, v.at + len(v.raw)} }
func (v value) inside() Span { return Span{v.at + 1, v.at + len(v.raw) - 1} }

// result gives the value back to gjson, for which it must be an object or array.
func (v value) result() gjson.Result {
	return gjson.Result{Type: gjson.JSON, Raw: v.raw, Index: v.at}
}

// members iterates over an object, names decoded: "us\u0061ge" means "usage"
// to every JSON parser. Any other kind of value has no members.
func (v value) members(yield func(name string, member value) bool) {
	if v.is('{') {
		v.result().ForEach(func(name, member gjson.Result) bool {
			return yield(name.Str, value{member.Raw, member.Index})
		})
	}
}

// elements iterates over an array. Any other kind of value has no elements.
func (v value) elements(yield func(element value) bool) {
	if v.is('[') {
		v.result().ForEach(func(_, element gjson.Result) bool {
			return yield(value{element.Raw, element.Index})
		})
	}
}

// member returns the last member of the given name, as most parsers do.
func (v value) member(name string) (found value) {
	for key, member := range v.members {
		if key == name {
			found = member
		}
	}
	return found
}

// integer returns a whole number that is written as one and fits an int64.
func (v value) integer() (int64, bool) {
	digits, negative := strings.CutPrefix(v.raw, "-")
	if digits == "" || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for _, d := range []byte(digits) {
		if d-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// maxDepth bounds the nesting of what is read. gjson checks a document by
// recursion, so an event of brackets alone would take hundreds of megabytes of stack.
const maxDepth = 512

// wellFormed reports whether data is JSON (RFC 8259) that is not nested too
// deeply. Bytes above 0x7F are taken as they come, because providers do send
// invalid UTF-8.
func wellFormed(data []byte) bool {
	return !tooDeep(data) && gjson.ValidBytes(data)
}

// tooDeep is right about everything in front of the first syntax error, which
// is how far gjson goes.
func tooDeep(data []byte) bool {
	if len(data) <= maxDepth || bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= maxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(data) && depth <= maxDepth; i++ {
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
	return depth > maxDepth
}
