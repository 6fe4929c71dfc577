package sse

// AppendEvent appends one event to dst: an event field if name is not empty,
// the data, and the blank line. Data is meant to be one-line JSON; a line break
// in it starts another data field (WHATWG HTML 9.2.6 joins them again with LF),
// so no payload can end the event early or add a field. Of a name, only the
// part before a line break is written.
func AppendEvent(dst, name, data []byte) []byte {
	if name, _ = cutLine(name); len(name) > 0 {
		dst = append(dst, "event: "...)
		dst = append(dst, name...)
		dst = append(dst, '\n')
	}
	for {
		line, rest := cutLine(data)
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
		if rest == nil {
			return append(dst, '\n')
		}
		data = rest
	}
}

// AppendComment appends a comment block to dst: a line that clients ignore
// (WHATWG HTML 9.2.5, comment) and the blank line. Line breaks in text become
// spaces. It may only be written between two blocks.
func AppendComment(dst, text []byte) []byte {
	dst = append(dst, ": "...)
	for _, ch := range text {
		if ch == '\n' || ch == '\r' {
			ch = ' '
		}
		dst = append(dst, ch)
	}
	return append(dst, '\n', '\n')
}

// cutLine splits b behind its first line end (LF, CR or CRLF). rest is nil if
// there is none.
func cutLine(b []byte) (line, rest []byte) {
	for i, ch := range b {
		switch {
		case ch == '\n':
			return b[:i], b[i+1:]
		case ch == '\r' && i+1 < len(b) && b[i+1] == '\n':
			return b[:i], b[i+2:]
		case ch == '\r':
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}
