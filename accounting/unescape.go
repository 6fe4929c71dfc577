package accounting

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unescapeNext moves the front of src, the inside of a JSON string, to dst: a
// run without escapes, or one escape (RFC 8259 section 7). It adds no more than
// fits below limit, save for one whole escape. What is no valid escape is taken
// as it stands, so that any input comes to an end.
func unescapeNext(dst, src []byte, limit int) (newDst, rest []byte) {
	if src[0] != '\\' {
		n := bytes.IndexByte(src, '\\')
		if n < 0 {
			n = len(src)
		}
		n = min(n, max(limit-len(dst), 1))
		return append(dst, src[:n]...), src[n:]
	}
	if len(src) == 1 {
		return append(dst, '\\'), nil
	}
	switch src[1] {
	case 'n':
		return append(dst, '\n'), src[2:]
	case 't':
		return append(dst, '\t'), src[2:]
	case 'r':
		return append(dst, '\r'), src[2:]
	case 'b':
		return append(dst, '\b'), src[2:]
	case 'f':
		return append(dst, '\f'), src[2:]
	case 'u':
		return unescapeUnicode(dst, src)
	default: // a quote, a slash, a backslash
		return append(dst, src[1]), src[2:]
	}
}

// unescapeUnicode moves \uXXXX, or a pair of surrogates written as two of them.
func unescapeUnicode(dst, src []byte) (newDst, rest []byte) {
	r, ok := hex4(src)
	if !ok {
		return append(dst, src[0]), src[1:]
	}
	src = src[6:]
	if utf16.IsSurrogate(r) {
		low, ok := hex4(src)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return utf8.AppendRune(dst, pair), src[6:]
		}
	}
	return utf8.AppendRune(dst, r), src // a lone surrogate becomes U+FFFD
}

// hex4 reads the number of a \uXXXX at the front of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
