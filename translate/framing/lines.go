package framing

import (
	"bytes"

	"github.com/sluicehq/sluice/sse"
)

// blanks is the white space of JSON (RFC 8259, section 2).
const blanks = " \t\r\n"

// lines is one JSON value on each line, the last of which need not end. White space
// around a value belongs to no event, and lines of nothing else are skipped.
type lines struct{ carry }

func (s *lines) Next(ev *sse.Event) bool {
	if s.size == 0 {
		s.release()
		s.skipBlanks()
		if s.pos >= len(s.in) {
			return false
		}
	}
	start := s.pos
	n := bytes.IndexByte(s.in[start:], '\n')
	if n < 0 {
		s.holdRest(start)
		return false
	}
	s.pos = start + n + 1
	line, fits := s.take(s.in[start : start+n])
	set(ev, s.pos, trimmed(line), fits)
	return true
}

// Flush returns the last line, if it has no line end.
func (s *lines) Flush(ev *sse.Event) bool {
	if s.size == 0 {
		s.release()
		return false
	}
	line, fits := s.take(nil)
	set(ev, len(s.in), trimmed(line), fits)
	return true
}

func trimmed(line []byte) []byte { return bytes.TrimRight(line, blanks) }
