package openai

import (
	"hash/maphash"
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// call is what is known of one tool call of a choice; its place among the calls is the
// index under which clients see it.
type call struct {
	wire    int64  // the index that the provider gives it, noWire for none
	id      uint64 // hash of the provider's id, 0 if it gave none
	named   bool
	filled  bool // it has arguments
	free    bool // a custom tool: its input is no JSON
	touched bool // the delta under way has something of it already
}

const noWire = -1

// callDelta is what one element of tool_calls says.
type callDelta struct {
	wire             int64
	id               uint64
	index, function  jsonview.Value
	custom           jsonview.Value
	named, hasInside bool // a name; a name or arguments
}

func readCallDelta(v jsonview.Value) callDelta {
	d := callDelta{wire: noWire}
	for name, m := range v.Members {
		switch name {
		case "index":
			d.index = m
			if n, ok := m.Int(); ok && n >= 0 {
				d.wire = n
			}
		case "id":
			d.id = 0
			if !isEmpty(m) {
				d.id = max(maphash.String(seed, m.Text()), 1)
			}
		case "function":
			d.function = m
		case "custom":
			d.custom = m
		}
	}
	inside := d.function
	if d.custom.IsObject() {
		inside = d.custom
	}
	for name, m := range inside.Members {
		switch name {
		case "name":
			d.named = !isEmpty(m)
			d.hasInside = d.hasInside || d.named
		case "arguments", "input":
			d.hasInside = d.hasInside || !isEmpty(m)
		}
	}
	return d
}

// route finds the call that a delta belongs to, -1 if it opens a new one. Not all servers
// number their calls, and some give all of them the same number: then an id not seen
// before is a new call.
func (c *choice) route(d *callDelta) int {
	sameWire := c.last(func(k *call) bool { return k.wire == d.wire })
	if d.wire != noWire {
		if sameWire < 0 || d.id == 0 || c.calls[sameWire].id == 0 || c.calls[sameWire].id == d.id {
			return sameWire
		}
		return c.last(func(k *call) bool { return k.wire == d.wire && k.id == d.id })
	}
	if d.id != 0 {
		return c.last(func(k *call) bool { return k.id == d.id })
	}
	open := len(c.calls) - 1
	if open >= 0 && d.named && c.calls[open].named {
		return -1
	}
	return open
}

// last is the last call that matches, -1 if none does.
func (c *choice) last(match func(*call) bool) int {
	for i := len(c.calls) - 1; i >= 0; i-- {
		if match(&c.calls[i]) {
			return i
		}
	}
	return -1
}

// toolCalls copies the member tool_calls of a delta, and tells whether there is anything
// in it. Of what belongs to the same call only the first goes into this delta: to
// openai-python two elements of one delta are two calls.
func (r *Repair) toolCalls(w *bench, c *copier, to *choice, m jsonview.Value) bool {
	for i := range to.calls {
		to.calls[i].touched = false
	}
	undo := *c
	c.open(m)
	c.out = append(c.out, '[')
	written := 0
	for _, v := range m.Elements {
		if !v.IsObject() {
			continue
		}
		d := readCallDelta(v)
		k := to.route(&d)
		fresh := k < 0
		if fresh {
			if d.id == 0 && !d.hasInside {
				continue // it says nothing
			}
			if len(to.calls) == maxCalls {
				c.out = appendSeparated(c.out, written, v.Raw)
				written++
				continue
			}
			k = len(to.calls)
			to.calls = append(to.calls, call{wire: d.wire, id: d.id, free: d.custom.IsObject()})
			r.moved = true
		}
		if to.calls[k].touched {
			r.laterCall(w, to, k, v, &d)
			continue
		}
		to.calls[k].touched = true
		if written > 0 {
			c.out = append(c.out, ',')
		}
		written++
		c.out = r.call(w, c.out, to, k, v, &d, fresh)
	}
	if written == 0 {
		undo.out = c.out[:len(undo.out)]
		*c = undo
		c.drop(m)
		return false
	}
	c.out = append(c.out, ']')
	return true
}

func appendSeparated(dst []byte, n int, raw string) []byte {
	if n > 0 {
		dst = append(dst, ',')
	}
	return append(dst, raw...)
}

// laterCall puts an element into a delta of its own, behind this one.
func (r *Repair) laterCall(w *bench, to *choice, k int, v jsonview.Value, d *callDelta) {
	w.rounds = append(w.rounds, r.call(w, nil, to, k, v, d, false))
	r.moved = true
}

// call appends one mended element of tool_calls: the k-th call's, fresh if it opens it.
func (r *Repair) call(w *bench, dst []byte, to *choice, k int, v jsonview.Value, d *callDelta, fresh bool) []byte {
	index := strconv.Itoa(k)
	known := &to.calls[k]
	if d.id != 0 && known.id == 0 {
		known.id, r.moved = d.id, true
	}
	c := copyObject(dst, v)
	if !d.index.Exists() {
		c.add("index", index)
	}
	kind := `"function"`
	if known.free {
		kind = `"custom"`
	}
	if fresh {
		if !v.Get("id").Exists() {
			c.add("id", r.mintedID(to, k))
		}
		if !v.Get("type").Exists() {
			c.add("type", kind)
		}
	}
	for name, m := range v.Members {
		switch {
		case name == "index":
			c.put(m, index)
		case !fresh && (name == "id" || name == "type"):
			c.drop(m)
		case name == "id" && (isEmpty(m) || !m.IsString()):
			c.put(m, r.mintedID(to, k))
		case name == "type" && (isEmpty(m) || !m.IsString()):
			c.put(m, kind)
		case (name == "function" || name == "custom") && m.IsNull():
			c.drop(m)
		case name == "function" || name == "custom":
			c.open(m)
			c.out = r.function(w, c.out, known, m, fresh)
		default:
			c.keep(m)
		}
	}
	if fresh && !d.function.IsObject() && !d.custom.IsObject() {
		c.add("function", `{"arguments":""}`)
	}
	return c.close()
}

// mintedID makes an id for a call that came without one.
func (r *Repair) mintedID(to *choice, k int) string {
	return quoted(translate.MintCallID(r.head.id, int(to.index), k))
}

// function appends what a delta says of the function of a call, or of a custom tool.
func (r *Repair) function(w *bench, dst []byte, known *call, v jsonview.Value, fresh bool) []byte {
	if !v.IsObject() {
		return append(dst, v.Raw...)
	}
	c := copyObject(dst, v)
	argued := false
	for name, m := range v.Members {
		switch name {
		case "name":
			if isEmpty(m) || known.named {
				c.drop(m)
				continue
			}
			known.named, r.moved = true, true
			c.keep(m)
		case "arguments", "input":
			argued = true
			c.open(m)
			c.out = r.arguments(w, c.out, known, m)
		default:
			c.keep(m)
		}
	}
	if fresh && !argued && !known.free {
		c.add("arguments", `""`)
	}
	return c.close()
}

// arguments appends a fragment of arguments as the string it has to be.
func (r *Repair) arguments(w *bench, dst []byte, known *call, m jsonview.Value) []byte {
	switch {
	case m.IsString():
		if !isSpace(m.Inside()) && !known.filled {
			known.filled, r.moved = true, true
		}
		if m.Inside() != "" && known.filled {
			w.note(m, len(dst), inDelta, true)
		}
		return append(dst, m.Raw...)
	case m.IsNull():
		return append(dst, `""`...)
	}
	known.filled, r.moved = true, true
	dst = append(dst, '"')
	dst = jsonview.AppendEscaped(dst, m.Raw)
	return append(dst, '"')
}

// isSpace tells whether the inside of a JSON string is nothing but white space.
func isSpace(escaped string) bool {
	for len(escaped) > 0 {
		size, char := character(escaped)
		if !isBlank(char) {
			return false
		}
		escaped = escaped[size:]
	}
	return true
}

// appendMissingArguments appends a delta that gives the calls without arguments the
// empty object that they mean, nothing if there are none. Many tools have no parameters,
// and many servers then send no arguments, which are no JSON.
func (c *choice) appendMissingArguments(dst []byte) []byte {
	n := 0
	for k := range c.calls {
		known := &c.calls[k]
		if known.filled || known.free {
			continue
		}
		known.filled = true
		if n == 0 {
			dst = append(dst, `{"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		n++
		dst = append(dst, `{"index":`...)
		dst = strconv.AppendInt(dst, int64(k), 10)
		dst = append(dst, `,"function":{"arguments":"{}"}}`...)
	}
	if n == 0 {
		return dst
	}
	return append(dst, "]}"...)
}
