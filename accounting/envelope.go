package accounting

import "bytes"

// envelope holds the members of an event's top level that matter to a meter.
type envelope struct {
	kind, id, created, model, choices  span
	usage, groq, failure, code         span
	response, item, itemID, outputSlot span
	delta, arguments, input            span
	output, status, incomplete         span
	obfuscation, sequence              span
	usageMember                        Span // usage with its name and one comma

	// Nearly every chunk has one choice, which is read on the way. Several are
	// counted, and read again when the whole text has proved well formed.
	first choiceMembers
	count int
}

// usageSpans tells a null usage from one with numbers in it.
func (v *envelope) usageSpans(data []byte) (null, object Span) {
	switch {
	case isKind(data, v.usage, 'n'):
		return v.usageMember, Span{}
	case isKind(data, v.usage, '{'):
		return Span{}, v.usageMember
	}
	return Span{}, Span{}
}

// read checks the whole text and notes where its members are. It reports
// whether data is a well-formed JSON object. Of a repeated member the last one
// counts, as with most parsers.
func (v *envelope) read(data []byte) bool {
	c := cursor{b: data}
	comma := -1
	for more := c.open('{', '}'); more; {
		c.space()
		start := c.i
		to := v.member(c.name())
		var value span
		if to == &v.choices {
			value = v.readChoices(&c)
		} else {
			value = c.value()
		}
		if c.bad {
			return false
		}
		follows := c.space() == ','
		if to != nil {
			*to = value
			if to == &v.usage {
				v.usageMember = member(value, start, comma, c.i, follows)
			}
		}
		comma = c.i
		more = c.more('}')
	}
	return c.done()
}

// readChoices reads the value of the choices member.
func (v *envelope) readChoices(c *cursor) span {
	v.first, v.count = choiceMembers{}, 0
	if c.space() != '[' {
		return c.value()
	}
	start := c.i
	for more := c.open('[', ']'); more; more = c.more(']') {
		if v.count++; v.count == 1 {
			v.first.read(c)
		} else {
			c.value()
		}
	}
	return span{start, c.i}
}

// member returns the span to cut so that a member is gone: with the comma behind
// it, or for the last member with the one in front.
func member(value span, start, comma, behind int, follows bool) Span {
	switch {
	case follows:
		return Span{start, behind + 1}
	case comma >= 0:
		return Span{comma, value.end}
	}
	return Span{start, value.end}
}

// member returns the place for the member of the given name, nil if it does not matter.
func (v *envelope) member(key []byte) *span {
	switch string(key) {
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
	if !v.read(data) {
		m.bad++
		return Chunk{Kind: KindUnparsed}
	}
	var e effects
	var chunk Chunk
	if m.shape == ShapeResponses {
		chunk = m.responsesEvent(data, &v, &e)
	} else {
		chunk = m.chatChunk(data, &v, &e)
	}
	if string(name) == "error" || truthy(data, v.failure) {
		m.fail(data, v.failure, v.code)
		chunk.Kind = KindError
	}
	if chunk.Kind == KindContent {
		e.padding(data, &v)
		m.tmpl.learn(data, chunk, &e, m.toolVersion())
	}
	return chunk
}

// ObserveBody reads a whole answer that is not a stream: a completion, a
// response object, embeddings. The Chunk it returns has offsets in body.
func (m *Meter) ObserveBody(body []byte) Chunk {
	m.events++
	var v envelope
	if !v.read(body) {
		m.bad++
		return Chunk{Kind: KindUnparsed}
	}
	var e effects
	var chunk Chunk
	failed := truthy(body, v.failure)
	if m.shape == ShapeResponses {
		chunk.Model = m.head(body, &v)
		m.responseOutput(body, &v, &e, true)
		m.produced = m.produced || e.produced
		m.takeUsage(body, v.usage, true)
		m.ended = m.responseEnd(body, &v)
	} else {
		chunk = m.chatAnswer(body, &v, &e, true)
		m.final = m.usage.Any()
		m.ended = !failed
	}
	if failed {
		m.fail(body, v.failure, v.code)
		chunk.Kind = KindError
	}
	return chunk
}

// padding notes the members that only vary: the obfuscation that OpenAI adds
// against traffic analysis, and the numbering of Responses events.
func (e *effects) padding(data []byte, v *envelope) {
	if s, ok := text(data, v.obfuscation); ok {
		e.vary(s, holeString)
	}
	if n, ok := integer(data, v.sequence); ok && n >= 0 && data[v.sequence.start] != '-' {
		e.vary(v.sequence, holeNumber)
	}
}

// head notes what all chunks of a stream have in common and returns the span of the model.
func (m *Meter) head(data []byte, v *envelope) Span {
	if m.id == "" {
		if s, ok := text(data, v.id); ok {
			m.id = bounded(s.of(data), maxLabel)
		}
	}
	if m.created <= 0 {
		m.created, _ = integer(data, v.created)
	}
	s, ok := text(data, v.model)
	if !ok {
		return Span{}
	}
	if m.model == "" {
		m.model = bounded(s.of(data), maxLabel)
	}
	return Span{v.model.start, v.model.end}
}

// takeUsage merges a usage object into the numbers so far and keeps it verbatim.
// It reports whether there was an object.
func (m *Meter) takeUsage(data []byte, s span, final bool) bool {
	if !isKind(data, s, '{') {
		return false
	}
	u, refused := readUsage(data, s)
	m.degraded = m.degraded || refused
	if !u.Any() {
		return true
	}
	m.usage = Merge(m.usage, u)
	m.final = final
	m.rawUsage = m.rawUsage[:0]
	if s.end-s.start <= maxRawUsage {
		m.rawUsage = append(m.rawUsage, s.of(data)...)
	}
	return true
}
