package translate

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// maxDepth bounds how deeply a body's arrays and objects may nest. It is checked
// before anything that recurses sees the body.
const maxDepth = 128

// span is the half-open range [start, end) of byte offsets in a body.
type span struct{ start, end int }

func (s span) of(body []byte) []byte { return body[s.start:s.end] }

// edit replaces the bytes of a span; an empty span is an insertion.
type edit struct {
	at   span
	with []byte
}

// splice appends body to dst with all edits made. Edits are in order and do not overlap.
func splice(dst, body []byte, edits []edit) []byte {
	size := len(body)
	for _, e := range edits {
		size += len(e.with)
	}
	dst = grow(dst, size)
	from := 0
	for _, e := range edits {
		dst = append(dst, body[from:e.at.start]...)
		dst = append(dst, e.with...)
		from = e.at.end
	}
	return append(dst, body[from:]...)
}

// grow makes room for n more bytes in one step, so that a big body is not copied
// again at each doubling.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	grown := make([]byte, len(dst), len(dst)+n)
	copy(grown, dst)
	return grown
}

// The ends that are no offsets.
const (
	broken  = -1 // the bytes are not shaped like a value
	tooDeep = -2 // arrays and objects nest deeper than allowed
)

// walkObject calls visit for each member of the object that begins at body[at], key
// with its quotes. It returns the offset past the closing brace, or broken or tooDeep,
// perhaps after some visits.
//
// It takes any bytes, needs no stack for levels, and walks over all that a validating
// parser would accept: if it ends well, or as broken, such a parser meets no deeper
// level either. Values are not checked beyond their ends.
func walkObject(body []byte, at, depth int, visit func(key, value span)) int {
	i := skipSpace(body, at)
	if i >= len(body) || body[i] != '{' {
		return broken
	}
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == '}' {
		return i + 1
	}
	for i < len(body) && body[i] == '"' {
		key := span{i, stringEnd(body, i)}
		if key.end < 0 {
			return broken
		}
		i = skipSpace(body, key.end)
		if i >= len(body) || body[i] != ':' {
			return broken
		}
		start := skipSpace(body, i+1)
		end := valueEnd(body, start, depth-1)
		if end < 0 {
			return end
		}
		visit(key, span{start, end})
		i = skipSpace(body, end)
		if i < len(body) && body[i] == '}' {
			return i + 1
		}
		if i >= len(body) || body[i] != ',' {
			return broken
		}
		i = skipSpace(body, i+1)
	}
	return broken
}

// valueEnd is the offset past the value that begins at body[i], or broken or tooDeep.
// depth is how many levels the value may have.
func valueEnd(body []byte, i, depth int) int {
	if i >= len(body) {
		return broken
	}
	switch body[i] {
	case '"':
		return stringEnd(body, i)
	case '{', '[':
		return bracketEnd(body, i, depth)
	}
	start := i
	for i < len(body) && !endsScalar(body[i]) {
		i++
	}
	if i == start {
		return broken
	}
	return i
}

func endsScalar(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\t', '\n', '\r', '"', ':', '{', '[':
		return true
	}
	return false
}

// bracketEnd is the offset past the bracket that closes the one at body[i], or broken
// or tooDeep.
func bracketEnd(body []byte, i, depth int) int {
	open := 0
	for ; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if end < 0 {
				return broken
			}
			i = end - 1
		case '{', '[':
			if open++; open > depth {
				return tooDeep
			}
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		}
	}
	return broken
}

// stringEnd is the offset past the quote that closes the string whose opening quote
// is body[i], or broken.
func stringEnd(body []byte, i int) int {
	for at := i + 1; ; {
		n := bytes.IndexByte(body[at:], '"')
		if n < 0 {
			return broken
		}
		quote := at + n
		escapes := 0
		for quote-escapes-1 > i && body[quote-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return quote + 1
		}
		at = quote + 1
	}
}

func skipSpace(body []byte, i int) int {
	for i < len(body) && (body[i] == ' ' || body[i] == '\n' || body[i] == '\r' || body[i] == '\t') {
		i++
	}
	return i
}

// keyIs tells whether a quoted key means name. Escaped spellings count ("mod\u0065l"
// is model), because the upstream's parser decodes them too; letter case counts.
func keyIs(quoted []byte, name string) bool {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name
	}
	// No character is spelled with more than the six bytes of \uXXXX.
	if len(inner) > 6*len(name) {
		return false
	}
	return gjson.ParseBytes(quoted).Str == name
}

// longestKey is ample for the names that are looked for with keyText, in any spelling.
const longestKey = 6 * len("continuous_usage_stats")

// keyText is what a quoted key says, decoded, because the upstream's parser decodes it
// too; empty for one that is too long for a name that is looked for. It may be a view.
func keyText(quoted []byte) string {
	inner := jsonview.View(quoted[1 : len(quoted)-1])
	switch {
	case len(inner) > longestKey:
		return ""
	case strings.IndexByte(inner, '\\') >= 0:
		return stringValue(quoted)
	}
	return inner
}

// keyMeans tells whether a server could take a key for name, and whether it is name
// exactly. Every letter case counts: Go's encoding/json folds keys by Unicode's simple
// folding, in which "ſtream" is stream.
func keyMeans(key, name string) (same, exact bool) {
	return key == name || len(key) >= len(name) && strings.EqualFold(key, name), key == name
}

// stringValue decodes a quoted JSON string into a string that shares no memory with it.
func stringValue(quoted []byte) string { return gjson.ParseBytes(quoted).Str }
