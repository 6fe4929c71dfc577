// Package jsonview reads JSON where it stands, without decoding or copying what nobody
// asked for. A Value is a view of somebody else's bytes and valid only as long as they
// are unchanged; what outlives them must be copied.
package jsonview

import (
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// Value is one JSON value in a document. The zero Value means "not there".
type Value struct {
	Raw string // the literal as it stands, quotes and brackets included
	At  int    // its offset in the document
}

// Parse checks that data is one JSON value (RFC 8259), not nested deeper than MaxDepth,
// and returns it. Bytes above 0x7F are taken as they come: providers do send broken
// UTF-8. It allocates nothing.
func Parse(data []byte) (Value, bool) {
	if !WellFormed(data) {
		return Value{}, false
	}
	start := skipSpace(view(data), 0)
	text := strings.TrimRight(view(data[start:]), blank)
	return Value{text, start}, true
}

// View is data as a string, without copying it.
func View(data []byte) string { return view(data) }

func view(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

const blank = " \t\r\n"

// Exists reports whether the value is there at all.
func (v Value) Exists() bool { return v.Raw != "" }

// IsObject reports an object.
func (v Value) IsObject() bool { return v.is('{') }

// IsArray reports an array.
func (v Value) IsArray() bool { return v.is('[') }

// IsString reports a string.
func (v Value) IsString() bool { return v.is('"') }

// IsNull reports a null that is there.
func (v Value) IsNull() bool { return v.is('n') }

// IsTrue reports a true.
func (v Value) IsTrue() bool { return v.is('t') }

// IsBool reports true or false.
func (v Value) IsBool() bool { return v.is('t') || v.is('f') }

// IsNumber reports a number.
func (v Value) IsNumber() bool {
	return v.Raw != "" && (v.Raw[0] == '-' || v.Raw[0] >= '0' && v.Raw[0] <= '9')
}

func (v Value) is(first byte) bool { return v.Raw != "" && v.Raw[0] == first }

// Inside is the text of a string still escaped, "" for any other kind of value. It can
// stand between the quotes of any other JSON document as it is.
func (v Value) Inside() string {
	if !v.is('"') {
		return ""
	}
	return v.Raw[1 : len(v.Raw)-1]
}

// Text is the text of a string, decoded, "" for any other kind of value. It is a view
// if there was nothing to decode.
func (v Value) Text() string {
	if !v.is('"') {
		return ""
	}
	inside := v.Raw[1 : len(v.Raw)-1]
	if strings.IndexByte(inside, '\\') < 0 {
		return inside
	}
	return view(AppendText(make([]byte, 0, len(inside)), inside))
}

// Is reports whether the value is a string that reads text.
func (v Value) Is(text string) bool {
	if !v.is('"') {
		return false
	}
	if strings.IndexByte(v.Raw, '\\') < 0 {
		return v.Raw[1:len(v.Raw)-1] == text
	}
	return v.Text() == text
}

// Int is a whole number in any spelling (12, 12.0, 1.2e1) that fits an int64. Beyond
// 2^53 only those written without a fraction and an exponent are exact.
func (v Value) Int() (int64, bool) {
	if !v.IsNumber() || len(v.Raw) > maxNumberLength {
		return 0, false
	}
	if n, ok := v.Digits(); ok {
		return n, true
	}
	if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(v.Raw, 64)
	if err != nil || f != math.Trunc(f) || f >= 1<<63 || f <= -1<<63 {
		return 0, false
	}
	return int64(f), true
}

// maxNumberLength is ample for any integer that is meant as one.
const maxNumberLength = 64

// Digits is a whole number of at most 18 digits, without a fraction and an exponent: how
// indices and counts are written.
func (v Value) Digits() (n int64, ok bool) {
	digits, negative := strings.CutPrefix(v.Raw, "-")
	if digits == "" || len(digits) > 18 {
		return 0, false
	}
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// Float is a number as far as a float64 holds it.
func (v Value) Float() (float64, bool) {
	if !v.IsNumber() {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.Raw, 64)
	return f, err == nil
}

// Members iterates over an object in the order it is written in; names are decoded. Any
// other kind of value has no members.
func (v Value) Members(yield func(name string, member Value) bool) {
	if !v.is('{') {
		return
	}
	s := v.Raw
	for i := skipSpace(s, 1); i < len(s) && s[i] == '"'; {
		end := stringEnd(s, i)
		if end < 0 {
			return
		}
		name := Value{Raw: s[i:end]}.Text()
		i = skipSpace(s, end)
		i = skipSpace(s, i+1) // the colon
		end = valueEnd(s, i)
		if end < 0 || !yield(name, Value{s[i:end], v.At + i}) {
			return
		}
		i = skipSpace(s, end)
		if i >= len(s) || s[i] != ',' {
			return
		}
		i = skipSpace(s, i+1)
	}
}

// Elements iterates over an array. Any other kind of value has no elements.
func (v Value) Elements(yield func(i int, element Value) bool) {
	if !v.is('[') {
		return
	}
	s := v.Raw
	i := skipSpace(s, 1)
	if i < len(s) && s[i] == ']' {
		return
	}
	for n := 0; i < len(s); n++ {
		end := valueEnd(s, i)
		if end < 0 || !yield(n, Value{s[i:end], v.At + i}) {
			return
		}
		i = skipSpace(s, end)
		if i >= len(s) || s[i] != ',' {
			return
		}
		i = skipSpace(s, i+1)
	}
}

// Get is the last member of the given name, as with most parsers: "model" written twice
// means the second. path may go further in: Get("error", "message").
func (v Value) Get(path ...string) Value {
	for _, name := range path {
		var found Value
		for key, member := range v.Members {
			if key == name {
				found = member
			}
		}
		v = found
	}
	return v
}

// First is the first element of an array.
func (v Value) First() Value {
	for _, element := range v.Elements {
		return element
	}
	return Value{}
}

// Len is the number of members or elements.
func (v Value) Len() int {
	n := 0
	for range v.Members {
		n++
	}
	for range v.Elements {
		n++
	}
	return n
}
