package jsonview

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendText appends the text that stands escaped inside a JSON string (RFC 8259
// section 7). Half a surrogate pair becomes U+FFFD; other bytes are taken as they come.
func AppendText(dst []byte, inside string) []byte {
	for {
		n := strings.IndexByte(inside, '\\')
		if n < 0 || n+1 >= len(inside) {
			return append(dst, inside...)
		}
		dst = append(dst, inside[:n]...)
		if inside[n+1] == 'u' {
			r, size := escapedRune(inside[n:])
			dst = utf8.AppendRune(dst, r)
			inside = inside[n+size:]
			continue
		}
		dst = append(dst, unescaped(inside[n+1]))
		inside = inside[n+2:]
	}
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c // a quote, a slash, a backslash
}

// escapedRune reads \uXXXX at the front of s, or two of them that are a surrogate pair,
// and returns how many bytes that was.
func escapedRune(s string) (rune, int) {
	const size = len(`\uXXXX`)
	r := hex4(s)
	if r < 0 {
		return utf8.RuneError, min(size, len(s))
	}
	if !utf16.IsSurrogate(r) {
		return r, size
	}
	if pair := utf16.DecodeRune(r, hex4(s[size:])); pair != utf8.RuneError {
		return pair, 2 * size
	}
	return utf8.RuneError, size
}

// hex4 is the number of a \uXXXX at the front of s, -1 if there is none.
func hex4(s string) rune {
	if len(s) < len(`\uXXXX`) || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
