package jsonframe

import (
	"encoding/binary"
	"math/bits"
)

// blanksEnd is the offset behind the white space at b[i].
func blanksEnd(b []byte, i int) int {
	for i < len(b) && isBlank(b[i]) {
		i++
	}
	return i
}

// trimmed is b without the white space at its end.
func trimmed(b []byte) []byte {
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// isBlank knows the white space of JSON (RFC 8259, section 2).
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// digitsEnd is the offset behind the count that begins at b[i], -1 if there is none.
func digitsEnd(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start || i-start > maxDigits || b[start] == '0' && i > start+1 {
		return -1
	}
	return i
}

// stringEnd is the offset of the quote that ends the string whose inside begins at b[i],
// -1 if there is none, or if there is something in it that must not be (RFC 8259,
// section 7). Bytes above 0x7F are taken as they come.
func stringEnd(b []byte, i int) int {
	for i < len(b) {
		if i+8 <= len(b) {
			stops := stopsIn(binary.LittleEndian.Uint64(b[i:]))
			if stops == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(stops) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i
		case c == '\\':
			if i = escapeEnd(b, i+1); i < 0 {
				return -1
			}
		case c < 0x20:
			return -1
		default: // in the last bytes of b
			i++
		}
	}
	return -1
}

// stopsIn has the highest bit set of the first byte of a word that is a quote, a
// backslash or a control character, and of no byte in front of it: of a byte, x-n borrows
// that bit if x is less than n. Of the bytes behind it, it says nothing.
func stopsIn(word uint64) uint64 {
	const (
		each  = 0x0101010101010101
		highs = each << 7
	)
	return ((word - each*0x20) | ((word ^ each*'"') - each) | ((word ^ each*'\\') - each)) &^ word & highs
}

// escapeEnd is the offset behind the escape whose letter is b[i], -1 if it is none.
func escapeEnd(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		end := i + len("u0000")
		if end > len(b) {
			return -1
		}
		for _, c := range b[i+1 : end] {
			if c-'0' > 9 && c|0x20-'a' > 5 {
				return -1
			}
		}
		return end
	}
	return -1
}
