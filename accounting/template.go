package accounting

// maxHoles is the number of places in which chunks of one stream may differ
// and still be recognised by a template.
const maxHoles = 3

// maxFrame bounds the constant part of a chunk that a template remembers.
const maxFrame = 2 << 10

type holeKind uint8

const (
	holeText   holeKind = iota // the one string that carries output
	holeString                 // a string without a meaning here, such as padding
	holeNumber                 // a whole number without a meaning here, such as a sequence number
)

type hole struct {
	at   Span
	kind holeKind
}

// effects is what a full reading of one chunk found and did. A chunk whose only
// effect was to add one fragment of text can become the template for the next.
type effects struct {
	holes    [maxHoles]hole
	n        int
	sink     sink
	call     int // the call, if sink is sinkTool
	texts    int // fragments that were added
	spoiled  bool
	produced bool // the model produced something
}

// text notes a fragment that was added to a sink.
func (e *effects) text(at Span, to sink) {
	e.texts++
	e.sink = to
	e.produced = true
	e.vary(at, holeText)
}

// vary notes a value that differs from chunk to chunk. at is the inside of the string, or the number.
func (e *effects) vary(at Span, kind holeKind) {
	if e.n == maxHoles {
		e.spoiled = true
		return
	}
	i := e.n
	for i > 0 && e.holes[i-1].at.Start > at.Start {
		e.holes[i] = e.holes[i-1]
		i--
	}
	e.holes[i] = hole{at, kind}
	e.n++
}

// gap is the place of a hole in the frame of a template.
type gap struct {
	at   int
	kind holeKind
}

// template recognises chunks that equal an earlier one in all bytes but those
// of its holes. Equal bytes around whole strings and numbers mean equal
// structure, so such a chunk has the same single effect with other text, and
// nothing of it needs to be parsed again.
type template struct {
	frame   []byte // the chunk without its holes
	gaps    [maxHoles]gap
	n       int // 0: no template
	sink    sink
	call    int
	version uint32 // of the tool table, if sink is sinkTool

	model, nullUsage           Span // offsets in frame
	modelHoles, nullUsageHoles int  // holes in front of them
}

// fit says where the holes of a recognised chunk are.
type fit struct {
	text  Span
	shift [maxHoles]int // what to add to frame offsets behind each hole
}

// learn makes a template of a chunk that was read in full, if it qualifies.
func (t *template) learn(data []byte, chunk Chunk, e *effects, version uint32) {
	if e.texts != 1 || e.spoiled || len(data) > maxFrame+1024 {
		return
	}
	frame, from, removed := t.frame[:0], 0, 0
	*t = template{n: e.n, sink: e.sink, call: e.call, version: version}
	t.model, t.nullUsage = chunk.Model, chunk.NullUsage
	for i, h := range e.holes[:e.n] {
		frame = append(frame, data[from:h.at.Start]...)
		from = h.at.End
		t.gaps[i] = gap{len(frame), h.kind}
		removed += h.at.End - h.at.Start
		t.moveSpan(&t.model, &t.modelHoles, chunk.Model, h.at, removed)
		t.moveSpan(&t.nullUsage, &t.nullUsageHoles, chunk.NullUsage, h.at, removed)
	}
	t.frame = append(frame, data[from:]...)
	if len(t.frame) > maxFrame {
		*t = template{}
	}
}

// moveSpan turns an offset of the chunk into one of the frame, for a hole in front of it.
func (t *template) moveSpan(to *Span, holes *int, original Span, hole Span, removed int) {
	if original.Start < hole.End {
		return
	}
	*holes++
	*to = Span{original.Start - removed, original.End - removed}
}

// match reports whether data fits the template.
func (t *template) match(data []byte, f *fit) bool {
	if t.n == 0 || len(data) < len(t.frame) {
		return false
	}
	at, from := 0, 0 // what is compared already, of data and of the frame
	for i, g := range t.gaps[:t.n] {
		start := at + g.at - from
		if start > len(data) || string(data[at:start]) != string(t.frame[from:g.at]) {
			return false
		}
		if g.kind == holeNumber {
			at = numberEnd(data, start)
		} else {
			at = stringEnd(data, start)
		}
		if at < 0 {
			return false
		}
		if g.kind == holeText {
			f.text = Span{start, at}
		}
		f.shift[i] = at - g.at
		from = g.at
	}
	return f.text.End > f.text.Start && string(data[at:]) == string(t.frame[from:])
}

// numberEnd returns the offset behind the digits at b[i], -1 if they are no whole JSON number.
func numberEnd(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start || b[start] == '0' && i > start+1 {
		return -1
	}
	return i
}

// chunk returns what Observe reports about a recognised chunk.
func (t *template) chunk(f *fit) Chunk {
	return Chunk{
		Kind:      KindContent,
		Model:     f.moved(t.model, t.modelHoles),
		NullUsage: f.moved(t.nullUsage, t.nullUsageHoles),
	}
}

func (f *fit) moved(s Span, holes int) Span {
	if holes > 0 {
		s.Start += f.shift[holes-1]
		s.End += f.shift[holes-1]
	}
	return s
}

// stringEnd returns the offset of the quote that closes a JSON string whose
// first byte behind the opening quote is b[i], or -1 if there is none or the
// string has a control character or an escape in it that RFC 8259 section 7 forbids.
func stringEnd(b []byte, i int) int {
	for i < len(b) {
		ch := b[i]
		switch {
		case !stringStop[ch]:
			i++
		case ch == '"':
			return i
		default:
			if i = escapeEnd(b, i); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// stringStop marks the bytes that end the plain part of a JSON string: the
// quote, the backslash, and the control characters RFC 8259 section 7 forbids.
var stringStop = func() (t [256]bool) {
	for i := range 0x20 {
		t[i] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// escapeEnd returns the offset behind the escape sequence at b[i], -1 if it is none.
func escapeEnd(b []byte, i int) int {
	if b[i] != '\\' || i+1 == len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if _, ok := hex4(b[i:]); ok {
			return i + 6
		}
	}
	return -1
}
