package anthropic

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// kind is what a content block means to the client.
type kind uint8

const (
	// kindOwn is what the provider keeps to itself: its own tools and their results,
	// summaries of the conversation, and types that are unknown.
	kindOwn kind = iota
	kindText
	kindThinking
	kindCall
	kindAnswer // the call whose arguments are the answer
)

// block is a content block that has begun and not stopped.
type block struct {
	index  int64
	kind   kind
	id     string // of the call
	number int    // of the call, from the Sink
	spoken bool   // a part of the arguments has come
	input  []byte // arguments that came with the start, in case no others come
}

// maxOpen bounds the blocks that are open at a time. Anthropic opens one.
const maxOpen = 64

// find returns the place of an open block, -1 for none. Without an index it is the one
// that was opened last.
func (d *decoder) find(index jsonview.Value) int {
	n, ok := index.Int()
	if !ok {
		return len(d.open) - 1
	}
	for i := range d.open {
		if d.open[i].index == n {
			return i
		}
	}
	return -1
}

// begin opens a block, which may have some of its content already. It fails if there
// are too many. A call that begins once more is the one that is open.
func (d *decoder) begin(to translate.Sink, index, v jsonview.Value) bool {
	n, ok := index.Int()
	if !ok {
		n = -1
	}
	for i := range d.open {
		if b := &d.open[i]; b.index == n {
			if b.id != "" && v.Get("id").Is(b.id) {
				return true
			}
			d.close(to, i)
			break
		}
	}
	if len(d.open) == maxOpen {
		return false
	}
	b := block{index: n}
	switch v.Get("type").Text() {
	case "text":
		b.kind = kindText
		d.give(to, translate.Fragment{Kind: translate.FragmentText}, v.Get("text"))
	case "thinking":
		b.kind = kindThinking
		d.thoughts.Begin()
		d.give(to, translate.Fragment{Kind: translate.FragmentReasoning}, v.Get("thinking"))
		d.thoughts.Sign(v.Get("signature").Inside())
	case "redacted_thinking":
		d.thoughts.Redacted(v.Get("data").Inside())
	case "tool_use":
		b = d.beginCall(to, b, v)
	case "fallback":
		to.Served(v.Get("to", "model").Text())
		d.thoughts.Other()
	default:
		d.thoughts.Other()
	}
	d.open = append(d.open, b)
	return true
}

func (d *decoder) beginCall(to translate.Sink, b block, v jsonview.Value) block {
	id, name := v.Get("id").Text(), v.Get("name").Text()
	switch {
	case d.c.AnswerTool == "" || name != d.c.AnswerTool:
		b.kind, b.id = kindCall, strings.Clone(id)
		b.number = to.Call(0, translate.Call{ID: id, Name: name})
		if d.calls == 0 {
			d.firstCall = b.id
		}
		d.calls++
		d.thoughts.Called()
	case d.answered: // an answer given twice would be two JSON documents in a row
		d.thoughts.Other()
		return b
	default:
		b.kind = kindAnswer
		d.answered = true
	}
	if input := v.Get("input"); input.Len() > 0 {
		b.input = jsonview.AppendCompact(nil, input.Raw)
	}
	return b
}

// give hands a fragment on, and notes it.
func (d *decoder) give(to translate.Sink, f translate.Fragment, v jsonview.Value) {
	d.repeats.Give(to, f, v)
	d.note(f.Kind, v.Inside())
}

// note tells the thoughts of a fragment of the answer.
func (d *decoder) note(kind translate.FragmentKind, escaped string) {
	switch kind {
	case translate.FragmentReasoning:
		d.thoughts.Text(escaped)
	case translate.FragmentText:
		d.thoughts.Said(escaped)
	}
}

// delta takes in a piece of a block. What a delta is, it says itself, so that text is
// not lost where a gateway forgot to open a block for it.
func (d *decoder) delta(to translate.Sink, index, v jsonview.Value) {
	var kind, piece jsonview.Value
	for name, member := range v.Members {
		switch name {
		case "type":
			kind = member
		case "text", "thinking", "partial_json", "signature":
			piece = member
		}
	}
	if piece.Inside() == "" {
		return
	}
	at := d.find(index)
	switch kind.Text() {
	case "text_delta":
		if at < 0 || d.open[at].kind == kindText {
			d.give(to, translate.Fragment{Kind: translate.FragmentText}, piece)
		}
	case "thinking_delta":
		if at < 0 || d.open[at].kind == kindThinking {
			d.give(to, translate.Fragment{Kind: translate.FragmentReasoning}, piece)
		}
	case "signature_delta":
		d.thoughts.Sign(piece.Inside())
	case "input_json_delta":
		if at >= 0 {
			d.arguments(to, &d.open[at], piece)
		}
	}
}

func (d *decoder) arguments(to translate.Sink, b *block, piece jsonview.Value) {
	switch b.kind {
	case kindCall:
		d.give(to, translate.Fragment{Kind: translate.FragmentArguments, Call: b.number}, piece)
	case kindAnswer:
		d.give(to, translate.Fragment{Kind: translate.FragmentText}, piece)
	}
	b.spoken, b.input = true, nil
}

// close ends the open block at a place in the list.
func (d *decoder) close(to translate.Sink, at int) {
	b := d.open[at]
	d.open = append(d.open[:at], d.open[at+1:]...)
	switch b.kind {
	case kindThinking:
		d.thoughts.End()
	case kindCall, kindAnswer:
		if !b.spoken {
			d.input(to, b)
		}
	}
}

// input gives the arguments of a call for which no fragments came: those of its start,
// or none.
func (d *decoder) input(to translate.Sink, b block) {
	raw := "{}"
	if len(b.input) > 0 {
		raw = jsonview.View(b.input)
	}
	if b.kind == kindCall {
		to.ArgumentsJSON(0, b.number, raw)
		return
	}
	to.Text(0, string(jsonview.AppendEscaped(nil, raw)))
}
