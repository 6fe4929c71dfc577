// Package jsonframe recognises JSON documents that equal an earlier one in all but the
// insides of a few strings and a few counts, without parsing them. Nearly all events of
// a stream are of this kind.
package jsonframe

import (
	"bytes"

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
	n      int // holes, 0 if there is no document
	gaps   [MaxHoles]gap
	text   []byte // the document without what is in its holes
	tail   int    // how far text goes, but for the brace behind
	braced bool   // the document is an object
}

// gap is a hole in a frame. A Frame has them in the order of the document.
type gap struct {
	Hole       // in the document that was matched last
	number int // of the hole, as Learn was told
	at     int // where in the frame's text it is
	learnt int // where in the document that was learnt it ends
}

// Known tells whether there is anything to match.
func (f *Frame) Known() bool { return f.n > 0 }

// Forget makes the frame match nothing.
func (f *Frame) Forget() { f.n = 0 }

// Learn takes in a document that is valid JSON and its holes, which must be those of
// values in it. It reports whether that is within bounds; otherwise the frame matches
// nothing.
func (f *Frame) Learn(data []byte, holes ...Hole) bool {
	f.n = 0
	if len(holes) == 0 || len(holes) > MaxHoles || !f.arrange(data, holes) {
		return false
	}
	f.text = f.text[:0]
	from := 0
	for i := range holes {
		g := &f.gaps[i]
		f.text = append(f.text, data[from:g.From]...)
		g.at, g.learnt = len(f.text), g.To
		from = g.To
	}
	rest := bytes.TrimRight(data[from:], blanks)
	if f.braced = bytes.HasSuffix(rest, []byte("}")); f.braced {
		rest = bytes.TrimRight(rest[:len(rest)-1], blanks)
	}
	f.text = append(f.text, rest...)
	f.tail = len(f.text)
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
		i := n
		for ; i > 0 && f.gaps[i-1].From > h.From; i-- {
			f.gaps[i] = f.gaps[i-1]
		}
		f.gaps[i] = gap{Hole: h, number: n}
	}
	for i := range holes[1:] {
		if f.gaps[i].To >= f.gaps[i+1].From {
			return false
		}
	}
	return size <= maxFrame
}

// Match tells whether a document equals the one that was learnt but for what is in its
// holes, and for blanks in front of its last brace and behind it: some providers pad
// their events with those. A document that matches is valid JSON.
func (f *Frame) Match(data []byte) bool {
	if f.n == 0 || len(data) < f.tail {
		return false
	}
	at, from := 0, 0 // what is compared already, of data and of the frame's text
	for i := range f.gaps[:f.n] {
		g := &f.gaps[i]
		start := at + g.at - from
		if start > len(data) || string(data[at:start]) != string(f.text[from:g.at]) {
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
		g.From, g.To = start, at
		from = g.at
	}
	end := at + f.tail - from
	return end <= len(data) && string(data[at:end]) == string(f.text[from:f.tail]) && f.closes(data[end:])
}

// closes tells whether rest ends the document.
func (f *Frame) closes(rest []byte) bool {
	if f.braced {
		at := blanksEnd(rest, 0)
		if at == len(rest) || rest[at] != '}' {
			return false
		}
		rest = rest[at+1:]
	}
	return blanksEnd(rest, 0) == len(rest)
}

// Hole is where the hole with the given number, in the order in which Learn was told of
// them, is in the document that was matched last.
func (f *Frame) Hole(number int) (from, to int) {
	for i := range f.gaps[:f.n] {
		if g := &f.gaps[i]; g.number == number {
			return g.From, g.To
		}
	}
	return 0, 0
}

// Moved is where that which stands at an offset of the document that was learnt, in no
// hole of it, is in the document that was matched last.
func (f *Frame) Moved(at int) int {
	by := 0
	for i := range f.gaps[:f.n] {
		g := &f.gaps[i]
		if g.learnt > at {
			break
		}
		by = g.To - g.learnt
	}
	return at + by
}
