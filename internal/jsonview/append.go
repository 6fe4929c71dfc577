package jsonview

// AppendCompact appends a JSON value without the white space between its tokens. Number
// literals, escapes and the order of members stay as they are.
func AppendCompact(dst []byte, raw string) []byte {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ' ', '\t', '\r', '\n':
		case '"':
			end := stringEnd(raw, i)
			if end < 0 {
				return append(dst, raw[i:]...)
			}
			dst = append(dst, raw[i:end]...)
			i = end - 1
		default:
			dst = append(dst, raw[i])
		}
	}
	return dst
}

// AppendEscaped appends a JSON value so that it can stand inside a JSON string: compact,
// with its quotes and backslashes escaped.
func AppendEscaped(dst []byte, raw string) []byte {
	inString := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case ' ', '\t', '\r', '\n':
			if inString {
				dst = append(dst, c)
			}
		case '"':
			inString = !inString
			dst = append(dst, '\\', '"')
		case '\\': // only strings have escapes, which are of two bytes or begin with two
			dst = append(dst, '\\', '\\')
			if i++; i < len(raw) {
				if raw[i] == '"' || raw[i] == '\\' {
					dst = append(dst, '\\')
				}
				dst = append(dst, raw[i])
			}
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
