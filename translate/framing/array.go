package framing

import (
	"bytes"

	"github.com/sluicehq/sluice/sse"
)

// array is one JSON array whose elements are the events, or one object that is the only
// event. It tells where elements begin and end; whether they are valid JSON is for
// their reader.
type array struct {
	carry
	place    place
	within   bool // pos is inside an element
	depth    int  // brackets open in it
	inString bool
	escaped  bool // the last byte was a backslash in a string
}

// place is where in the array pos is, unless it is inside an element.
type place uint8

const (
	beforeArray  place = iota
	afterBracket       // an element or the end of the array may come
	afterComma         // an element must come
	afterElement       // a comma or the end of the array must come
	afterEverything
)

func (s *array) Next(ev *sse.Event) bool {
	if s.err != nil {
		return false
	}
	if !s.within {
		s.release()
		if !s.begin() {
			return false
		}
	}
	start := s.pos
	end := s.elementEnd()
	if end < 0 {
		s.holdRest(start)
		return false
	}
	s.pos, s.within = end, false
	data, fits := s.take(s.in[start:end])
	set(ev, end, data, fits)
	return true
}

// Flush drops an element that was cut.
func (s *array) Flush(*sse.Event) bool {
	s.within, s.inString, s.escaped, s.depth = false, false, false, 0
	s.take(nil)
	s.release()
	return false
}

// begin goes to the first byte of the next element, if it is at hand.
func (s *array) begin() bool {
	for s.skipBlanks(); s.pos < len(s.in); s.skipBlanks() {
		c := s.in[s.pos]
		switch {
		case s.place == beforeArray && c == '{':
			s.place, s.within = afterEverything, true
			return true
		case s.place == beforeArray && c == '[':
			s.place = afterBracket
		case s.place == beforeArray:
			return s.fail(ErrNotArray)
		case s.place == afterEverything:
			return s.fail(ErrTrailing)
		case c == ']' && s.place != afterComma:
			s.place = afterEverything
		case c == ',' && s.place == afterElement:
			s.place = afterComma
		case s.place == afterElement || c == ']' || c == ',' || c == '}':
			return s.fail(ErrSeparator)
		default:
			s.place, s.within = afterElement, true
			return true
		}
		s.pos++
	}
	return false
}

// elementEnd is the offset just past the element that pos is in, -1 if it goes on
// behind the bytes at hand. A number or word ends before what cannot belong to it.
func (s *array) elementEnd() int {
	for i := s.pos; i < len(s.in); {
		if s.inString {
			if i = s.stringEnd(i); s.inString {
				return -1
			}
			if s.depth == 0 {
				return i
			}
			continue
		}
		switch s.in[i] {
		case '"':
			s.inString = true
		case '{', '[':
			s.depth++
		case '}', ']':
			if s.depth == 0 {
				return i
			}
			if s.depth--; s.depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if s.depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// stringEnd is the offset just past the string that i is in, and ends it, if its end
// is at hand. Each byte is searched once for quotes and once for backslashes.
func (s *array) stringEnd(i int) int {
	quote := -1
	for i < len(s.in) {
		if s.escaped {
			s.escaped = false
			i++
			continue
		}
		if quote < i {
			if quote = bytes.IndexByte(s.in[i:], '"'); quote < 0 {
				quote = len(s.in)
			} else {
				quote += i
			}
		}
		if n := bytes.IndexByte(s.in[i:quote], '\\'); n >= 0 {
			s.escaped = true
			i += n + 1
			continue
		}
		if quote < len(s.in) {
			s.inString = false
			return quote + 1
		}
		break
	}
	return len(s.in)
}
