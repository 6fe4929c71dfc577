package translate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/sluicehq/sluice/translate"
)

// hostile are texts that would end a line, an event, a header or a string too early.
var hostile = []string{
	"\r", "\n", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "x\n\ndata: {\"choices\":[]}\n\n", "x\rdata: [DONE]\r\r", "\nevent: error\ndata: x\n\n",
	"\nid: 7\n", "\nretry: 1\n", ": comment\n\n", "\x00", "\u2028", "\u2029", "\u0085", "\x0b\x0c", "\xff", "\xe2\x80", "\xed\xa0\x80", "\ufeff",
	`"`, `\`, `\"`, `"}]}` + "\n\n", "[DONE]", "data: [DONE]", "\r\nX-Evil: 1\r\n\r\n", "", "\x7f", "<script>", `\u000a`,
}

// spell writes the inside of a JSON string that means text, in one of several ways; the
// last one leaves all bytes as they are, which may break the JSON or the framing.
func spell(text string, way int) string {
	switch way % 5 {
	case 0:
		quoted := translate.AppendQuoted(nil, text)
		return string(quoted[1 : len(quoted)-1])
	case 1:
		quoted, _ := json.Marshal(text)
		return string(quoted[1 : len(quoted)-1])
	case 2:
		var b strings.Builder
		for _, unit := range utf16.Encode([]rune(text)) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
		return b.String()
	case 3:
		return strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\x00", `\u0000`, "\x0b", `\u000b`, "\x0c", `\f`).Replace(text)
	}
	return text
}

// poison puts a text into the n-th string of a JSON text, key or value, in place of what is
// there or behind it.
func poison(text, inside string, n int, replace bool) string {
	var at [][2]int
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		end := i + 1
		for end < len(text) && text[end] != '"' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		at = append(at, [2]int{i + 1, min(end, len(text))})
		i = end
	}
	if len(at) == 0 {
		return text
	}
	from, to := at[n%len(at)][0], at[n%len(at)][1]
	if !replace {
		from = to
	}
	return text[:from] + inside + text[to:]
}

// spread puts white space between the tokens of a JSON text.
func spread(text, space string) string {
	var b strings.Builder
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		b.WriteByte(c)
		switch {
		case inString && c == '\\':
			i++
			b.WriteByte(text[min(i, len(text)-1)])
		case c == '"':
			inString = !inString
		case !inString && strings.IndexByte(",:{[", c) >= 0:
			b.WriteString(space)
		}
	}
	return b.String()
}
