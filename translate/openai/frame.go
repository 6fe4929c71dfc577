package openai

import (
	"bytes"
	"slices"
)

// maxHoles is the number of places in which an event may differ from the one before it
// and still be recognised; maxFrame bounds the rest of it.
const (
	maxHoles = 3
	maxFrame = 2 << 10
)

// frame remembers an event that changed nothing of what is known of its stream and had
// one fragment of output: an event that equals it but for that fragment, and for
// padding, is judged like it without being read again. Nearly all events of a stream are
// of this kind.
type frame struct {
	n    int // holes, 0 if there is no frame
	text int // the hole with the fragment, which must not be empty
	same bool
	in   segments // what stands around the holes in an event
	out  segments // and in what replaces it
	hole [maxHoles][2]int
}

// segments are n+1 pieces of text one behind the other.
type segments struct {
	text []byte
	ends [maxHoles + 1]int
}

func (s *segments) piece(i int) []byte {
	if i == 0 {
		return s.text[:s.ends[0]]
	}
	return s.text[s.ends[i-1]:s.ends[i]]
}

func (f *frame) known() bool { return f.n > 0 }

func (f *frame) forget() { f.n = 0 }

// match tells whether a well-formed event fits, and notes where its holes are.
func (f *frame) match(data []byte) bool {
	if f.n == 0 || len(data) < f.in.ends[f.n] {
		return false
	}
	at := 0
	for i := range f.n {
		lead := f.in.piece(i)
		if !bytes.HasPrefix(data[at:], lead) {
			return false
		}
		at += len(lead)
		end := stringEnd(data, at)
		if end < 0 || end == at && i == f.text {
			return false
		}
		f.hole[i] = [2]int{at, end}
		at = end
	}
	return string(data[at:]) == string(f.in.piece(f.n))
}

// stringEnd is the offset of the quote that ends the string whose inside begins at
// data[at], -1 if there is none.
func stringEnd(data []byte, at int) int {
	for i := at; ; {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		quote := i + n
		escapes := 0
		for quote-escapes > at && data[quote-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return quote
		}
		i = quote + 1
	}
}

// apply judges an event that was matched.
func (f *frame) apply(dst, data []byte) ([]byte, Verdict) {
	if f.same {
		return dst, Untouched
	}
	for i := range f.n {
		dst = append(dst, f.out.piece(i)...)
		dst = append(dst, data[f.hole[i][0]:f.hole[i][1]]...)
	}
	return append(dst, f.out.piece(f.n)...), Replaced
}

// learn makes a frame of the event that was just read, if it is of the kind.
func (r *Repair) learn(w *bench, data []byte, same bool) {
	frame := len(data)
	for _, h := range w.holes {
		frame -= h.size
	}
	if r.moved || w.texts != 1 || len(w.parts) != 1 || len(w.holes) > maxHoles || frame > maxFrame ||
		!same && bytes.ContainsAny(data, "\r\n") {
		return
	}
	slices.SortFunc(w.holes, func(a, b hole) int { return a.at - b.at })
	f := &r.frame
	f.same = same
	f.in.text, f.out.text = f.in.text[:0], append(f.out.text[:0], dataPrefix...)
	from, outFrom := 0, 0
	for i, h := range w.holes {
		if h.output {
			f.text = i
		}
		if h.in != inEvent || h.out < outFrom {
			return // a hole that is not written, or in another order
		}
		f.in.text = append(f.in.text, data[from:h.at]...)
		f.in.ends[i] = len(f.in.text)
		f.out.text = append(f.out.text, w.event[outFrom:h.out]...)
		f.out.ends[i] = len(f.out.text)
		from, outFrom = h.at+h.size, h.out+h.size
	}
	last := len(w.holes)
	f.in.text = append(f.in.text, data[from:]...)
	f.in.ends[last] = len(f.in.text)
	f.out.text = append(append(f.out.text, w.event[outFrom:]...), eventEnd...)
	f.out.ends[last] = len(f.out.text)
	f.n = last
}
