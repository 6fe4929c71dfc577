package accounting

import (
	"encoding/binary"
	"math/bits"
)

// span is a half-open range of offsets in the bytes that a cursor walks.
// The zero span means "not there": no JSON value starts at offset 0 with no length.
type span struct{ start, end int }

func (s span) present() bool { return s.end > s.start }

func (s span) of(b []byte) []byte { return b[s.start:s.end] }

// maxDepth bounds the nesting a cursor follows, so that hostile input cannot
// exhaust the stack. Deeper documents count as malformed.
const maxDepth = 512

// cursor walks one JSON text (RFC 8259) in place: it checks the grammar and
// hands out offsets, never values, so it allocates nothing. Bytes above 0x7F
// are taken as they come, because providers do send invalid UTF-8.
//
// The first violation sets bad and moves the cursor to the end, so loops stop
// and a caller needs to look at bad only once.
type cursor struct {
	b     []byte
	i     int
	depth int
	bad   bool
}

func (c *cursor) fail() {
	c.bad = true
	c.i = len(c.b)
}

// space moves to the next byte that is not JSON whitespace and returns it, 0 at the end.
func (c *cursor) space() byte {
	if c.i < len(c.b) && c.b[c.i] > ' ' {
		return c.b[c.i]
	}
	return c.skipSpace()
}

func (c *cursor) skipSpace() byte {
	for c.i < len(c.b) {
		switch ch := c.b[c.i]; ch {
		case ' ', '\n', '\t', '\r':
			c.i++
		default:
			return ch
		}
	}
	return 0
}

// done reports whether the text was well formed and only whitespace is left.
func (c *cursor) done() bool {
	return c.space() == 0 && c.i >= len(c.b) && !c.bad
}

// open enters an object or array whose opening byte comes next and reports
// whether it has a first member; closing is the byte that ends it.
func (c *cursor) open(opening, closing byte) bool {
	if c.space() != opening || c.depth >= maxDepth {
		c.fail()
		return false
	}
	c.i++
	if c.space() == closing {
		c.i++
		return false
	}
	c.depth++
	return true
}

// more steps over what follows a member and reports whether another one comes.
func (c *cursor) more(closing byte) bool {
	switch c.space() {
	case ',':
		c.i++
		if c.space() == closing {
			c.fail()
			return false
		}
		return true
	case closing:
		if c.i < len(c.b) {
			c.i++
			c.depth--
			return false
		}
	}
	c.fail()
	return false
}

// key reads a member's name and the colon, and returns the span of the name
// between its quotes.
func (c *cursor) key() span {
	if c.space() != '"' {
		c.fail()
		return span{}
	}
	name := span{c.i + 1, 0}
	c.str()
	name.end = c.i - 1
	if c.space() != ':' {
		c.fail()
		return span{}
	}
	c.i++
	return name
}

// name is key, as the name itself: decoded, and nil after a violation.
func (c *cursor) name() []byte {
	s := c.key()
	if c.bad {
		return nil
	}
	return decodedKey(s.of(c.b))
}

// value steps over the next value and returns its span.
func (c *cursor) value() span {
	first := c.space()
	start := c.i
	switch {
	case first == '"':
		c.str()
	case first == '{':
		for more := c.open('{', '}'); more; more = c.more('}') {
			c.key()
			c.value()
		}
	case first == '[':
		for more := c.open('[', ']'); more; more = c.more(']') {
			c.value()
		}
	case first == '-' || first >= '0' && first <= '9':
		c.number()
	case first == 't':
		c.word("true")
	case first == 'f':
		c.word("false")
	case first == 'n':
		c.word("null")
	default:
		c.fail()
	}
	if c.bad {
		return span{}
	}
	return span{start, c.i}
}

func (c *cursor) word(w string) {
	if len(c.b)-c.i < len(w) || string(c.b[c.i:c.i+len(w)]) != w {
		c.fail()
		return
	}
	c.i += len(w)
}

func (c *cursor) number() {
	if c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else if !c.digits() {
		c.fail()
		return
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		c.i++
		if !c.digits() {
			c.fail()
			return
		}
	}
	if c.i < len(c.b) && c.b[c.i]|0x20 == 'e' {
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		if !c.digits() {
			c.fail()
		}
	}
}

func (c *cursor) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i]-'0' <= 9 {
		c.i++
	}
	return c.i > start
}

// str steps over the string whose opening quote comes next.
func (c *cursor) str() {
	end := stringEnd(c.b, c.i+1)
	if end < 0 {
		c.fail()
		return
	}
	c.i = end + 1
}

// stringStop marks the bytes that end the plain part of a JSON string:
// the quote, the backslash, and the control characters RFC 8259 section 7 forbids.
var stringStop = func() (t [256]bool) {
	for i := range 0x20 {
		t[i] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// stringEnd returns the offset of the quote that closes a string whose first
// byte behind the opening quote is b[i], or -1 if the string is malformed or
// does not end.
func stringEnd(b []byte, i int) int {
	for i < len(b) {
		if len(b)-i >= 8 {
			n := plainBytes(binary.LittleEndian.Uint64(b[i:]))
			if i += n; n == 8 {
				continue
			}
		}
		ch := b[i]
		if !stringStop[ch] {
			i++
			continue
		}
		if ch == '"' {
			return i
		}
		if ch != '\\' {
			return -1
		}
		if i = escapeEnd(b, i); i < 0 {
			return -1
		}
	}
	return -1
}

// plainBytes returns how many of the eight bytes of x, the lowest first, come
// before the first one that stringStop marks. A byte of w^pattern is zero where
// w has the wanted byte, and subtracting one from it borrows into its high bit;
// a borrow can only spoil bytes behind the first match.
func plainBytes(x uint64) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := x ^ ones*'"'
	backslash := x ^ ones*'\\'
	stops := (quote-ones)&^quote | (backslash-ones)&^backslash | (x-ones*0x20)&^x
	return bits.TrailingZeros64(stops&highs) / 8
}

// escapeEnd returns the offset behind the escape sequence at b[i], -1 if it is none.
func escapeEnd(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(b) {
			return -1
		}
		for _, h := range b[i+2 : i+6] {
			if hexDigit(h) < 0 {
				return -1
			}
		}
		return i + 6
	}
	return -1
}

func hexDigit(h byte) int {
	switch {
	case h >= '0' && h <= '9':
		return int(h - '0')
	case h|0x20 >= 'a' && h|0x20 <= 'f':
		return int(h|0x20-'a') + 10
	}
	return -1
}

// decodedKey returns a member name with its escapes resolved: "us\u0061ge"
// means "usage" to every JSON parser, so it must here too. Only names that hold
// an escape are copied.
func decodedKey(name []byte) []byte {
	for _, ch := range name {
		if ch == '\\' {
			return appendUnescaped(nil, name)
		}
	}
	return name
}

// object calls visit for each member of the object at s, keys decoded. Text
// that is no well-formed object yields no further calls.
func object(b []byte, s span, visit func(key []byte, value span)) {
	if !isKind(b, s, '{') {
		return
	}
	c := cursor{b: b[:s.end], i: s.start}
	for more := c.open('{', '}'); more; more = c.more('}') {
		k := c.key()
		v := c.value()
		if c.bad {
			return
		}
		visit(decodedKey(k.of(b)), v)
	}
}

// array calls visit for each element of the array at s.
func array(b []byte, s span, visit func(value span)) {
	if !isKind(b, s, '[') {
		return
	}
	c := cursor{b: b[:s.end], i: s.start}
	for more := c.open('[', ']'); more; more = c.more(']') {
		v := c.value()
		if c.bad {
			return
		}
		visit(v)
	}
}

// isKind reports whether the value at s starts with the given byte.
func isKind(b []byte, s span, first byte) bool {
	return s.present() && b[s.start] == first
}

// text returns the inside of the string value at s, still escaped; ok is false
// for any other kind of value.
func text(b []byte, s span) (inner span, ok bool) {
	if !isKind(b, s, '"') {
		return span{}, false
	}
	return span{s.start + 1, s.end - 1}, true
}

// integer reads the number at s if it is a whole one that an int64 holds.
func integer(b []byte, s span) (int64, bool) {
	if !s.present() {
		return 0, false
	}
	digits, negative := s.of(b), false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for _, d := range digits {
		if d-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
