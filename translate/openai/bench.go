package openai

import (
	"bytes"
	"sync"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// bench holds what an event is taken apart and put together on. Its memory is shared by
// all streams: a quiet one holds none.
type bench struct {
	arrived int // choices in the event
	read    int // in the value of choices, where the last one read ends
	first   string
	usage   jsonview.Value // that of a choice
	parts   []part
	delta   []byte // the delta of the choice under way
	rounds  [][]byte
	prelude []byte // events to be written in front of this one
	event   []byte // the event with its first part
	from    int    // event[from:to] is the value of choices
	to      int
	native  string // the provider's own finish reason, a JSON string
	ended   bool   // a choice has ended in the event
	stays   string // usage for the last part of the event

	texts int    // fragments of output in the event
	holes []hole // they, and what varies without a meaning
}

// hole is the inside of a string that is copied as it is and may differ in an event that
// is otherwise the same.
type hole struct {
	at, size int   // in the data
	out      int   // where it stands in what is written
	in       stage // what out is an offset in
	output   bool  // a fragment of output
}

// stage is a buffer through which a hole passes.
type stage uint8

const (
	inDelta stage = iota
	inPart
	inEvent
)

// note notes a string that is about to be appended to what is written.
func (w *bench) note(m jsonview.Value, out int, in stage, output bool) {
	if !m.IsString() {
		return
	}
	if output {
		w.texts++
	}
	w.holes = append(w.holes, hole{m.At + 1, len(m.Raw) - 2, out + 1, in, output})
}

// passed says that the buffer of a stage is being appended behind base other bytes.
func (w *bench) passed(from stage, base int) {
	for i := range w.holes {
		if h := &w.holes[i]; h.in == from {
			h.in, h.out = from+1, h.out+base
		}
	}
}

// part is the elements of choices of one event to be written.
type part struct {
	elements []byte
	n        int
}

var benches = sync.Pool{New: func() any { return new(bench) }}

// maxBench bounds the memory that is kept for later events.
const maxBench = 64 << 10

func (w *bench) begin(data []byte) jsonview.Value {
	text := jsonview.View(data)
	from, to := 0, len(text)
	for from < to && isBlank(text[from]) {
		from++
	}
	for to > from && isBlank(text[to-1]) {
		to--
	}
	w.arrived, w.read, w.texts, w.native, w.usage = 0, 1, 0, "", jsonview.Value{}
	w.ended, w.stays = false, ""
	w.parts, w.holes, w.prelude = w.parts[:0], w.holes[:0], w.prelude[:0]
	return jsonview.Value{Raw: text[from:to], At: from}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (w *bench) release() {
	size := cap(w.delta) + cap(w.event)
	for i := range w.parts[:cap(w.parts)] {
		size += cap(w.parts[:cap(w.parts)][i].elements)
	}
	for i := range w.rounds[:cap(w.rounds)] {
		size += cap(w.rounds[:cap(w.rounds)][i])
	}
	if size > maxBench {
		*w = bench{}
	}
	w.native, w.stays, w.first, w.usage = "", "", "", jsonview.Value{} // they are views of the event
	benches.Put(w)
}

// gap is what stands in front of an element of choices.
func (w *bench) gap(choices, element jsonview.Value) string {
	start := element.At - choices.At
	text := choices.Raw[w.read:start]
	if w.read == 1 {
		w.first = text
	}
	w.read = start + len(element.Raw)
	return text
}

// element begins an element of choices in the k-th part; gap is what stood in front of it.
func (w *bench) element(k int, gap string) *part {
	for len(w.parts) <= k {
		if len(w.parts) < cap(w.parts) {
			w.parts = w.parts[:len(w.parts)+1]
			p := &w.parts[len(w.parts)-1]
			p.elements, p.n = p.elements[:0], 0
		} else {
			w.parts = append(w.parts, part{})
		}
	}
	p := &w.parts[k]
	switch {
	case k > 0 && p.n > 0:
		p.elements = append(p.elements, ',')
	case k > 0:
	case p.n == 0:
		p.elements = append(p.elements, w.first...)
	default:
		p.elements = append(p.elements, gap...)
	}
	p.n++
	return p
}

// appendChoices appends the value of choices with the first part in it.
func (w *bench) appendChoices(dst []byte, original jsonview.Value) []byte {
	w.from = len(dst)
	dst = append(dst, '[')
	w.passed(inPart, len(dst))
	if len(w.parts) > 0 {
		dst = append(dst, w.parts[0].elements...)
	}
	if original.IsArray() {
		inside := original.Raw[1 : len(original.Raw)-1]
		end := len(inside)
		for end > 0 && isBlank(inside[end-1]) {
			end--
		}
		dst = append(dst, inside[end:]...)
	}
	dst = append(dst, ']')
	w.to = len(dst)
	return dst
}

// appendPart appends the event with the i-th part of its choices.
func (w *bench) appendPart(dst []byte, i int) []byte {
	from := len(dst) + len(dataPrefix)
	if i == 0 {
		dst = appendEvent(dst, w.event)
	} else {
		whole := make([]byte, 0, len(w.event)+len(w.parts[i].elements))
		whole = append(append(whole, w.event[:w.from]...), '[')
		whole = append(append(whole, w.parts[i].elements...), ']')
		dst = appendEvent(dst, append(whole, w.event[w.to:]...))
	}
	if i < len(w.parts)-1 {
		return dst
	}
	if w.stays != "" {
		dst = appendMember(dst, from, "usage", w.stays)
	}
	if w.native != "" {
		dst = appendMember(dst, from, "sluice", `{"native_finish_reason":`+w.native+"}")
	}
	return dst
}

// appendMember adds a member to the object of the event whose data begins at dst[from:].
func appendMember(dst []byte, from int, name, value string) []byte {
	end := from + bytes.LastIndexByte(dst[from:], '}')
	dst = append(dst[:end], `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	dst = appendOnOneLine(dst, value)
	return append(dst, "}"+eventEnd...)
}
