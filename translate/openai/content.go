package openai

import (
	"github.com/sluicehq/sluice/internal/jsonview"
)

// content copies the member content of a delta, and tells whether there is anything in
// it. reasons says that the delta has reasoning beside it.
func (r *Repair) content(w *bench, c *copier, to *choice, m jsonview.Value, reasons, last bool) bool {
	switch {
	case m.IsArray():
		thoughts, words := joinParts(m)
		if reasons {
			thoughts = nil
		}
		writeParted(c, m, thoughts, words)
		return len(thoughts)+len(words) > 0
	case r.splits(to) && !reasons && (m.Inside() != "" || last && len(to.thinking.held) > 0):
		r.moved = true
		thoughts, words := to.thinking.split(nil, nil, m.Inside())
		if last {
			thoughts, words = to.thinking.rest(thoughts, words)
		}
		writeParted(c, m, thoughts, words)
		return len(thoughts)+len(words) > 0
	case m.IsString() && !isEmpty(m):
		c.open(m)
		w.note(m, len(c.out), inDelta, true)
		c.out = append(c.out, m.Raw...)
		return true
	}
	c.keep(m)
	return !isNothing(m)
}

// splits tells whether the text of a choice may still have thoughts in it.
func (r *Repair) splits(to *choice) bool { return r.o.ThinkTags && to.thinking.state != speaks }

// writeParted writes content that was taken apart, in the place of what it was. Thoughts
// go to reasoning_content, the name that most clients know.
func writeParted(c *copier, m jsonview.Value, thoughts, words []byte) {
	gap, _ := c.lead(m)
	c.separate(gap)
	if len(thoughts) > 0 {
		c.out = append(c.out, `"reasoning_content":"`...)
		c.out = append(c.out, thoughts...)
		c.out = append(c.out, '"')
		if len(words) == 0 {
			return
		}
		c.out = append(c.out, ',')
	}
	c.out = append(c.out, `"content":"`...)
	c.out = append(c.out, words...)
	c.out = append(c.out, '"')
}

// flush adds to the last delta of a choice what was held back of its text.
func (r *Repair) flush(c *copier, to *choice, reasons bool) bool {
	if !r.splits(to) || reasons || len(to.thinking.held) == 0 {
		return false
	}
	thoughts, words := to.thinking.rest(nil, nil)
	name, text := "content", words
	if len(thoughts) > 0 {
		name, text = "reasoning_content", thoughts
	}
	c.add(name, `"`)
	c.out = append(append(c.out, text...), '"')
	return true
}

// joinParts joins the parts of a content array, as Mistral's reasoning models write it:
// {"type":"text","text":…} and {"type":"thinking","thinking":[{"type":"text",…}]}. The
// results are insides of JSON strings. Parts of other kinds have no place in a delta.
func joinParts(content jsonview.Value) (thoughts, words []byte) {
	for _, part := range content.Elements {
		words = append(words, part.Inside()...)
		words = append(words, part.Get("text").Inside()...)
		thinking := part.Get("thinking")
		thoughts = append(thoughts, thinking.Inside()...)
		for _, thought := range thinking.Elements {
			thoughts = append(thoughts, thought.Inside()...)
			thoughts = append(thoughts, thought.Get("text").Inside()...)
		}
	}
	return thoughts, words
}
