package anthropic

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Decoder reads the events of one streamed message.
//
// https://platform.claude.com/docs/en/build-with-claude/streaming
func (Dialect) Decoder(c *translate.Context) translate.Decoder {
	return &decoder{c: c, bedrock: c.Platform.Platform == translate.PlatformBedrock}
}

type decoder struct {
	c        *translate.Context
	bedrock  bool
	envelope jsonframe.Frame // of Bedrock, around the events
	chunk    []byte          // of Bedrock, decoded

	begun bool   // message_start has come
	id    string // of the message
	open  []block
	calls int // the client's tools called
	// answered says that the tool was called whose arguments are the answer.
	answered  bool
	firstCall string // the id of the first of calls
	stop      string // stop_reason, empty while the provider has not said
	explained bool   // the reason of a refusal has been told
	usage     usage
	thoughts  wire.Thoughts
	repeats   translate.Repeats
	over      bool
}

// Event reads one event. Its type stands in the data too, which some gateways send
// without the name. They also put OpenAI's [DONE] behind any stream.
func (d *decoder) Event(to translate.Sink, name, data []byte) translate.Progress {
	if d.bedrock {
		inner, progress := d.unwrap(to, name, data)
		if progress != translate.More || inner == nil {
			return progress
		}
		data = inner
	}
	if d.over {
		return translate.More
	}
	if f, text, ok := d.repeats.Match(data); ok {
		f.Give(to, text)
		d.note(f.Kind, text)
		return translate.More
	}
	if len(data) == 0 || sse.IsDone(data) {
		return translate.More
	}
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	return d.read(to, root, data)
}

// End accepts a message that has its stop_reason and lacks only message_stop.
func (d *decoder) End(to translate.Sink) translate.Progress {
	if d.over || d.stop == "" {
		return translate.More
	}
	return d.finish(to)
}

// event is the members of an event that matter.
type event struct {
	kind, index, block, delta, message, usage, fault, metrics jsonview.Value
}

func (d *decoder) read(to translate.Sink, root jsonview.Value, data []byte) translate.Progress {
	var e event
	for name, v := range root.Members {
		switch name {
		case "type":
			e.kind = v
		case "index":
			e.index = v
		case "delta":
			e.delta = v
		case "content_block":
			e.block = v
		case "message":
			e.message = v
		case "usage":
			e.usage = v
		case "error":
			e.fault = v
		case "amazon-bedrock-invocationMetrics":
			e.metrics = v
		}
	}
	switch kind := e.kind.Text(); kind {
	case "content_block_delta":
		d.delta(to, e.index, e.delta)
		d.repeats.Learn(data)
	case "content_block_start":
		if !d.begin(to, e.index, e.block) {
			return translate.Malformed
		}
	case "content_block_stop":
		if b := d.find(e.index); b >= 0 {
			d.close(to, b)
		}
	case "message_start":
		return d.messageStart(to, e.message)
	case "message_delta":
		d.count(to, e.usage, d.usage.read(e.usage))
		d.ending(to, e.delta)
	case "message_stop":
		d.count(to, e.metrics, d.usage.readMetrics(e.metrics))
		if d.stop != "" {
			return d.finish(to)
		}
	case "message": // a whole answer, as the only event
		return d.whole(to, root)
	case "error", "":
		if kind != "" || e.fault.IsObject() {
			return d.fail(to, faultOf(0, e.fault))
		}
	}
	return translate.More
}

func (d *decoder) count(to translate.Sink, raw jsonview.Value, found bool) {
	if found {
		to.Usage(d.usage.total(), raw.Raw)
	}
}

func (d *decoder) fail(to translate.Sink, e *translate.Error) translate.Progress {
	d.over = true
	to.Fail(e)
	return translate.Failed
}

// messageStart takes in the head. A second one with the same id repeats it; one with
// another id means that somebody upstream has put two answers into one stream.
func (d *decoder) messageStart(to translate.Sink, m jsonview.Value) translate.Progress {
	if !m.IsObject() {
		return translate.Malformed
	}
	id := m.Get("id").Text()
	if d.begun && id != d.id {
		e := translate.NewError(translate.CodeUpstreamBadResponse)
		e.Message = "The provider began a second answer in the stream of the first."
		return d.fail(to, e)
	}
	used := m.Get("usage")
	d.count(to, used, d.usage.readStart(used))
	if d.begun {
		return translate.More
	}
	d.begun, d.id = true, strings.Clone(id)
	to.Head(id, m.Get("model").Text(), 0)
	to.Open(0)
	d.content(to, m.Get("content"))
	d.ending(to, m)
	return translate.More
}

// content takes in blocks that are whole.
func (d *decoder) content(to translate.Sink, blocks jsonview.Value) {
	for _, b := range blocks.Elements {
		if d.begin(to, jsonview.Value{}, b) {
			d.close(to, len(d.open)-1)
		}
	}
}

// ending takes in why the message stops. The finish is held back until the message has
// stopped, because a later event may correct it.
func (d *decoder) ending(to translate.Sink, v jsonview.Value) {
	reason := v.Get("stop_reason").Text()
	if reason == "" {
		return
	}
	if d.stop != reason {
		d.stop = strings.Clone(reason)
	}
	if why := v.Get("stop_details", "explanation").Inside(); reason == "refusal" && why != "" && !d.explained {
		d.explained = true
		to.Refusal(0, why)
	}
}

// finish ends the answer with what the provider said.
func (d *decoder) finish(to translate.Sink) translate.Progress {
	for len(d.open) > 0 {
		d.close(to, 0)
	}
	d.over = true
	if raw := d.thoughts.Take(d.c.Prefix); raw != "" {
		to.Carry(0, vendor, raw)
		if d.firstCall != "" && d.c.Carried != nil {
			d.c.Carried.Keep(d.firstCall, raw)
		}
	}
	to.Finish(0, d.reason(), d.stop)
	return translate.Complete
}

// reason is the hub's word for stop_reason. Calls of the provider's own tools and of
// the tool that stands for the answer are none that the client could make.
func (d *decoder) reason() string {
	switch d.stop {
	case "max_tokens", "model_context_window_exceeded":
		return translate.FinishLength
	case "refusal":
		return translate.FinishContent
	case "tool_use":
		if d.calls > 0 {
			return translate.FinishTools
		}
	}
	return translate.FinishStop
}
