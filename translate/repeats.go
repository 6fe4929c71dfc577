package translate

import (
	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// FragmentKind is what a fragment is a part of.
type FragmentKind uint8

const (
	// FragmentText is a part of the answer's text.
	FragmentText FragmentKind = iota
	// FragmentReasoning is a part of the reasoning.
	FragmentReasoning
	// FragmentArguments is a part of the arguments of a tool call.
	FragmentArguments
)

// Fragment says where a piece of text belongs.
type Fragment struct {
	Kind   FragmentKind
	Choice int
	Call   int // of arguments, the number that Sink.Call returned
}

// Give hands the text of a fragment, escaped, to a Sink.
func (f Fragment) Give(to Sink, escaped string) {
	switch f.Kind {
	case FragmentText:
		to.Text(f.Choice, escaped)
	case FragmentReasoning:
		to.Reasoning(f.Choice, escaped)
	case FragmentArguments:
		to.Arguments(f.Choice, f.Call, escaped)
	}
}

// Repeats spares a Decoder the reading of events. Nearly all events of a stream bring
// one fragment and differ from the one before in nothing but that, and in counts and
// padding. A decoder asks Match first. If it says no, the decoder reads the event, uses
// Give for fragments, and calls Learn if they were all that the event has brought.
//
// What an event means may depend on those before it: what is learnt of one holds only
// for the events that follow it at once.
type Repeats struct {
	frame    jsonframe.Frame
	fragment Fragment       // of the event that was read last
	text     jsonframe.Hole // where in it the fragment is
	given    int            // how many fragments it had
}

// Match tells whether an event repeats the one that was learnt, with a fragment that is
// not empty: it belongs where the other one did. Otherwise, what was learnt is forgotten.
func (r *Repeats) Match(data []byte) (f Fragment, escaped string, ok bool) {
	if r.frame.Match(data) {
		if from, to := r.frame.Hole(0); from < to {
			return r.fragment, jsonview.View(data[from:to]), true
		}
	}
	r.Forget()
	return Fragment{}, "", false
}

// Forget is called in the place of Match for an event that cannot be a repetition.
func (r *Repeats) Forget() {
	r.frame.Forget()
	r.given = 0
}

// Give hands the fragment that stands at v to a Sink, unless it is empty.
func (r *Repeats) Give(to Sink, f Fragment, v jsonview.Value) {
	if v.Inside() == "" {
		return
	}
	r.fragment, r.text = f, jsonframe.HoleIn(v)
	r.given++
	f.Give(to, v.Inside())
}

// Learn takes in the event that was just read, if it has brought one fragment. Others of
// its values that may vary without meaning anything to the decoder, or with a meaning
// that it sees to, are strings and counts; those that do not exist are passed over.
func (r *Repeats) Learn(data []byte, varying ...jsonview.Value) {
	if r.given != 1 || len(varying) >= jsonframe.MaxHoles {
		return
	}
	holes := append(make([]jsonframe.Hole, 0, jsonframe.MaxHoles), r.text)
	for _, v := range varying {
		if v.Exists() {
			holes = append(holes, jsonframe.HoleIn(v))
		}
	}
	r.frame.Learn(data, holes...)
}

// Moved is where that which stood at an offset of the event that was learnt, and did not
// vary, is in the event that matched.
func (r *Repeats) Moved(at int) int { return r.frame.Moved(at) }
