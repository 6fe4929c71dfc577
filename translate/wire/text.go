package wire

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// Blank reports a JSON string in which there is nothing to read. Several providers refuse
// such texts.
func Blank(text jsonview.Value) bool {
	inside := strings.TrimSpace(text.Inside())
	if inside == "" {
		return true
	}
	return inside[0] == '\\' && strings.TrimSpace(text.Text()) == ""
}

// textLen is the number of bytes of the text that stands escaped inside a JSON string.
func textLen(inside string) (n int) {
	for {
		at := strings.IndexByte(inside, '\\')
		if at < 0 {
			return n + len(inside)
		}
		n, inside = n+at, inside[at:]
		size := min(2, len(inside))
		if size == 2 && inside[1] != 'u' {
			n++
		} else {
			var more int
			size, more = unicodeLen(inside)
			n += more
		}
		inside = inside[size:]
	}
}

// unicodeLen is the length of the escape that s begins with, or of the pair of escapes
// that may be one character, and of the text that it stands for.
func unicodeLen(s string) (size, text int) {
	const escape = len(`\u0000`)
	size = min(escape, len(s))
	if strings.HasPrefix(s[size:], `\u`) {
		size = min(2*escape, len(s))
	}
	var buf [2 * escape]byte
	return size, len(jsonview.AppendText(buf[:0], s[:size]))
}
