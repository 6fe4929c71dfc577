package accounting

import (
	"bytes"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// envelope holds the members of an event's top level that matter to a meter.
type envelope struct {
	kind, id, created, model, choices  value
	usage, groq, failure, code         value
	response, item, itemID, outputSlot value
	delta, arguments, input            value
	output, status, incomplete         value
	obfuscation, sequence              value

	usageName int // offset of the name of usage
	count     int // choices that were read
}

// parse checks the whole text and notes where its members are. It reports
// whether data is a well-formed JSON object.
func (v *envelope) parse(data []byte) bool {
	root, ok := parse(data)
	if !ok || !root.is('{') {
		return false
	}
	v.read(root)
	return true
}

// read notes the members of an object. Of a repeated member the last one
// counts, as with most parsers.
func (v *envelope) read(object value) {
	object.result().ForEach(func(name, member gjson.Result) bool {
		if to := v.place(name.Str); to != nil {
			*to = value{member.Raw, member.Index}
			if to == &v.usage {
				v.usageName = name.Index
			}
		}
		return true
	})
}

// usageSpans tells a null usage from one with numbers in it.
func (v *envelope) usageSpans(data []byte) (null, object Span) {
	switch {
	case v.usage.is('n'):
		return memberSpan(data, v.usageName, v.usage.span().End), Span{}
	case v.usage.is('{'):
		return Span{}, memberSpan(data, v.usageName, v.usage.span().End)
	}
	return Span{}, Span{}
}

// memberSpan returns the span to cut so that a member is gone: with the comma
// behind it, or for the last member with the one in front.
func memberSpan(data []byte, start, end int) Span {
	const blank = " \t\r\n"
	if behind := bytes.TrimLeft(data[end:], blank); behind[0] == ',' {
		return Span{start, len(data) - len(behind) + 1}
	}
	if front := bytes.TrimRight(data[:start], blank); front[len(front)-1] == ',' {
		start = len(front) - 1
	}
	return Span{start, end}
}

// place returns the place for the member of the given name, nil if it does not matter.
func (v *envelope) place(name string) *value {
	switch name {
	case "type":
		return &v.kind
	case "id":
		return &v.id
	case "created", "created_at":
		return &v.created
	case "model":
		return &v.model
	case "choices":
		return &v.choices
	case "usage":
		return &v.usage
	case "x_groq":
		return &v.groq
	case "error":
		return &v.failure
	case "code":
		return &v.code
	case "response":
		return &v.response
	case "item":
		return &v.item
	case "item_id":
		return &v.itemID
	case "output_index":
		return &v.outputSlot
	case "delta":
		return &v.delta
	case "arguments":
		return &v.arguments
	case "input":
		return &v.input
	case "output":
		return &v.output
	case "status":
		return &v.status
	case "incomplete_details":
		return &v.incomplete
	case "obfuscation":
		return &v.obfuscation
	case "sequence_number":
		return &v.sequence
	}
	return nil
}

// observe reads an event in full.
func (m *Meter) observe(name, data []byte) Chunk {
	trimmed := bytes.TrimSpace(data)
	if string(trimmed) == "[DONE]" {
		m.done = true
		return Chunk{Kind: KindDone}
	}
	if len(trimmed) == 0 {
		return Chunk{Kind: KindUnparsed}
	}
	var v envelope
	if !v.parse(data) {
		m.bad++
		return Chunk{Kind: KindUnparsed}
	}
	var e effects
	var chunk Chunk
	if m.shape == ShapeResponses {
		chunk = m.responsesEvent(&v, &e)
	} else {
		chunk = m.chatChunk(data, &v, &e)
	}
	if string(name) == "error" || v.failure.truthy() {
		m.fail(v.failure, v.code)
		chunk.Kind = KindError
	}
	if chunk.Kind == KindContent {
		e.padding(&v)
		m.tmpl.learn(data, chunk, &e, m.toolVersion())
	}
	return chunk
}

// ObserveBody reads a whole answer that is not a stream: a completion, a
// response object, embeddings. The Chunk it returns has offsets in body.
func (m *Meter) ObserveBody(body []byte) Chunk {
	m.events++
	var v envelope
	if !v.parse(body) {
		m.bad++
		return Chunk{Kind: KindUnparsed}
	}
	var e effects
	var chunk Chunk
	failed := v.failure.truthy()
	if m.shape == ShapeResponses {
		chunk.Model = m.head(&v)
		m.responseOutput(&v, &e, true)
		m.produced = m.produced || e.produced
		m.takeUsage(v.usage, true)
		m.ended = m.responseEnd(&v)
	} else {
		chunk = m.chatAnswer(body, &v, &e, true)
		m.final = m.usage.Any()
		m.ended = !failed
	}
	if failed {
		m.fail(v.failure, v.code)
		chunk.Kind = KindError
	}
	return chunk
}

// padding notes the members that only vary: the obfuscation that OpenAI adds
// against traffic analysis, and the numbering of Responses events.
func (e *effects) padding(v *envelope) {
	if v.obfuscation.is('"') {
		e.vary(v.obfuscation.inside(), holeString)
	}
	if _, ok := v.sequence.integer(); ok && !v.sequence.is('-') {
		e.vary(v.sequence.span(), holeNumber)
	}
}

// head notes what all chunks of a stream have in common and returns the span of the model.
func (m *Meter) head(v *envelope) Span {
	if m.id == "" {
		m.id = bounded(v.id.text(), maxLabel)
	}
	if m.created <= 0 {
		m.created, _ = v.created.integer()
	}
	if !v.model.is('"') {
		return Span{}
	}
	if m.model == "" {
		m.model = bounded(v.model.text(), maxLabel)
	}
	return v.model.span()
}

// takeUsage merges a usage object into the numbers so far and keeps it verbatim.
// It reports whether there was an object.
func (m *Meter) takeUsage(usage value, final bool) bool {
	if !usage.is('{') {
		return false
	}
	u, refused := readUsage(usage)
	m.degraded = m.degraded || refused
	if !u.Any() {
		return true
	}
	m.usage = tokens.Merge(m.usage, u)
	m.final = final
	m.rawUsage = m.rawUsage[:0]
	if len(usage.raw) <= maxRawUsage {
		m.rawUsage = append(m.rawUsage, usage.raw...)
	}
	return true
}
