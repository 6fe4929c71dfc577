package ollama

import (
	"time"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Decoder implements translate.Dialect.
func (Dialect) Decoder(*translate.Context) translate.Decoder { return &decoder{} }

// decoder reads the lines of one answer, which is always choice 0.
type decoder struct {
	whole   bool // the answer is wanted as a whole, so that logprobs have to be gathered
	repeats translate.Repeats
	begun   bool
	over    bool
	scratch []byte
}

// line is what of a line matters.
type line struct {
	model, created, message, failure, reason, logprobs jsonview.Value
	done                                               bool
	counts                                             counts
}

// message is what of a line's message matters.
type message struct {
	content, thinking, images, calls jsonview.Value
}

// Event implements translate.Decoder.
func (d *decoder) Event(to translate.Sink, _, data []byte) translate.Progress {
	if f, text, ok := d.repeats.Match(data); ok {
		f.Give(to, text)
		return translate.More
	}
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	var l line
	for key, v := range root.Members {
		switch key {
		case "model":
			l.model = v
		case "created_at":
			l.created = v
		case "message":
			l.message = v
		case "done":
			l.done = v.IsTrue()
		case "done_reason":
			l.reason = v
		case "logprobs":
			l.logprobs = v
		case "error":
			l.failure = v
		default:
			l.counts.take(key, v)
		}
	}
	l.counts.report(to)
	if l.failure.Inside() != "" || l.failure.IsObject() {
		to.Fail(wire.InStream(root))
		return translate.Failed
	}
	d.begin(to, &l)
	plain := d.message(to, &l)
	if !l.done {
		if plain && l.counts == (counts{}) {
			d.repeats.Learn(data, l.created)
		}
		return translate.More
	}
	d.over = true
	finish(to, l.reason)
	return translate.Complete
}

// begin reports what the first line of the answer says of it.
func (d *decoder) begin(to translate.Sink, l *line) {
	if d.begun || !l.message.Exists() && !l.done {
		return
	}
	d.begun = true
	created := int64(0)
	if at, err := time.Parse(time.RFC3339, l.created.Text()); err == nil {
		created = at.Unix()
	}
	to.Head("", l.model.Text(), created)
	to.Open(0)
}

// message takes in the message of a line. plain means that there can be nothing but text
// in it.
func (d *decoder) message(to translate.Sink, l *line) (plain bool) {
	var m message
	for key, v := range l.message.Members {
		switch key {
		case "content":
			m.content = v
		case "thinking":
			m.thinking = v
		case "images":
			m.images = v
		case "tool_calls":
			m.calls = v
		}
	}
	d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentReasoning}, m.thinking)
	d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentText}, m.content)
	if m.content.Inside() != "" || m.thinking.Inside() == "" { // those of thoughts have no place in the hub
		d.logprobs(l.logprobs)
	}
	if len(d.scratch) > 0 && (l.done || !d.whole) {
		d.scratch = append(d.scratch, "]}"...)
		to.Logprobs(0, jsonview.View(d.scratch))
		d.scratch = d.scratch[:0]
	}
	for _, data := range m.images.Elements {
		if data.Inside() != "" {
			to.Image(0, "data:"+media(data.Inside())+";base64,"+data.Inside())
		}
	}
	for _, call := range m.calls.Elements {
		toolCall(to, call)
	}
	return !l.logprobs.Exists() && !m.images.Exists() && !m.calls.Exists()
}

// toolCall takes in a call, which always comes whole, and from older servers without an
// id.
func toolCall(to translate.Sink, call jsonview.Value) {
	function := call.Get("function")
	number := to.Call(0, translate.Call{ID: call.Get("id").Text(), Name: function.Get("name").Text()})
	switch arguments := function.Get("arguments"); {
	case arguments.IsObject():
		to.ArgumentsJSON(0, number, arguments.Raw)
	case arguments.Inside() != "":
		to.Arguments(0, number, arguments.Inside())
	}
}

// End implements translate.Decoder.
func (d *decoder) End(translate.Sink) translate.Progress {
	if d.over {
		return translate.Complete
	}
	return translate.More
}

// finish ends the answer. Early servers gave no reason, and "load" is that of an empty
// conversation.
func finish(to translate.Sink, reason jsonview.Value) {
	native := reason.Text()
	word := translate.FinishStop
	if native == "length" {
		word = translate.FinishLength
	}
	to.Finish(0, word, native)
}
