package openai

import (
	"hash/maphash"
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// choice is what is known of one choice of a stream.
type choice struct {
	index    int64
	spoken   bool // its role has been sent
	finished bool
	legacy   bool // it has a function_call
	calls    []call
	lists    []list
	thinking thinking
}

// known is the choice with an index, nil if it has not begun.
func (r *Repair) known(index int64) *choice {
	for _, c := range r.choices {
		if c.index == index {
			return c
		}
	}
	return nil
}

// choiceAt finds the choice with an index, or begins it; nil if there are too many.
func (r *Repair) choiceAt(index int64) *choice {
	if c := r.known(index); c != nil {
		return c
	}
	if len(r.choices) == maxChoices {
		return nil
	}
	c := &choice{index: index}
	r.choices = append(r.choices, c)
	r.moved = true
	return c
}

// beginBefore begins the choices in front of one that is new: openai-python keeps them
// in a list, and loses its way if they do not appear in order. Only choices that the
// client asked for are begun so, for they are sure to come.
func (r *Repair) beginBefore(w *bench, index int64) {
	for before := range min(index, int64(r.o.N)) {
		if r.known(before) != nil {
			continue
		}
		c := r.choiceAt(before)
		if c == nil {
			return
		}
		c.spoken = true
		w.delta = append(r.head.appendChunk(w.delta[:0]), `[{"index":`...)
		w.delta = strconv.AppendInt(w.delta, before, 10)
		w.delta = append(w.delta, `,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`...)
		w.prelude = appendEvent(w.prelude, w.delta)
	}
}

// element is one element of choices, taken apart.
type element struct {
	value                          jsonview.Value
	gap                            string // white space in front of it
	index, delta, finish, logprobs jsonview.Value
	native                         jsonview.Value
	number                         int64 // index, or the position where there is none
}

// choice mends one element of choices and puts what becomes of it into the parts.
func (r *Repair) choice(w *bench, v jsonview.Value, position int, gap string) {
	e := element{value: v, number: int64(position), gap: gap}
	w.arrived++
	if !v.IsObject() {
		return
	}
	for name, m := range v.Members {
		switch name {
		case "index":
			e.index = m
		case "delta":
			e.delta = m
		case "finish_reason":
			e.finish = m
		case "logprobs":
			e.logprobs = m
		case "native_finish_reason":
			e.native = m
		case "usage":
			if m.IsObject() {
				w.usage = m
			}
		}
	}
	if n, ok := e.index.Int(); ok {
		e.number = n
	}
	if e.number > 0 && r.known(e.number) == nil {
		r.beginBefore(w, e.number)
	}
	c := r.choiceAt(e.number)
	switch {
	case c == nil:
		p := w.element(0, e.gap)
		p.elements = append(p.elements, v.Raw...)
		return
	case c.finished: // openai-go lets it overwrite the end
		return
	}
	if isEmpty(e.finish) || !e.finish.IsString() {
		r.delta(w, c, e.delta, false)
		r.piece(w, &e, 0, w.delta, "null", true)
		r.laterRounds(w, &e, 1)
		return
	}
	r.moved = true
	reason, known := finishReason(e.finish.Text())
	if !known && !e.native.Exists() && r.o.Extensions {
		w.native = e.finish.Raw
	}
	something := r.delta(w, c, e.delta, true)
	if reason == reasonStop && len(c.calls) > 0 {
		reason = reasonTools
	}
	next := 0
	if something {
		r.piece(w, &e, 0, w.delta, "null", true)
		next = r.laterRounds(w, &e, 1)
	}
	if reason == reasonTools {
		if w.delta = c.appendMissingArguments(w.delta[:0]); len(w.delta) > 0 {
			r.piece(w, &e, next, w.delta, "null", false)
			next++
		}
	}
	w.delta = append(w.delta[:0], "{}"...)
	if e.delta.IsObject() && e.delta.Len() == 0 {
		w.delta = append(w.delta[:0], e.delta.Raw...)
	}
	r.piece(w, &e, next, w.delta, `"`+reason+`"`, next == 0)
	c.finished = true
	w.ended = true
}

// laterRounds writes what did not fit into the delta because it has several pieces of
// the same call. It returns the part that comes next.
func (r *Repair) laterRounds(w *bench, e *element, next int) int {
	for _, calls := range w.rounds {
		w.delta = append(w.delta[:0], `{"tool_calls":[`...)
		w.delta = append(w.delta, calls...)
		w.delta = append(w.delta, "]}"...)
		r.piece(w, e, next, w.delta, "null", false)
		next++
	}
	return next
}

// piece writes one piece of an element into the k-th part.
func (r *Repair) piece(w *bench, e *element, k int, delta []byte, finish string, first bool) {
	p := w.element(k, e.gap)
	c := copyObject(p.elements, e.value)
	if !e.index.Exists() {
		c.add("index", strconv.FormatInt(e.number, 10))
	}
	for name, m := range e.value.Members {
		switch {
		case name == "index" && !m.IsNumber():
			c.put(m, strconv.FormatInt(e.number, 10))
		case name == "delta" && m.At != e.delta.At:
			c.drop(m)
		case name == "delta":
			c.open(m)
			c.out = w.appendDelta(c.out, delta)
		case name == "finish_reason":
			c.put(m, finish)
		case name == "logprobs" && (!first || !m.IsObject()):
			c.put(m, "null")
		case name == "usage" && r.o.HideUsage:
			c.drop(m)
		default:
			c.keep(m)
		}
	}
	if !e.delta.Exists() {
		c.add("delta", "")
		c.out = w.appendDelta(c.out, delta)
	}
	if !e.finish.Exists() {
		c.add("finish_reason", finish)
	}
	p.elements = c.close()
}

func (w *bench) appendDelta(dst, delta []byte) []byte {
	w.passed(inDelta, len(dst))
	return append(dst, delta...)
}

// list counts the elements of a list of objects that a choice has been sent.
type list struct {
	name uint64
	n    int
}

const maxLists = 16

var seed = maphash.MakeSeed()

// listed copies a member whose value is a list of objects without an index, as OpenRouter
// sends annotations. openai-python takes the first such list as it is, and from then on
// wants to be told where an element belongs.
func (r *Repair) listed(w *bench, c *copier, to *choice, name string, m jsonview.Value) {
	for _, element := range m.Elements {
		if !element.IsObject() || element.Get("index").IsNumber() {
			w.keepDetails(c, m)
			return
		}
	}
	r.moved = true
	key := maphash.String(seed, name)
	for i := range to.lists {
		if l := &to.lists[i]; l.name == key {
			c.open(m)
			c.out = append(c.out, '[')
			for j, element := range m.Elements {
				if j > 0 {
					c.out = append(c.out, ',')
				}
				sub := copyObject(c.out, element)
				if !element.Get("index").Exists() {
					sub.add("index", strconv.Itoa(l.n))
				}
				for name, member := range element.Members {
					if name == "index" {
						sub.put(member, strconv.Itoa(l.n))
					} else {
						sub.keep(member)
					}
				}
				c.out = sub.close()
				l.n++
			}
			c.out = append(c.out, ']')
			return
		}
	}
	if len(to.lists) < maxLists {
		to.lists = append(to.lists, list{key, m.Len()})
	}
	c.keep(m)
}

// keepDetails keeps a list that has the same text again as reasoning_details does.
func (w *bench) keepDetails(c *copier, m jsonview.Value) {
	c.open(m)
	for _, element := range m.Elements {
		for name, text := range element.Members {
			if name == "text" || name == "summary" {
				w.note(text, len(c.out)+text.At-m.At, inDelta, false)
			}
		}
	}
	c.out = append(c.out, m.Raw...)
}
