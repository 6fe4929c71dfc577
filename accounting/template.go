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
	at   span
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
func (e *effects) text(at span, to sink) {
	e.texts++
	e.sink = to
	e.produced = true
	e.vary(at, holeText)
}

// vary notes a value that differs from chunk to chunk. at is the inside of the string, or the number.
func (e *effects) vary(at span, kind holeKind) {
	if e.n == maxHoles {
		e.spoiled = true
		return
	}
	i := e.n
	for i > 0 && e.holes[i-1].at.start > at.start {
		e.holes[i] = e.holes[i-1]
		i--
	}
	e.holes[i] = hole{at, kind}
	e.n++
}

// template recognises chunks that equal an earlier one in all bytes but those
// of its holes. Equal bytes around whole strings and numbers mean equal
// structure, so such a chunk has the same single effect with other text, and
// nothing of it needs to be parsed again.
type template struct {
	frame   []byte // the chunk without its holes
	cut     [maxHoles]int
	kind    [maxHoles]holeKind
	n       int // 0: no template
	sink    sink
	call    int
	version uint32 // of the tool table, if sink is sinkTool

	model, nullUsage           Span // offsets in frame
	modelHoles, nullUsageHoles int  // holes in front of them
}

// fit says where the holes of a recognised chunk are.
type fit struct {
	text  span
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
		frame = append(frame, data[from:h.at.start]...)
		from = h.at.end
		t.cut[i], t.kind[i] = len(frame), h.kind
		removed += h.at.end - h.at.start
		t.moveSpan(&t.model, &t.modelHoles, chunk.Model, h.at, removed)
		t.moveSpan(&t.nullUsage, &t.nullUsageHoles, chunk.NullUsage, h.at, removed)
	}
	t.frame = append(frame, data[from:]...)
	if len(t.frame) > maxFrame {
		*t = template{}
	}
}

// moveSpan turns an offset of the chunk into one of the frame, for a hole in front of it.
func (t *template) moveSpan(to *Span, holes *int, original Span, hole span, removed int) {
	if original.Start < hole.end {
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
	at, from := 0, 0
	for i := range t.n {
		to := t.cut[i]
		start := at + to - from
		if start > len(data) || string(data[at:start]) != string(t.frame[from:to]) {
			return false
		}
		if t.kind[i] == holeNumber {
			at = numberEnd(data, start)
		} else {
			at = stringEnd(data, start)
		}
		if at < 0 {
			return false
		}
		if t.kind[i] == holeText {
			f.text = span{start, at}
		}
		f.shift[i] = at - to
		from = to
	}
	return f.text.present() && string(data[at:]) == string(t.frame[from:])
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
