package jsonframe

import (
	"encoding/binary"
	"math/bits"
)

// blanks is the white space of JSON (RFC 8259, section 2).
const blanks = " \t\r\n"

func blanksEnd(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

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
	for {
		i = plainEnd(b, i)
		if i == len(b) {
			return -1
		}
		switch b[i] {
		case '"':
			return i
		case '\\':
			if i = escapeEnd(b, i+1); i < 0 {
				return -1
			}
		default: // a control character
			return -1
		}
	}
}

// plainEnd is the offset of the first quote, backslash or control character at b[i] or
// behind it. It looks at eight bytes at a time: of a byte x in a word, x-n borrows its
// highest bit if x was less than n, and the lowest byte of which that is said is one of
// which it is true.
func plainEnd(b []byte, i int) int {
	const (
		each  = 0x0101010101010101
		highs = each << 7
	)
	for ; i+8 <= len(b); i += 8 {
		word := binary.LittleEndian.Uint64(b[i:])
		stops := (word - each*0x20) | (word ^ each*'"' - each) | (word ^ each*'\\' - each)
		if stops &= ^word & highs; stops != 0 {
			return i + bits.TrailingZeros64(stops)/8
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
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
