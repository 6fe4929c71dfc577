package accounting

import (
	"bytes"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// ToolCall is one tool call put together from the deltas of a stream.
type ToolCall struct {
	// Choice is the index of the choice that made the call.
	Choice int
	// Index is the call's own index as the provider numbered it; the next free
	// one where the provider gave none or used one twice.
	Index int
	ID    string
	Name  string
	// Arguments is the text of the arguments, decoded, up to a bound that is
	// shared by all calls of a stream.
	Arguments []byte
	// ArgumentBytes is the size of the arguments in bytes: of the decoded text
	// where all of it was kept, else as it arrived.
	ArgumentBytes int
	// Complete says that the stream declared the call finished and that its
	// arguments are whole, valid JSON (no arguments at all mean {}).
	Complete bool
}

const (
	maxToolCalls     = 64
	maxToolArguments = 1 << 20
	// maxToolLabel bounds an id or a name.
	maxToolLabel = 256
)

// legacyWire routes the deltas of the function_call field, which has no index.
const legacyWire = -1

// retiredWire is a routing number that no delta has.
const retiredWire = -2

// pendingCall is a tool call under construction. Arguments stay escaped until
// the end, so that a surrogate pair cut between two deltas survives.
type pendingCall struct {
	choice  int64
	wire    int64 // the number that deltas use for the call
	index   int
	id      string
	name    string
	item    string // Responses: the id that deltas use for the call
	args    []byte
	arrived int
	cut     bool // arguments were dropped
	free    bool // a custom tool: its input is text, not JSON
	sealed  bool // Responses: the item is done
	broken  bool // Responses: the item ended incomplete
}

// toolDelta is what one delta says about a call; absent parts are empty.
type toolDelta struct {
	choice  int64
	wire    int64
	hasWire bool
	id      string
	name    string
	args    string // escaped
	rawArgs string // arguments given as a JSON value instead of a string
	free    bool
}

func (d *toolDelta) empty() bool {
	return d.id == "" && d.name == "" && d.args == "" && d.rawArgs == ""
}

// toolTable holds the calls of one exchange, in order of appearance.
type toolTable struct {
	calls   []pendingCall
	bytes   int    // arguments kept
	version uint32 // changes with everything but appended arguments
	lost    bool   // the call that was opened last did not fit
	gaveUp  bool   // something was dropped
}

// add applies a delta and returns the call it belongs to, -1 if it was dropped.
// fresh reports that it did more than to append arguments.
func (t *toolTable) add(d *toolDelta) (k int, fresh bool) {
	before := t.version
	k = t.route(d)
	if k < 0 {
		return -1, true
	}
	call := &t.calls[k]
	if call.id == "" && d.id != "" {
		call.id = bounded(d.id, maxToolLabel)
		t.version++
	}
	if call.name == "" && d.name != "" {
		call.name = bounded(d.name, maxToolLabel)
		t.version++
	}
	if d.free && !call.free {
		call.free = true
		t.version++
	}
	t.appendArguments(k, d.args)
	if d.rawArgs != "" {
		t.appendArguments(k, view(appendEscaped(nil, d.rawArgs)))
		return k, true
	}
	return k, t.version != before
}

// route finds the call that a delta continues or opens a new one. Not all
// servers number their calls, and some give all of them the same number: then
// an id not seen before makes a new call.
func (t *toolTable) route(d *toolDelta) int {
	if d.hasWire {
		return t.routeByNumber(d)
	}
	last := t.find(func(c *pendingCall) bool { return c.choice == d.choice })
	switch {
	case d.id != "":
		if k := t.findID(d, func(*pendingCall) bool { return true }); k >= 0 {
			return k
		}
	case t.lost:
		if d.name == "" {
			t.gaveUp = true
			return -1
		}
	case last >= 0 && (d.name == "" || t.calls[last].name == ""):
		return last
	}
	return t.open(d)
}

func (t *toolTable) routeByNumber(d *toolDelta) int {
	k := t.find(func(c *pendingCall) bool { return c.choice == d.choice && c.wire == d.wire })
	if k < 0 {
		return t.open(d)
	}
	known := t.calls[k].id
	if d.id == "" || known == "" || sameText(known, d.id) {
		return k
	}
	if other := t.findID(d, func(c *pendingCall) bool { return c.wire == d.wire }); other >= 0 {
		return other
	}
	opened := t.open(d)
	if opened < 0 {
		// What follows under this number belongs to a call that is not kept.
		for i := range t.calls {
			if t.calls[i].choice == d.choice && t.calls[i].wire == d.wire {
				t.calls[i].wire = retiredWire
			}
		}
		t.version++
	}
	return opened
}

// find returns the last call that matches, -1 if none does.
func (t *toolTable) find(match func(*pendingCall) bool) int {
	for k := len(t.calls) - 1; k >= 0; k-- {
		if match(&t.calls[k]) {
			return k
		}
	}
	return -1
}

func (t *toolTable) findID(d *toolDelta, match func(*pendingCall) bool) int {
	return t.find(func(c *pendingCall) bool {
		return c.choice == d.choice && match(c) && sameText(c.id, d.id)
	})
}

func (t *toolTable) open(d *toolDelta) int {
	if len(t.calls) >= maxToolCalls {
		t.lost, t.gaveUp = true, true
		return -1
	}
	call := pendingCall{choice: d.choice, wire: retiredWire, free: d.free}
	next, taken := 0, false
	for i := range t.calls {
		if c := &t.calls[i]; c.choice == d.choice {
			next = max(next, c.index+1)
			taken = taken || int64(c.index) == d.wire
		}
	}
	call.index = next
	if d.hasWire {
		call.wire = d.wire
		if d.wire >= 0 && !taken {
			call.index = int(d.wire)
		}
	}
	t.calls = append(t.calls, call)
	t.lost = false
	t.version++
	return len(t.calls) - 1
}

func (t *toolTable) appendArguments(k int, escaped string) {
	if escaped == "" {
		return
	}
	call := &t.calls[k]
	call.arrived += len(escaped)
	if call.cut || t.bytes+len(escaped) > maxToolArguments {
		call.cut, t.gaveUp = true, true
		return
	}
	t.bytes += len(escaped)
	call.args = appendDoubling(call.args, escaped)
}

// replaceArguments sets the arguments to their final text, which some events repeat as a whole.
func (t *toolTable) replaceArguments(k int, escaped string) {
	call := &t.calls[k]
	if call.cut || escaped == "" || string(call.args) == escaped {
		return
	}
	t.bytes -= len(call.args)
	call.args, call.arrived = call.args[:0], 0
	t.version++
	t.appendArguments(k, escaped)
}

// call decodes one call; finished says whether the stream declared its end.
func (c *pendingCall) call(finished bool) ToolCall {
	args := appendUnescaped(nil, c.args)
	call := ToolCall{
		Choice: int(c.choice), Index: c.index, ID: c.id, Name: c.name,
		Arguments: args, ArgumentBytes: len(args),
	}
	if c.cut {
		call.ArgumentBytes = c.arrived
	}
	call.Complete = finished && !c.cut && !c.broken && (c.free || wholeArguments(args))
	return call
}

// wholeArguments reports whether args are valid JSON. A tool without
// parameters often gets no text at all.
func wholeArguments(args []byte) bool {
	if len(bytes.TrimSpace(args)) == 0 {
		return true
	}
	return jsonview.WellFormed(args)
}

// bounded copies the inside of a JSON string, decoded and cut to a limit.
func bounded(escaped string, limit int) string {
	return strings.Clone(decodedLabel(escaped, limit))
}

// sameText compares a kept label with the inside of a JSON string.
func sameText(kept, escaped string) bool {
	return kept == decodedLabel(escaped, maxToolLabel)
}

// decodedLabel copies only what holds an escape.
func decodedLabel(escaped string, limit int) string {
	if strings.IndexByte(escaped, '\\') >= 0 {
		escaped = string(appendUnescaped(nil, []byte(escaped)))
	}
	return escaped[:min(len(escaped), limit)]
}
