package accounting

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// truthy reports whether the value counts as true in a client that tests an
// error member that way: providers send null, false and "" for "no error".
func truthy(v jsonview.Value) bool {
	switch v.Raw {
	case "", "null", "false", `""`, "0":
		return false
	}
	return true
}

// fail keeps the code of the first error. code is used where the error is no object.
func (m *Meter) fail(failure, code jsonview.Value) {
	if m.code != "" {
		return
	}
	var kind jsonview.Value
	for name, v := range failure.Members {
		switch name {
		case "code":
			code = v
		case "type":
			kind = v
		}
	}
	if m.code = codeOf(code); m.code == "" {
		m.code = codeOf(kind)
	}
}

// maxCode is the longest error code or finish reason that is kept.
const maxCode = 64

// codeOf returns a string or whole number as a code, "" if it does not look
// like one. Text is not squeezed into a code: it might be a message that quotes
// a prompt.
func codeOf(v jsonview.Value) string {
	raw := v.Inside()
	if _, ok := v.Digits(); ok {
		raw = v.Raw
	}
	if len(raw) == 0 || len(raw) > maxCode {
		return ""
	}
	var lower [maxCode]byte
	for i, ch := range []byte(raw) {
		switch {
		case ch >= 'A' && ch <= 'Z':
			ch |= 0x20
		case ch >= 'a' && ch <= 'z', ch >= '0' && ch <= '9', ch == '_', ch == '.', ch == '-':
		default:
			return ""
		}
		lower[i] = ch
	}
	return string(lower[:len(raw)])
}

// finishReason returns a finish reason without allocating for the usual ones.
// One that does not look like a code becomes "other".
func finishReason(raw string) string {
	switch raw {
	case "":
		return ""
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	case "content_filter":
		return "content_filter"
	case "function_call":
		return "function_call"
	}
	if len(raw) > maxCode {
		return "other"
	}
	for _, ch := range []byte(raw) {
		if ch|0x20 < 'a' || ch|0x20 > 'z' {
			if ch != '_' && ch != '-' && (ch < '0' || ch > '9') {
				return "other"
			}
		}
	}
	return strings.Clone(raw)
}
