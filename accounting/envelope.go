package accounting

import (
	"bytes"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// envelope holds the members of an event's top level that matter to a meter.
type envelope struct {
	kind, id, created, model, choices  jsonview.Value
	tier                               jsonview.Value
	usage, groq, failure, code         jsonview.Value
	response, item, itemID, outputSlot jsonview.Value
	delta, arguments, input            jsonview.Value
	output, status, incomplete         jsonview.Value
	obfuscation, sequence              jsonview.Value

	count int // choices that were read
}

// parse checks the whole text and notes where its members are. It reports
// whether data is a well-formed JSON object.
func (v *envelope) parse(data []byte) bool {
	root, ok := jsonview.Parse(data)
	if !ok || !root.IsObject() {
		return false
	}
	v.read(root)
	return true
}

// read notes the members of an object. Of a repeated member the last one
// counts, as with most parsers.
func (v *envelope) read(object jsonview.Value) {
	for name, member := range object.Members {
		if to := v.place(name); to != nil {
			*to = member
		}
	}
}

// usageSpans tells a null usage from one with numbers in it.
func (v *envelope) usageSpans(data []byte) (null, object Span) {
	switch {
	case v.usage.IsNull():
		return memberSpan(data, v.usage), Span{}
	case v.usage.IsObject():
		return Span{}, memberSpan(data, v.usage)
	}
	return Span{}, Span{}
}

// memberSpan returns the span to cut so that the member of a value is gone: with the
// comma behind it, or for the last member with the one in front. The name of the member
// has no quote in it.
func memberSpan(data []byte, value jsonview.Value) Span {
	const blank = " \t\r\n"
	end := spanOf(value).End
	start := bytes.LastIndexByte(data[:value.At], ':')
	start = bytes.LastIndexByte(data[:start], '"')
	start = bytes.LastIndexByte(data[:start], '"')
	if behind := bytes.TrimLeft(data[end:], blank); behind[0] == ',' {
		return Span{start, len(data) - len(behind) + 1}
	}
	if front := bytes.TrimRight(data[:start], blank); front[len(front)-1] == ',' {
		start = len(front) - 1
	}
	return Span{start, end}
}

// place returns the place for the member of the given name, nil if it does not matter.
func (v *envelope) place(name string) *jsonview.Value {
	switch name {
	case "type":
		return &v.kind
	case "id":
		return &v.id
	case "created", "created_at":
		return &v.created
	case "model":
		return &v.model
	case "service_tier":
		return &v.tier
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
	if string(name) == "error" || truthy(v.failure) {
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
	failed := truthy(v.failure)
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
	if v.obfuscation.IsString() {
		e.vary(v.obfuscation)
	}
	if _, ok := v.sequence.Digits(); ok && v.sequence.Raw[0] != '-' {
		e.vary(v.sequence)
	}
}

// head notes what all chunks of a stream have in common and returns the span of the model.
func (m *Meter) head(v *envelope) Span {
	if m.id == "" {
		m.id = bounded(v.id.Inside(), maxLabel)
	}
	if m.created <= 0 {
		m.created, _ = v.created.Digits()
	}
	if v.tier.IsString() && v.tier.Inside() != m.tier {
		m.tier = codeOf(v.tier)
	}
	if !v.model.IsString() {
		return Span{}
	}
	if m.model == "" {
		m.model = bounded(v.model.Inside(), maxLabel)
	}
	return spanOf(v.model)
}

// takeUsage merges a usage object into the numbers so far and keeps it verbatim.
// It reports whether there was an object.
func (m *Meter) takeUsage(usage jsonview.Value, final bool) bool {
	if !usage.IsObject() {
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
	if len(usage.Raw) <= maxRawUsage {
		m.rawUsage = append(m.rawUsage, usage.Raw...)
	}
	return true
}
