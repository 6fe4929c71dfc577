package accounting

// chatChunk reads a chunk of a chat, completion or generic stream.
func (m *Meter) chatChunk(data []byte, v *envelope, e *effects) Chunk {
	chunk := m.chatAnswer(data, v, e, false)
	if m.shape != ShapeGeneric && isKind(data, v.usage, '{') && isKind(data, v.choices, '[') && v.count == 0 {
		chunk.Kind = KindUsageOnly
	}
	return chunk
}

// chatAnswer reads what chunks and whole answers have in common. Usage comes
// last, as it may be final only thanks to a finish reason beside it.
func (m *Meter) chatAnswer(data []byte, v *envelope, e *effects, body bool) Chunk {
	chunk := Chunk{Model: m.head(data, v)}
	chunk.NullUsage, chunk.Usage = v.usageSpans(data)
	if v.count == 1 {
		m.choice(data, &v.first, e, body)
	} else if v.count > 1 {
		m.choiceList(data, v.choices, e, body)
	}
	if e.produced {
		m.produced = true
		m.final = false
	}
	final := v.count == 0 || m.finished()
	seen := m.takeUsage(data, v.usage, final)
	object(data, v.groq, func(key []byte, s span) {
		if string(key) == "usage" {
			seen = m.takeUsage(data, s, final) || seen
		}
	})
	if m.shape == ShapeGeneric {
		object(data, v.response, func(key []byte, s span) {
			if string(key) == "usage" {
				seen = m.takeUsage(data, s, final) || seen
			}
		})
	}
	e.spoiled = e.spoiled || seen
	return chunk
}

// choiceList applies the choices of a chunk that has several.
func (m *Meter) choiceList(data []byte, s span, e *effects, body bool) {
	c := cursor{b: data[:s.end], i: s.start}
	for more := c.open('[', ']'); more; more = c.more(']') {
		var members choiceMembers
		members.read(&c)
		m.choice(data, &members, e, body)
	}
}

// choice applies one choice of a chunk. Some servers send a message beside the
// delta; only the one that belongs to the kind of answer is read.
func (m *Meter) choice(data []byte, c *choiceMembers, e *effects, body bool) {
	index, _ := integer(data, c.index)
	known := m.choiceAt(index)
	part := &c.delta
	if body {
		part = &c.message
	}
	m.delta(data, part, index, known, e)
	m.fragment(data, c.text, sinkContent, e)
	if reason, ok := text(data, c.finish); ok && reason.present() {
		e.spoiled = true
		if known >= 0 && m.choices[known].finish == "" {
			m.choices[known].finish = finishReason(reason.of(data))
		}
	}
}

// choiceAt returns the position of the choice with the given index, which it
// adds if it is new; -1 if there are too many.
func (m *Meter) choiceAt(index int64) int {
	for i := range m.choices {
		if m.choices[i].index == index {
			return i
		}
	}
	if len(m.choices) >= maxChoices {
		m.degraded = true
		return -1
	}
	if m.choices == nil {
		m.choices = make([]choice, 0, 1)
	}
	m.choices = append(m.choices, choice{index: index})
	return len(m.choices) - 1
}

// delta applies a delta, or a message, which has the same members.
func (m *Meter) delta(data []byte, d *deltaMembers, index int64, known int, e *effects) {
	m.reasoning(data, d, e)
	if isKind(data, d.content, '[') {
		array(data, d.content, func(part span) { m.contentPart(data, part, e) })
	} else {
		m.fragment(data, d.content, sinkContent, e)
	}
	m.fragment(data, d.refusal, sinkRefusal, e)
	array(data, d.tools, func(call span) { m.chatToolCall(data, call, index, known, e) })
	if isKind(data, d.function, '{') {
		t := toolDelta{choice: index, wire: legacyWire, hasWire: true}
		arguments := functionMembers(data, d.function, &t)
		m.toolDelta(&t, arguments, known, e)
	}
}

// reasoning counts the same text once: several servers send it under two names,
// and others put it into reasoning_details alone.
func (m *Meter) reasoning(data []byte, d *deltaMembers, e *effects) {
	first, firstOK := filled(data, d.reasoningContent)
	second, secondOK := filled(data, d.reasoning)
	if firstOK {
		m.fragment(data, d.reasoningContent, sinkReasoning, e)
	}
	if secondOK {
		if firstOK {
			e.spoiled = true // the two must be compared each time
		}
		if !firstOK || string(first.of(data)) != string(second.of(data)) {
			m.fragment(data, d.reasoning, sinkReasoning, e)
		}
	}
	repeated := firstOK || secondOK
	array(data, d.details, func(detail span) {
		object(data, detail, func(key []byte, v span) {
			if string(key) != "text" && string(key) != "summary" {
				return
			}
			if !repeated {
				m.fragment(data, v, sinkReasoning, e)
			} else if s, ok := text(data, v); ok {
				e.vary(s, holeString)
			}
		})
	})
}

// contentPart reads an element of a content array, in which Mistral's models
// keep text and thinking apart; thinking is an array of parts again.
func (m *Meter) contentPart(data []byte, part span, e *effects) {
	e.spoiled = true
	if isKind(data, part, '"') {
		m.fragment(data, part, sinkContent, e)
		return
	}
	object(data, part, func(key []byte, v span) {
		switch string(key) {
		case "text":
			m.fragment(data, v, sinkContent, e)
		case "refusal":
			m.fragment(data, v, sinkRefusal, e)
		case "thinking":
			m.thinking(data, v, e)
		}
	})
}

func (m *Meter) thinking(data []byte, s span, e *effects) {
	m.fragment(data, s, sinkReasoning, e)
	array(data, s, func(part span) {
		object(data, part, func(key []byte, v span) {
			if string(key) == "text" {
				m.fragment(data, v, sinkReasoning, e)
			}
		})
	})
}

// filled returns the inside of the string at s if it is not empty.
func filled(data []byte, s span) (span, bool) {
	inner, ok := text(data, s)
	return inner, ok && inner.present()
}

// fragment adds the string at s to a sink; anything else, and "", is nothing.
func (m *Meter) fragment(data []byte, s span, to sink, e *effects) {
	if inner, ok := filled(data, s); ok {
		m.texts.add(to, inner.of(data))
		e.text(inner, to)
	}
}

// chatToolCall reads one element of tool_calls.
func (m *Meter) chatToolCall(data []byte, s span, index int64, known int, e *effects) {
	t := toolDelta{choice: index}
	arguments := span{}
	object(data, s, func(key []byte, v span) {
		switch string(key) {
		case "index":
			t.wire, t.hasWire = integer(data, v)
		case "id":
			t.id = inside(data, v)
		case "function":
			arguments = functionMembers(data, v, &t)
		case "custom":
			t.free = isKind(data, v, '{')
			if t.free {
				arguments = functionMembers(data, v, &t)
			}
		}
	})
	t.hasWire = t.hasWire && t.wire >= 0
	m.toolDelta(&t, arguments, known, e)
}

// functionMembers reads name and arguments of a function, or the input of a
// custom tool, and returns the span of the arguments.
func functionMembers(data []byte, s span, t *toolDelta) (arguments span) {
	object(data, s, func(key []byte, v span) {
		switch string(key) {
		case "name":
			t.name = inside(data, v)
		case "arguments", "input":
			arguments = v
			t.args, t.rawArgs = inside(data, v), nil
			if isKind(data, v, '{') || isKind(data, v, '[') {
				t.rawArgs = v.of(data)
			}
		}
	})
	return arguments
}

// inside returns the inside of the string at s, nil for anything else.
func inside(data []byte, s span) []byte {
	if inner, ok := text(data, s); ok {
		return inner.of(data)
	}
	return nil
}

// toolDelta hands a delta to the tool table; known is the position of its choice.
func (m *Meter) toolDelta(t *toolDelta, arguments span, known int, e *effects) {
	if t.empty() {
		return
	}
	if known >= 0 {
		m.choices[known].tool = true
	} else {
		m.strayed = true
	}
	m.addTool(t, arguments, e)
}

// addTool counts and stores a delta. Only added arguments leave a chunk fit to be a template.
func (m *Meter) addTool(t *toolDelta, arguments span, e *effects) int {
	if m.tools == nil {
		m.tools = &toolTable{}
	}
	m.toolBytes += int64(len(t.args) + len(t.rawArgs))
	call, fresh := m.tools.add(t)
	e.produced = true
	e.spoiled = e.spoiled || fresh
	if len(t.args) > 0 {
		e.text(span{arguments.start + 1, arguments.end - 1}, sinkTool)
		e.call = call
	}
	return call
}
