package openai

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// usagePlace is where the usage of an event goes.
type usagePlace uint8

const (
	// usageElsewhere: the event is forwarded without usage, if it has something else.
	usageElsewhere usagePlace = iota
	// usageHere: the event is the chunk that clients expect the usage in.
	usageHere
	// usageLater: the event would be that chunk if the choices had ended.
	usageLater
	// usageStays: the usage is part of its event.
	usageStays
	// usageNowhere: the event consists of usage that nobody wants.
	usageNowhere
)

// tally is the usage that the client is still to be told. Providers put it beside the
// finish reason, into every chunk, into a repeated last chunk or under x_groq; clients
// add up what they find, so it goes out once, and what was said last counts.
type tally struct {
	event []byte // the chunk to be written, empty if there is none
	usage []byte // or the usage alone
	known int    // counts stated in it
	sent  bool   // a chunk with usage has been written
}

// placeUsage decides where the usage of an event goes, once its choices are dealt with.
func (r *Repair) placeUsage(v *envelope, w *bench) usagePlace {
	alone := v.usage.IsObject() && w.arrived == 0
	u := firstUsage(v.usage, v.groq.Get("usage"), w.usage)
	switch {
	case r.o.RunningUsage:
		r.usage.sent = r.usage.sent || alone
		return usageStays
	case r.o.HideUsage && !r.o.HideBeside && w.ended && r.Finished() && !r.usage.sent && v.usage.IsObject():
		r.usage.sent = true // nobody asked, but there it can do no harm
		return usageStays
	case r.o.HideUsage && alone, r.usage.sent && alone:
		return usageNowhere
	case r.o.HideUsage || r.usage.sent || !u.Exists():
		return usageElsewhere
	}
	r.moved = true
	known := counts(u)
	if known < r.usage.known { // some servers send null for what they do not know yet
		if alone {
			return usageNowhere
		}
		return usageElsewhere
	}
	switch {
	case alone && r.Finished():
		r.usage = tally{sent: true}
		return usageHere
	case len(w.parts) == 0 && u.At == v.usage.At && r.head.settled:
		r.usage.known = known
		return usageLater
	}
	r.usage = tally{usage: appendUsage(r.usage.usage[:0], u), known: known}
	if alone {
		return usageNowhere
	}
	return usageElsewhere
}

// keepEvent holds back a whole event as the chunk with the usage.
func (t *tally) keepEvent(event []byte) { t.event = append(t.event[:0], event...) }

// appendUsageChunk appends the chunk with the usage if it has not been written.
func (r *Repair) appendUsageChunk(dst []byte) []byte {
	t := &r.usage
	switch {
	case t.sent || t.known == 0:
		return dst
	case len(t.event) == 0:
		if !r.head.settled {
			r.begin(&envelope{})
		}
		t.event = append(r.head.appendChunk(nil), `[],"usage":`...)
		t.event = append(append(t.event, t.usage...), '}')
	}
	dst = appendEvent(dst, t.event)
	*t = tally{sent: true}
	return dst
}

// firstUsage is the first of the values that is a usage object with a count in it.
func firstUsage(places ...jsonview.Value) jsonview.Value {
	for _, u := range places {
		if u.IsObject() && counts(u) > 0 {
			return u
		}
	}
	return jsonview.Value{}
}

// counts is the number of main counts that a usage object states.
func counts(u jsonview.Value) (n int) {
	for name, m := range u.Members {
		switch name {
		case "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens":
			if m.IsNumber() {
				n++
			}
		}
	}
	return n
}

// appendUsage appends a usage object as OpenAI means it: completion_tokens includes
// reasoning. xAI leaves reasoning out of it, which shows in the total alone; nothing
// else about what providers count is corrected.
func appendUsage(dst []byte, u jsonview.Value) []byte {
	completion := u.Get("completion_tokens")
	prompt, ok1 := u.Get("prompt_tokens").Int()
	visible, ok2 := completion.Int()
	total, ok3 := u.Get("total_tokens").Int()
	reasoning, ok4 := u.Get("completion_tokens_details", "reasoning_tokens").Int()
	if !ok4 {
		reasoning, ok4 = u.Get("reasoning_tokens").Int()
	}
	if !ok1 || !ok2 || !ok3 || !ok4 || reasoning <= 0 || total != prompt+visible+reasoning {
		return append(dst, u.Raw...)
	}
	at := completion.At - u.At
	dst = append(dst, u.Raw[:at]...)
	dst = strconv.AppendInt(dst, visible+reasoning, 10)
	return append(dst, u.Raw[at+len(completion.Raw):]...)
}

// groq copies x_groq, in which Groq and others put usage, without it if it is hidden.
func (r *Repair) groq(c *copier, m jsonview.Value) {
	usage := m.Get("usage")
	switch {
	case !r.o.HideUsage || !usage.Exists():
		c.keep(m)
	case m.Len() == 1:
		c.drop(m)
	default:
		c.open(m)
		sub := copyObject(c.out, m)
		for name, member := range m.Members {
			if name == "usage" {
				sub.drop(member)
			} else {
				sub.keep(member)
			}
		}
		c.out = sub.close()
	}
}
