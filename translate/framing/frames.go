package framing

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// Sizes in bytes, and the largest that AWS's own readers accept.
// https://smithy.io/2.0/aws/amazon-eventstream.html
const (
	preludeSize  = 12 // total length, length of the headers, CRC of both
	checksumSize = 4
	maxHeaders   = 128 << 10
	maxFrame     = 24 << 20
)

// frames is application/vnd.amazon.eventstream: each frame is an event with its
// :event-type for a name. Exceptions and errors have "exception " and their type for a
// name. The checksum of a frame that is too large to keep is not verified.
type frames struct {
	carry
	total   int // length of the frame under way, 0 until its prelude is read
	headers int // length of its headers
	prelude [preludeSize]byte
	begun   int    // bytes of the prelude that earlier Feeds brought
	name    []byte // of an exception, put together
	message []byte // of an error, put together
}

func (s *frames) AtBoundary() bool { return s.carry.AtBoundary() && s.begun == 0 }

func (s *frames) Next(ev *sse.Event) bool {
	if s.err != nil {
		return false
	}
	if s.size == 0 {
		s.release()
		s.name, s.message = emptied(s.name), emptied(s.message)
	}
	if s.total == 0 && !s.readPrelude() {
		return false
	}
	start, rest := s.pos, s.total-s.size
	if rest > len(s.in)-start {
		s.holdRest(start)
		return false
	}
	s.pos = start + rest
	s.total, s.begun = 0, 0
	frame, fits := s.take(s.in[start:s.pos])
	set(ev, s.pos, nil, fits)
	return !fits || s.read(ev, frame)
}

// Flush drops a frame that was cut.
func (s *frames) Flush(*sse.Event) bool {
	s.total, s.begun = 0, 0
	s.take(nil)
	s.release()
	return false
}

// readPrelude takes in the lengths of the next frame and leaves pos at the frame's
// first byte, or what of it comes behind the bytes that were held.
func (s *frames) readPrelude() bool {
	at := s.in[s.pos:]
	if s.begun > 0 || len(at) < preludeSize {
		n := copy(s.prelude[s.begun:], at)
		s.begun += n
		s.pos += n
		if s.begun < preludeSize {
			return false
		}
		at = s.prelude[:]
	}
	total, headers := binary.BigEndian.Uint32(at), binary.BigEndian.Uint32(at[4:])
	if crc32.ChecksumIEEE(at[:8]) != binary.BigEndian.Uint32(at[8:]) {
		return s.fail(ErrChecksum)
	}
	if total > maxFrame || headers > maxHeaders || total < preludeSize+headers+checksumSize {
		return s.fail(ErrLength)
	}
	s.total, s.headers = int(total), int(headers)
	if s.overflow = s.total > s.max; s.begun > 0 {
		s.hold(s.prelude[:])
	}
	return true
}

// read makes an event of a frame, whose payload and headers it does not copy.
func (s *frames) read(ev *sse.Event, frame []byte) bool {
	body := len(frame) - checksumSize
	if crc32.ChecksumIEEE(frame[:body]) != binary.BigEndian.Uint32(frame[body:]) {
		return s.fail(ErrChecksum)
	}
	split := preludeSize + s.headers
	h, ok := readHeaders(frame[preludeSize:split:split])
	if !ok {
		return s.fail(ErrHeaders)
	}
	ev.Name, ev.Data = h.event, frame[split:body:body]
	switch string(h.kind) {
	case "exception":
		ev.Name = s.exception(h.exception)
	case "error":
		ev.Name = s.exception(h.code)
		s.message = append(s.message[:0], `{"message":`...)
		s.message = translate.AppendQuoted(s.message, string(h.message))
		s.message = append(s.message, '}')
		ev.Data = s.message
	}
	return true
}

func (s *frames) exception(kind []byte) []byte {
	s.name = append(append(s.name[:0], "exception "...), kind...)
	return s.name
}

// known are the headers that matter, views of the frame.
type known struct {
	kind, event, exception, code, message []byte
}

// sizes of the header values that do not state theirs, by type: the booleans true and
// false, byte, short, integer, long, then timestamp and UUID.
var sizes = [...]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

const (
	typeBytes  = 6
	typeString = 7
)

// readHeaders goes through all headers: a name of one length byte, a type byte, and a
// value, before which byte arrays and strings have two length bytes.
func readHeaders(h []byte) (k known, ok bool) {
	for len(h) > 0 {
		n := int(h[0])
		if n == 0 || len(h) < 1+n+1 {
			return k, false
		}
		name, kind := h[1:1+n], int(h[1+n])
		h = h[1+n+1:]
		var size int
		switch {
		case kind >= len(sizes):
			return k, false
		case kind == typeBytes || kind == typeString:
			if len(h) < 2 {
				return k, false
			}
			size = int(binary.BigEndian.Uint16(h))
			h = h[2:]
		default:
			size = sizes[kind]
		}
		if len(h) < size {
			return k, false
		}
		if kind == typeString {
			k.note(name, h[:size:size])
		}
		h = h[size:]
	}
	return k, true
}

func (k *known) note(name, value []byte) {
	switch string(name) {
	case ":message-type":
		k.kind = value
	case ":event-type":
		k.event = value
	case ":exception-type":
		k.exception = value
	case ":error-code":
		k.code = value
	case ":error-message":
		k.message = value
	}
}
