package openai

import "github.com/sluicehq/sluice/internal/jsonview"

// Options say how a client is to see an answer.
type Options struct {
	// Model is the public name to put in, empty for the provider's own.
	Model string
	// Asked is the model to name where the provider names none.
	Asked string
	// HideUsage keeps usage from a client of a stream that did not ask for it: no member
	// named usage reaches it, and no chunk that only came for its sake.
	HideUsage bool
	// HideBeside: usage beside choices is there because sluice asked for it, and is hidden
	// too. Otherwise the provider has volunteered it, and it stays beside a finish reason.
	HideBeside bool
	// RunningUsage: the client asked for usage in every chunk, so it stays there.
	RunningUsage bool
	// ThinkTags takes a block between <think> tags at the beginning of the content for
	// the model's reasoning, and moves it into reasoning_content.
	ThinkTags bool
	// Extensions allows members that OpenAI does not have to be added.
	Extensions bool
	// N is the number of choices asked for; 0 means one.
	N int
	// ChatID and Created (seconds since 1970) are used where the provider gives none.
	ChatID  string
	Created int64
}

// Verdict is what is to be done with an event.
type Verdict uint8

const (
	// Untouched means that the event's own bytes are to be forwarded.
	Untouched Verdict = iota
	// Replaced means that what was written is to be forwarded instead.
	Replaced
)

// Repair watches the chunks of one stream and mends what strict SDKs cannot take. It
// belongs to one goroutine. It holds no text but the few bytes that may be the beginning
// of a tag, and no more than maxChoices choices with maxCalls tool calls each; what is
// beyond that passes as it came. The zero value is ready to use.
type Repair struct {
	o       Options
	head    head
	choices []*choice
	usage   tally
	frame   frame

	moved bool // the event under way has changed what is known of the stream
	bare  bool // the stream does not claim to be OpenAI's
}

const (
	maxChoices = 128 // as many as openai-node and openai-go take
	maxCalls   = 128
)

// Reset prepares for a stream.
func (r *Repair) Reset(o Options) {
	frame, choices := r.frame, r.choices
	frame.forget()
	clear(choices)
	*r = Repair{o: o, choices: choices[:0], frame: frame}
}

// Event judges the data of one event that reports no error. For Replaced it appends to
// dst what the client gets instead, none or several whole events. What is no chunk is
// left alone, and so are the chunks of a server that says nothing of the stream they
// belong to: it has clients of its own. It keeps no reference to data.
func (r *Repair) Event(dst, data []byte) ([]byte, Verdict) {
	if r.frame.match(data) {
		return r.frame.apply(dst, data)
	}
	r.frame.forget()
	w := benches.Get().(*bench)
	defer w.release()
	root := w.begin(data)
	if !root.IsObject() || !jsonview.WellFormed(data) {
		return dst, Untouched
	}
	r.moved = false
	v := readEnvelope(root)
	if !v.isChunk() {
		return dst, Untouched
	}
	if r.bare = r.bare || !r.head.settled && v.isBare(); r.bare {
		return r.passBare(dst, root, &v, w)
	}
	headed := r.settle(&v)
	for i, c := range v.choices.Elements {
		r.choice(w, c, i, w.gap(v.choices, c))
	}
	place := r.placeUsage(&v, w)
	if place == usageNowhere || place == usageElsewhere && w.arrived > 0 && len(w.parts) == 0 {
		return dst, Replaced // nothing is left of it
	}
	r.write(w, root, &v, headed, place)
	switch {
	case place == usageLater:
		r.usage.keepEvent(w.event)
		return dst, Replaced
	case len(w.parts) <= 1 && len(w.prelude) == 0 && string(w.event) == root.Raw:
		r.learn(w, data, true)
		return dst, Untouched
	}
	dst = append(dst, w.prelude...)
	for i := range max(len(w.parts), 1) {
		dst = w.appendPart(dst, i)
	}
	r.learn(w, data, false)
	return dst, Replaced
}

// passBare forwards a chunk of a bare stream, without the usage that the client did not
// ask for. A later chunk may have a model, which then gets its public name.
func (r *Repair) passBare(dst []byte, root jsonview.Value, v *envelope, w *bench) ([]byte, Verdict) {
	if r.o.HideUsage && v.usage.IsObject() && v.choices.IsArray() && v.choices.Len() == 0 {
		return dst, Replaced
	}
	c := copyObject(w.event[:0], root)
	for name, m := range root.Members {
		switch {
		case name == "usage" && m.IsNull() && r.o.HideUsage:
			c.drop(m)
		case name == "model" && r.o.Model != "" && m.IsString():
			c.put(m, quoted(r.o.Model))
		default:
			c.keep(m)
		}
	}
	if w.event = c.close(); string(w.event) == root.Raw {
		return dst, Untouched
	}
	return appendEvent(dst, w.event), Replaced
}

// Repeats reports whether the event judged last was Untouched, and so will be every
// later one that equals it in all but the text of its one fragment of output (which
// must not be empty) and its padding, as long as no other event is judged in between.
func (r *Repair) Repeats() bool { return r.frame.known() && r.frame.same }

// Finished reports whether as many choices as were asked for have begun, and every one
// that has begun has ended.
func (r *Repair) Finished() bool {
	for _, c := range r.choices {
		if !c.finished {
			return false
		}
	}
	return len(r.choices) >= max(r.o.N, 1)
}

// Done appends what a stream that ended well still lacks: the end of every choice that
// never got one, and the chunk with the usage if the client asked for it and the
// provider put it somewhere else. It belongs in front of [DONE], and must not be called
// for a stream that was cut.
func (r *Repair) Done(dst []byte) []byte {
	r.frame.forget()
	if r.bare {
		return dst
	}
	for _, c := range r.choices {
		if !c.finished {
			dst = r.finish(dst, c)
		}
	}
	if !r.o.HideUsage {
		dst = r.appendUsageChunk(dst)
	}
	return dst
}

// write writes the event as it looks with its first part in it.
func (r *Repair) write(w *bench, root jsonview.Value, v *envelope, headed bool, place usagePlace) {
	c := copyObject(w.event[:0], root)
	if headed {
		r.head.addMissing(&c, v, chunkObject)
	}
	for name, m := range root.Members {
		switch name {
		case "id", "object", "created", "model":
			value := r.head.value(name, chunkObject)
			switch {
			case headed:
				c.put(m, value)
			case name == "model" && r.o.Model != "" && !isEmpty(m):
				c.put(m, quoted(r.o.Model))
			default:
				c.keep(m)
			}
		case "choices":
			if m.At != v.choices.At {
				c.drop(m)
				continue
			}
			c.open(m)
			c.out = w.appendChoices(c.out, m)
		case "usage":
			switch {
			case m.At == v.usage.At && place == usageStays && len(w.parts) <= 1:
				c.keep(m)
			case m.At == v.usage.At && place == usageStays:
				c.drop(m)
				w.stays = m.Raw
			case m.At == v.usage.At && (place == usageHere || place == usageLater) && m.IsObject():
				c.open(m)
				c.out = appendUsage(c.out, m)
			case m.IsNull() && !r.o.HideUsage:
				c.keep(m)
			default:
				c.drop(m)
			}
		case "x_groq":
			r.groq(&c, m)
		case "error": // openai-go takes its mere presence for a failure
			if isNothing(m) || m.Raw == "false" {
				c.drop(m)
			} else {
				c.keep(m)
			}
		case "obfuscation", "p":
			c.open(m)
			w.note(m, len(c.out), inEvent, false)
			c.out = append(c.out, m.Raw...)
		default:
			c.keep(m)
		}
	}
	if !v.choices.Exists() {
		c.add("choices", "")
		c.out = w.appendChoices(c.out, jsonview.Value{})
	}
	w.event = c.close()
}
