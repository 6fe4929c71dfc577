package accounting

import (
	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// maxHoles is the number of places in which chunks of one stream may differ and still be
// recognised.
const maxHoles = 3

// effects is what a full reading of one chunk found and did. A chunk whose only
// effect was to add one fragment of text can become the template for the next.
type effects struct {
	holes    [maxHoles]jsonframe.Hole // the first is of the fragment
	varying  int                      // the others
	sink     sink
	choice   int64
	call     int // the call, if sink is sinkTool
	texts    int // fragments that were added
	spoiled  bool
	produced bool // the model produced something
}

// text notes a fragment that was added to a sink.
func (e *effects) text(v jsonview.Value, to sink) {
	e.holes[0] = jsonframe.HoleIn(v)
	e.texts++
	e.sink = to
	e.produced = true
}

// vary notes a string or a count that differs from chunk to chunk without a meaning
// here, such as padding or a sequence number.
func (e *effects) vary(v jsonview.Value) {
	if e.varying+1 == maxHoles {
		e.spoiled = true
		return
	}
	e.varying++
	e.holes[e.varying] = jsonframe.HoleIn(v)
}

// template recognises chunks that equal an earlier one in all but the fragment of text
// and what varies without a meaning. Such a chunk has the same single effect with other
// text, and nothing of it needs to be parsed again.
type template struct {
	frame   jsonframe.Frame
	sink    sink
	choice  int64
	call    int
	version uint32 // of the tool table, if sink is sinkTool

	model, nullUsage Span // in the chunk that was learnt
}

// learn makes a template of a chunk that was read in full, if it qualifies.
func (t *template) learn(data []byte, chunk Chunk, e *effects, version uint32) {
	if e.texts != 1 || e.spoiled || !t.frame.Learn(data, e.holes[:1+e.varying]...) {
		return
	}
	t.sink, t.choice, t.call, t.version = e.sink, e.choice, e.call, version
	t.model, t.nullUsage = chunk.Model, chunk.NullUsage
}

// match returns the fragment of a chunk that fits the template, "" if it does not.
func (t *template) match(data []byte) string {
	if !t.frame.Match(data) {
		return ""
	}
	from, to := t.frame.Hole(0)
	return view(data[from:to])
}

// chunk returns what Observe reports about the chunk that was matched last.
func (t *template) chunk() Chunk {
	return Chunk{Kind: KindContent, Model: t.moved(t.model), NullUsage: t.moved(t.nullUsage)}
}

// moved is where a span without a hole in it is in the chunk that was matched last.
func (t *template) moved(s Span) Span {
	if s.End == 0 {
		return s
	}
	by := t.frame.Moved(s.Start) - s.Start
	return Span{s.Start + by, s.End + by}
}
