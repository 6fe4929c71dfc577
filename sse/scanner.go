package sse

import "bytes"

const (
	// defaultMaxEvent is the bound of a block when Scanner.MaxEvent is not set.
	defaultMaxEvent = 1 << 20
	// maxIdleBuffer is the largest buffer a scanner keeps between two blocks:
	// a quiet stream shall not hold the memory of its largest event.
	maxIdleBuffer = 4 << 10
)

// Scanner cuts an event stream into blocks. It is a pure function of the bytes
// fed, whatever their division, never fails, and allocates nothing in the
// steady state. The zero value is ready.
//
//	s.Feed(p)
//	for s.Next(&ev) { ... }
//
// Lines end with LF, CR or CRLF (WHATWG HTML 9.2.5, end-of-line). A CR that
// ends a block at the very end of a Feed completes it at once; should an LF
// follow in the next Feed, it belongs to Raw of the block after, so that Raw of
// all blocks together is the stream.
type Scanner struct {
	// MaxEvent bounds the size in bytes of a block that is kept; larger ones
	// are skipped and reported by Event.Overflow. 0 means 1 MiB.
	MaxEvent int

	in     []byte // what the last Feed brought, borrowed
	pos    int    // start of what Next has not looked at
	nextLF int    // offset of the next LF at or behind pos, len(in) if there is none
	nextCR int    // the same for CR

	held      []byte // start of a block that was cut by the end of a Feed
	joined    []byte // data of an event with several data fields
	size      int    // bytes of the block so far
	inLine    bool   // the cut is inside a line that is not empty
	swallowLF bool   // the last byte was a CR that ended a line
	lead      bool   // held starts with an LF that belongs to the line end before
	overflow  bool   // the block is larger than MaxEvent
	marked    bool   // the block starts with a byte order mark
	bom       uint8  // matched bytes of a byte order mark, bomDone if decided
}

// byteOrderMark may stand once, before everything else (WHATWG HTML 9.2.5, stream).
const (
	byteOrderMark = "\xEF\xBB\xBF"
	bomDone       = 4
)

// Feed hands the next bytes of the stream to the scanner. It borrows p until the
// next Feed; call Next until it returns false before feeding more.
func (s *Scanner) Feed(p []byte) {
	s.in, s.pos = p, 0
	s.nextLF, s.nextCR = -1, -1
}

// AtBoundary reports whether everything fed so far ends between two blocks, so
// that a comment may be written there. It tells the truth once Next has returned false.
func (s *Scanner) AtBoundary() bool {
	return s.pos >= len(s.in) && s.size == 0
}

// Pending returns the bytes held of a block whose end has not come yet: nil at
// a boundary, nil when the block is too large to be kept.
func (s *Scanner) Pending() []byte {
	if s.size == 0 || s.overflow {
		return nil
	}
	return s.held
}

// Holds reports whether Raw of the next block will begin with bytes of an earlier Feed:
// those of Pending, or the LF alone that completes the line end before.
func (s *Scanner) Holds() bool { return s.size > 0 || s.lead }

// Next reads the next complete block into ev and reports whether there was one.
func (s *Scanner) Next(ev *Event) bool {
	if s.size == 0 {
		if !s.lead {
			s.release()
		}
		if s.pos >= len(s.in) {
			return false
		}
		if s.bom == bomDone && !s.swallowLF && !s.lead && (s.single(ev, s.pos) || s.named(ev)) {
			return true
		}
	}
	start := s.pos
	end, lead := s.blockEnd()
	if end < 0 {
		s.hold(s.in[start:])
		s.pos = len(s.in)
		return false
	}
	s.pos = end
	s.take(ev, start, lead)
	return true
}

// Flush returns the last block if the stream ended without its blank line.
// WHATWG HTML 9.2.6 drops such a block; here the caller decides. The scanner
// is at a boundary afterwards.
func (s *Scanner) Flush(ev *Event) bool {
	if s.size == 0 {
		s.release()
		return false
	}
	*ev = Event{End: len(s.in), Overflow: s.overflow}
	if !s.overflow {
		ev.Raw = s.held
		s.fields(ev, s.content(s.held))
	}
	s.endBlock()
	return true
}

// single is the way nearly every block takes: one data field on the line at i, and
// the blank line behind it, all within the bytes of this Feed.
func (s *Scanner) single(ev *Event, i int) bool {
	p := s.in[i:]
	if len(p) < 7 || string(p[:5]) != "data:" {
		return false
	}
	s.findLineEnds(i)
	lf, data := s.nextLF, i+5
	end := lf
	if s.nextCR < lf {
		if s.nextCR != lf-1 {
			return false
		}
		end = s.nextCR
	}
	next := lf + 1
	if next < len(s.in) && s.in[next] == '\n' {
		next++
	} else if next+1 < len(s.in) && s.in[next] == '\r' && s.in[next+1] == '\n' {
		next += 2
	} else {
		return false
	}
	if data < end && s.in[data] == ' ' {
		data++
	}
	*ev = Event{Data: s.in[data:end:end], Raw: s.in[s.pos:next:next], End: next}
	if s.tooLarge(next - s.pos - optionalLF(ev.Raw)) {
		*ev = Event{End: next, Overflow: true}
	}
	s.pos = next
	return true
}

// named is the way of the others: a block as single reads it, with an event field on the
// line in front.
func (s *Scanner) named(ev *Event) bool {
	if s.in[s.pos] != 'e' {
		return false
	}
	s.findLineEnds(s.pos)
	line := s.in[s.pos:s.nextLF:s.nextLF]
	name, ok := field(line, "event")
	if !ok || s.nextLF == len(s.in) || s.nextCR < s.nextLF {
		return false
	}
	if !s.single(ev, s.nextLF+1) {
		s.nextLF = s.pos + len(line) // single may have gone on from there
		return false
	}
	if !ev.Overflow {
		ev.Name = name
	}
	return true
}

// findLineEnds brings nextLF and nextCR up to the offset i. Each byte is
// searched once for each, so a stream without CR does not pay for it per line.
func (s *Scanner) findLineEnds(i int) {
	if s.nextLF < i {
		s.nextLF = indexFrom(s.in, i, '\n')
	}
	if s.nextCR < i {
		s.nextCR = indexFrom(s.in, i, '\r')
	}
}

func indexFrom(b []byte, i int, ch byte) int {
	if n := bytes.IndexByte(b[i:], ch); n >= 0 {
		return i + n
	}
	return len(b)
}

// blockEnd looks for the end of the current block and returns the offset just
// past it, -1 if it is not in the bytes at hand. lead is the number of bytes at
// pos that belong to the line end before the block.
func (s *Scanner) blockEnd() (end, lead int) {
	i := s.pos
	if s.swallowLF && i < len(s.in) {
		s.swallowLF = false
		if s.in[i] == '\n' {
			i++
			if s.size == 0 {
				s.lead, lead = true, 1
			}
		}
	}
	i = s.skipBOM(i)
	for i < len(s.in) {
		s.findLineEnds(i)
		line := min(s.nextLF, s.nextCR)
		if line > i {
			s.inLine = true
		}
		if line == len(s.in) {
			return -1, lead
		}
		blank := !s.inLine
		s.inLine = false
		i = line + 1
		if s.in[line] == '\r' {
			if i == len(s.in) {
				s.swallowLF = true
			} else if s.in[i] == '\n' {
				i++
			}
		}
		if blank {
			return i, lead
		}
	}
	return -1, lead
}

// skipBOM steps over a byte order mark at the start of the stream, wherever it is cut.
func (s *Scanner) skipBOM(i int) int {
	for s.bom < bomDone && i < len(s.in) {
		if s.in[i] != byteOrderMark[s.bom] {
			s.inLine = s.bom > 0
			s.bom = bomDone
			return i
		}
		i++
		if s.bom++; int(s.bom) == len(byteOrderMark) {
			s.bom, s.marked = bomDone, true
		}
	}
	return i
}

// hold keeps the bytes of a block that goes on in the next Feed.
func (s *Scanner) hold(p []byte) {
	n := len(p)
	if s.lead && s.size == 0 && len(s.held) == 0 && n > 0 {
		n-- // the LF in front is no part of the block
	}
	s.size += n
	switch {
	case s.overflow:
	case s.tooLarge(s.size):
		s.overflow = true
		s.held = nil
	default:
		s.held = append(s.held, p...)
	}
}

func (s *Scanner) tooLarge(n int) bool {
	if s.MaxEvent > 0 {
		return n > s.MaxEvent
	}
	return n > defaultMaxEvent
}

// take fills ev with the block that ends at pos and begins at start, or in held
// if an earlier Feed brought its beginning.
func (s *Scanner) take(ev *Event, start, lead int) {
	*ev = Event{End: s.pos}
	raw := s.in[start:s.pos:s.pos]
	begun := s.size > 0 || len(s.held) > 0
	s.size -= optionalLF(raw)
	if begun {
		s.hold(raw)
		raw = s.held
	} else {
		s.size += len(raw) - lead
		s.overflow = s.tooLarge(s.size)
	}
	if s.overflow {
		ev.Overflow = true
	} else {
		ev.Raw = raw
		s.fields(ev, s.content(raw))
	}
	s.endBlock()
}

// optionalLF is 1 if the block ends with CRLF. That LF is not held against
// MaxEvent, for it may come too late to belong to the block.
func optionalLF(raw []byte) int {
	if bytes.HasSuffix(raw, []byte("\r\n")) {
		return 1
	}
	return 0
}

// content is the block without what precedes its first line.
func (s *Scanner) content(raw []byte) []byte {
	switch {
	case s.lead:
		return raw[1:]
	case s.marked:
		return raw[len(byteOrderMark):]
	}
	return raw
}

// endBlock puts the scanner between two blocks. The bytes of the block stay
// readable until the next call.
func (s *Scanner) endBlock() {
	s.size = 0
	s.lead, s.overflow, s.inLine, s.marked = false, false, false, false
}

// release forgets the block before, and its memory if that is large.
func (s *Scanner) release() {
	s.held = emptied(s.held)
	s.joined = emptied(s.joined)
}

func emptied(b []byte) []byte {
	if cap(b) > maxIdleBuffer {
		return nil
	}
	return b[:0]
}
