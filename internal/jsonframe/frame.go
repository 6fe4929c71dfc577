// Package jsonframe recognises JSON documents that equal an earlier one in all but the
// insides of a few strings and a few counts, without parsing them. Nearly all events of
// a stream are of this kind.
package jsonframe

import (
	"bytes"
	"math"

	"github.com/sluicehq/sluice/internal/jsonview"
)

const (
	// MaxHoles is the number of places in which a document may differ.
	MaxHoles = 8
	// maxFrame bounds in bytes what is remembered of a document: all that is not in
	// its holes.
	maxFrame = 2 << 10
	// maxDigits bounds the counts that may stand in a hole, so that none of them is
	// beyond what can be counted.
	maxDigits = 15
)

// Hole is a place in a document: the inside of a string, or the digits of a whole
// number that is not negative.
type Hole struct {
	From, To int
	digits   bool
}

// HoleIn is the place of a value in its document.
func HoleIn(v jsonview.Value) Hole {
	if v.IsString() {
		return Hole{From: v.At + 1, To: v.At + len(v.Raw) - 1}
	}
	return Hole{From: v.At, To: v.At + len(v.Raw), digits: true}
}

// fits tells whether all of such a value stands there in a valid document.
func (h Hole) fits(data []byte) bool {
	switch {
	case h.From < 0 || h.From > h.To || h.To > len(data):
		return false
	case h.digits:
		return digitsEnd(data, h.From) == h.To
	}
	return h.From > 0 && data[h.From-1] == '"' && stringEnd(data, h.From) == h.To
}

// Frame is what surrounds the holes of a document. The zero Frame matches nothing.
type Frame struct {
	n     int // holes, 0 if there is no document
	gaps  [MaxHoles]gap
	place [MaxHoles]uint8 // in gaps, of the holes in the order in which Learn was told of them
	text  []byte          // the document without what is in its holes, and without padding
	tail  int             // where in text its last brace is, its length if there is none
}

// gap is a hole in a frame. A Frame has them in the order of the document.
type gap struct {
	at       int32 // where in the frame's text it is
	learnt   int32 // where in the document that was learnt it ends
	from, to int32 // where it is in the document that was matched last
	digits   bool
}

// Forget makes the frame match nothing.
func (f *Frame) Forget() { f.n = 0 }

// Learn takes in a document that is valid JSON and its holes, which must be those of
// values in it. It reports whether that is within bounds; otherwise the frame matches
// nothing.
func (f *Frame) Learn(data []byte, holes ...Hole) bool {
	f.n = 0
	if len(data) > math.MaxInt32 || len(holes) == 0 || len(holes) > MaxHoles || !f.arrange(data, holes) {
		return false
	}
	f.text = f.text[:0]
	from := int32(0)
	for i := range holes {
		g := &f.gaps[i]
		f.text = append(f.text, data[from:g.from]...)
		g.at = int32(len(f.text))
		from = g.to
	}
	rest, braced := bytes.CutSuffix(trimmed(data[from:]), []byte("}"))
	f.text = append(f.text, trimmed(rest)...)
	f.tail = len(f.text)
	if braced {
		f.text = append(f.text, '}')
	}
	f.n = len(holes)
	return true
}

// arrange puts the holes in order, and tells whether they are what they should be.
func (f *Frame) arrange(data []byte, holes []Hole) bool {
	size := len(data)
	for n, h := range holes {
		if !h.fits(data) {
			return false
		}
		size -= h.To - h.From
		behind := 0
		for earlier := range n {
			if holes[earlier].From < h.From {
				behind++
			} else {
				f.place[earlier]++
			}
		}
		f.place[n] = uint8(behind)
	}
	for n, h := range holes {
		to := int32(h.To)
		f.gaps[f.place[n]] = gap{from: int32(h.From), to: to, learnt: to, digits: h.digits}
	}
	for i := range holes[1:] {
		if f.gaps[i].to >= f.gaps[i+1].from {
			return false
		}
	}
	return size <= maxFrame
}

// Match tells whether a document equals the one that was learnt but for what is in its
// holes, and for blanks in front of its last brace and behind it: some providers pad
// their events with those. A document that matches is valid JSON.
func (f *Frame) Match(data []byte) bool {
	if f.n == 0 || len(data) < len(f.text) || len(data) > math.MaxInt32 {
		return false
	}
	at, from := 0, 0 // what is compared already, of data and of the frame's text
	for i := range f.gaps[:f.n] {
		g := &f.gaps[i]
		next := int(g.at)
		start := at + next - from
		if start > len(data) || string(data[at:start]) != string(f.text[from:next]) {
			return false
		}
		if g.digits {
			at = digitsEnd(data, start)
		} else {
			at = stringEnd(data, start)
		}
		if at < 0 {
			return false
		}
		g.from, g.to = int32(start), int32(at)
		from = next
	}
	return string(data[at:]) == string(f.text[from:]) || f.matchPadded(data[at:], from)
}

// matchPadded compares what is behind the last hole.
func (f *Frame) matchPadded(rest []byte, from int) bool {
	body, braced := f.text[from:f.tail], f.tail < len(f.text)
	if !bytes.HasPrefix(rest, body) {
		return false
	}
	at := blanksEnd(rest, len(body))
	if braced {
		if at == len(rest) || rest[at] != '}' {
			return false
		}
		at = blanksEnd(rest, at+1)
	}
	return at == len(rest)
}

// Hole is where the hole with the given number, in the order in which Learn was told of
// them, is in the document that was matched last.
func (f *Frame) Hole(number int) (from, to int) {
	g := &f.gaps[f.place[number]]
	return int(g.from), int(g.to)
}

// Moved is where that which stands at an offset of the document that was learnt, in no
// hole of it, is in the document that was matched last.
func (f *Frame) Moved(at int) int {
	by := int32(0)
	for i := range f.gaps[:f.n] {
		g := &f.gaps[i]
		if int(g.learnt) > at {
			break
		}
		by = g.to - g.learnt
	}
	return at + int(by)
}
