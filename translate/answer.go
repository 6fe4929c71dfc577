package translate

import "math"

// RewriteAnswer appends to dst a whole JSON answer with its top-level model replaced
// by publicModel; all other bytes stay. If there is nothing to replace, or the body is
// not an object, body itself is returned and dst is not used.
//
// A model that is written twice is replaced twice, because parsers differ in which
// one they believe.
func RewriteAnswer(dst, body []byte, publicModel string) []byte {
	var edits []edit
	var quoted []byte
	end := walkObject(body, 0, math.MaxInt, func(key, value span) {
		raw := value.of(body)
		if !keyIs(key.of(body), "model") || raw[0] != '"' || stringValue(raw) == publicModel {
			return
		}
		if quoted == nil {
			quoted = AppendQuoted(nil, publicModel)
		}
		edits = append(edits, edit{value, quoted})
	})
	if end < 0 || len(edits) == 0 || skipSpace(body, end) != len(body) {
		return body
	}
	return splice(dst, body, edits)
}
