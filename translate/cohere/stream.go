package cohere

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Decoder implements translate.Dialect.
func (Dialect) Decoder(*translate.Context) translate.Decoder { return &decoder{} }

// decoder reads the events of one answer, which is always choice 0.
type decoder struct {
	calls     []openCall
	repeats   translate.Repeats
	citations citations
	scratch   []byte
	over      bool
}

// openCall says which number a call got that the provider's events name by an index.
type openCall struct {
	index  int64
	number int
}

// maxOpenCalls bounds how many calls are remembered. Further on, fragments are taken to
// belong to the call that began last, as they always have so far.
const maxOpenCalls = 256

// event is what of an event matters.
type event struct {
	kind, id, index, delta, logprobs, message jsonview.Value
}

// Event implements translate.Decoder.
func (d *decoder) Event(to translate.Sink, name, data []byte) translate.Progress {
	if f, text, ok := d.repeats.Match(data); ok {
		f.Give(to, text)
		return translate.More
	}
	if sse.IsDone(data) {
		return d.End(to)
	}
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	var e event
	for key, v := range root.Members {
		switch key {
		case "type":
			e.kind = v
		case "id":
			e.id = v
		case "index":
			e.index = v
		case "delta":
			e.delta = v
		case "logprobs":
			e.logprobs = v
		case "message":
			e.message = v
		}
	}
	kind := e.kind.Text()
	if kind == "" {
		kind = jsonview.View(name)
	}
	switch {
	case kind == "message-end":
		return d.end(to, e.delta)
	case kind == "error" || kind == "" && e.message.IsString():
		to.Fail(wire.InStream(root))
		return translate.Failed
	}
	d.route(to, kind, &e)
	if e.kind.IsString() && strings.HasSuffix(kind, "-delta") && !e.logprobs.IsObject() {
		d.repeats.Learn(data)
	}
	return translate.More
}

// route takes in the events between which the answer lies. Unknown ones are ignored.
func (d *decoder) route(to translate.Sink, kind string, e *event) {
	message := e.delta.Get("message")
	switch kind {
	case "content-delta", "content-start":
		d.content(to, message.Get("content"), e.logprobs)
	case "tool-plan-delta":
		d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentReasoning}, message.Get("tool_plan"))
	case "tool-call-start":
		call := one(message.Get("tool_calls"))
		number := to.Call(0, translate.Call{ID: call.Get("id").Text(), Name: call.Get("function", "name").Text()})
		d.remember(e.index, number)
		d.arguments(to, number, call)
	case "tool-call-delta":
		d.arguments(to, d.number(e.index), one(message.Get("tool_calls")))
	case "citation-start":
		d.citations.add(message.Get("citations"))
	case "message-start":
		to.Head(e.id.Text(), "", 0)
		to.Open(0)
	}
}

func (d *decoder) content(to translate.Sink, block, logprobs jsonview.Value) {
	text := one(block).Get("text")
	d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentText}, text)
	d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentReasoning}, one(block).Get("thinking"))
	if text.Inside() != "" && logprobs.IsObject() {
		d.scratch = appendLogprobs(d.scratch[:0], logprobs)
		to.Logprobs(0, jsonview.View(d.scratch))
	}
}

// one is a value, or the first of it if it is a list.
func one(v jsonview.Value) jsonview.Value {
	if v.IsArray() {
		return v.First()
	}
	return v
}

func (d *decoder) arguments(to translate.Sink, number int, call jsonview.Value) {
	v := call.Get("function", "arguments")
	if v.IsObject() {
		to.ArgumentsJSON(0, number, v.Raw)
		return
	}
	d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentArguments, Call: number}, v)
}

func (d *decoder) remember(index jsonview.Value, number int) {
	at, ok := index.Int()
	if !ok {
		at = -1
	}
	if len(d.calls) == maxOpenCalls {
		d.calls[maxOpenCalls-1] = openCall{at, number}
		return
	}
	d.calls = append(d.calls, openCall{at, number})
}

// number finds the call that an event is about.
func (d *decoder) number(index jsonview.Value) int {
	if len(d.calls) == 0 {
		return -1
	}
	if at, ok := index.Int(); ok {
		for i := len(d.calls) - 1; i >= 0; i-- {
			if d.calls[i].index == at {
				return d.calls[i].number
			}
		}
	}
	return d.calls[len(d.calls)-1].number
}

// end takes in message-end.
func (d *decoder) end(to translate.Sink, delta jsonview.Value) translate.Progress {
	usage(to, delta.Get("usage"))
	if e := failure(delta); e != nil {
		to.Fail(e)
		return translate.Failed
	}
	d.citations.carry(to)
	finish(to, delta.Get("finish_reason"))
	d.over = true
	return translate.Complete
}

// End implements translate.Decoder.
func (d *decoder) End(translate.Sink) translate.Progress {
	if d.over {
		return translate.Complete
	}
	return translate.More
}

func finish(to translate.Sink, reason jsonview.Value) {
	native := reason.Text()
	word := translate.FinishStop
	switch native {
	case "MAX_TOKENS":
		word = translate.FinishLength
	case "TOOL_CALL":
		word = translate.FinishTools
	}
	to.Finish(0, word, native)
}
