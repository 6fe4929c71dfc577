package accounting

// truthy reports whether the value at s counts as true in a client that tests
// an error member that way: providers send null, false and "" for "no error".
func truthy(b []byte, s span) bool {
	if !s.present() {
		return false
	}
	switch b[s.start] {
	case 'n', 'f':
		return false
	case '"':
		return s.end-s.start > 2
	case '0':
		return s.end-s.start > 1
	}
	return true
}

// fail keeps the code of the first error. code is used where the error is no object.
func (m *Meter) fail(data []byte, failure, code span) {
	if m.code != "" {
		return
	}
	kind := span{}
	object(data, failure, func(key []byte, v span) {
		switch string(key) {
		case "code":
			code = v
		case "type":
			kind = v
		}
	})
	if m.code = codeOf(data, code); m.code == "" {
		m.code = codeOf(data, kind)
	}
}

// maxCode is the longest error code or finish reason that is kept.
const maxCode = 64

// codeOf returns the string or whole number at s as a code, "" if it does not
// look like one. Text is not squeezed into a code: it might be a message that
// quotes a prompt.
func codeOf(b []byte, s span) string {
	if !s.present() {
		return ""
	}
	raw := s.of(b)
	if inner, ok := text(b, s); ok {
		raw = inner.of(b)
	} else if _, ok := integer(b, s); !ok {
		return ""
	}
	if len(raw) == 0 || len(raw) > maxCode {
		return ""
	}
	var lower [maxCode]byte
	for i, ch := range raw {
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
func finishReason(raw []byte) string {
	switch string(raw) {
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
	for _, ch := range raw {
		if ch|0x20 < 'a' || ch|0x20 > 'z' {
			if ch != '_' && ch != '-' && (ch < '0' || ch > '9') {
				return "other"
			}
		}
	}
	return string(raw)
}
