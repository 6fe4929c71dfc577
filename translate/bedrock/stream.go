package bedrock

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Decoder implements translate.Dialect.
func (Dialect) Decoder(c *translate.Context) translate.Decoder {
	return &decoder{message: message{c: c}}
}

// decoder reads a ConverseStream. Its events are messageStart, then for each block
// contentBlockStart (of tool calls only), contentBlockDelta and contentBlockStop, then
// messageStop with the reason, and metadata with the usage.
type decoder struct {
	message
	open    []openCall
	thought int64 // the block of the thought that is open
	repeats translate.Repeats
	stopped bool // messageStop came
	counted bool // metadata came
}

// openCall is a block in which a tool call is being written.
type openCall struct {
	block  int64
	call   int
	answer bool // the call is the answer itself
	filled bool // there were arguments
}

// maxOpen bounds the calls that are being written at once. Bedrock writes one.
const maxOpen = 256

// exception is what the names of frames begin with that report a failure, and
// deltaEvent the name of those that bring a piece of a block.
const (
	exception  = "exception "
	deltaEvent = "contentBlockDelta"
)

// Event implements translate.Decoder. An event without a name is {"<name>":<event>},
// the form that AWS's SDKs give to the events.
func (d *decoder) Event(to translate.Sink, name, data []byte) translate.Progress {
	if kind, failed := strings.CutPrefix(jsonview.View(name), exception); failed {
		to.Fail(wire.AWSException(kind, data))
		return translate.Failed
	}
	if string(name) != deltaEvent {
		d.repeats.Forget()
	} else if f, text, ok := d.repeats.Match(data); ok {
		f.Give(to, text)
		d.note(f.Kind, text)
		return translate.More
	}
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	if len(name) > 0 {
		p := d.event(to, jsonview.View(name), root)
		if p == translate.More && string(name) == deltaEvent {
			d.repeats.Learn(data, root.Get("p"))
		}
		return p
	}
	for kind, event := range root.Members {
		if strings.HasSuffix(kind, "Exception") {
			to.Fail(wire.AWSException(kind, []byte(event.Raw)))
			return translate.Failed
		}
		if p := d.event(to, kind, event); p != translate.More {
			return p
		}
	}
	return translate.More
}

func (d *decoder) event(to translate.Sink, kind string, v jsonview.Value) translate.Progress {
	switch kind {
	case "messageStart":
		to.Open(0)
	case "contentBlockStart":
		return d.start(to, v)
	case deltaEvent:
		d.delta(to, v)
	case "contentBlockStop":
		d.stop(to, blockOf(v))
	case "messageStop":
		reason := v.Get("stopReason").Text()
		switch {
		case reason == "":
			return translate.Malformed
		case d.stopped:
			return translate.More
		}
		for len(d.open) > 0 {
			d.stop(to, d.open[0].block)
		}
		d.end(to, reason)
		d.stopped = true
	case "metadata":
		reportUsage(to, v.Get("usage"))
		d.counted = true
	}
	if d.stopped && d.counted {
		return translate.Complete
	}
	return translate.More
}

// End implements translate.Decoder. The metadata may be missing, the reason may not.
func (d *decoder) End(translate.Sink) translate.Progress {
	if d.stopped {
		return translate.Complete
	}
	return translate.More
}

func blockOf(v jsonview.Value) int64 {
	n, _ := v.Get("contentBlockIndex").Int()
	return n
}

// start begins a tool call, or something that is nothing to the client.
func (d *decoder) start(to translate.Sink, v jsonview.Value) translate.Progress {
	use := v.Get("start", "toolUse")
	if !use.IsObject() {
		d.thoughts.Other()
		return translate.More
	}
	block := blockOf(v)
	d.stop(to, block)
	if len(d.open) >= maxOpen {
		return translate.Malformed
	}
	if call, kind := d.call(to, use); kind != callOwn {
		d.open = append(d.open, openCall{block: block, call: call, answer: kind == callAnswer})
	}
	return translate.More
}

func (d *decoder) delta(to translate.Sink, v jsonview.Value) {
	var block int64
	var delta jsonview.Value
	for name, member := range v.Members {
		switch name {
		case "contentBlockIndex":
			block, _ = member.Int()
		case "delta":
			delta = member
		}
	}
	for kind, piece := range delta.Members {
		switch kind {
		case "text":
			d.give(to, translate.Fragment{Kind: translate.FragmentText}, piece)
		case "toolUse":
			d.arguments(to, block, piece.Get("input"))
		case "reasoningContent":
			d.reasoning(to, block, piece)
		}
	}
}

func (d *decoder) arguments(to translate.Sink, block int64, piece jsonview.Value) {
	for i := range d.open {
		o := &d.open[i]
		if o.block != block || piece.Inside() == "" {
			continue
		}
		o.filled = true
		if o.answer {
			d.give(to, translate.Fragment{Kind: translate.FragmentText}, piece)
		} else {
			d.give(to, translate.Fragment{Kind: translate.FragmentArguments, Call: o.call}, piece)
		}
	}
}

// reasoning takes in a piece of a thought. No event says that one begins.
func (d *decoder) reasoning(to translate.Sink, block int64, v jsonview.Value) {
	for kind, piece := range v.Members {
		if kind == "redactedContent" {
			d.thoughts.Redacted(piece.Inside())
			continue
		}
		if !d.thoughts.Open() || d.thought != block {
			d.thoughts.Begin()
			d.thought = block
		}
		switch kind {
		case "text":
			d.give(to, translate.Fragment{Kind: translate.FragmentReasoning}, piece)
		case "signature":
			d.thoughts.SignMore(piece.Inside())
		}
	}
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

// stop ends a block.
func (d *decoder) stop(to translate.Sink, block int64) {
	d.thoughts.End()
	kept := d.open[:0]
	for _, o := range d.open {
		if o.block != block {
			kept = append(kept, o)
		} else if o.answer && !o.filled {
			to.Text(0, "{}")
		}
	}
	d.open = kept
}
