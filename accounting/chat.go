package accounting

import "github.com/sluicehq/sluice/internal/jsonview"

// chatChunk reads a chunk of a chat, completion or generic stream.
func (m *Meter) chatChunk(data []byte, v *envelope, e *effects) Chunk {
	chunk := m.chatAnswer(data, v, e, false)
	if m.shape != ShapeGeneric && v.usage.IsObject() && v.choices.IsArray() && v.count == 0 {
		chunk.Kind = KindUsageOnly
	}
	return chunk
}

// chatAnswer reads what chunks and whole answers have in common. Usage comes
// last, as it may be final only thanks to a finish reason beside it.
func (m *Meter) chatAnswer(data []byte, v *envelope, e *effects, body bool) Chunk {
	chunk := Chunk{Model: m.head(v)}
	chunk.NullUsage, chunk.Usage = v.usageSpans(data)
	for _, c := range v.choices.Elements {
		v.count++
		m.choice(c, e, body)
	}
	if e.produced {
		m.produced = true
		m.final = false
	}
	final := v.count == 0 || m.finished()
	seen := m.takeUsage(v.usage, final)
	seen = m.takeUsage(v.groq.Get("usage"), final) || seen
	if m.shape == ShapeGeneric {
		seen = m.takeUsage(v.response.Get("usage"), final) || seen
	}
	e.spoiled = e.spoiled || seen
	return chunk
}

// choice applies one choice of a chunk. Some servers send a message beside the
// delta; only the one that belongs to the kind of answer is read.
func (m *Meter) choice(c jsonview.Value, e *effects, body bool) {
	var position, finish, text, part jsonview.Value
	for name, v := range c.Members {
		switch name {
		case "index":
			position = v
		case "finish_reason":
			finish = v
		case "text":
			text = v
		case "delta":
			if !body {
				part = v
			}
		case "message":
			if body {
				part = v
			}
		}
	}
	index, _ := position.Digits()
	m.texts.choice, e.choice = index, index
	known := m.choiceAt(index)
	m.delta(part, index, known, e)
	if !part.IsObject() { // else it repeats what the delta says
		m.fragment(text, sinkContent, e)
	}
	if reason := finish.Inside(); reason != "" {
		e.spoiled = true
		if known >= 0 && m.choices[known].finish == "" {
			m.choices[known].finish = finishReason(reason)
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
func (m *Meter) delta(d jsonview.Value, index int64, known int, e *effects) {
	var content, refusal, tools, function, reasoning, reasoningContent, details jsonview.Value
	for name, v := range d.Members {
		switch name {
		case "content":
			content = v
		case "refusal":
			refusal = v
		case "tool_calls":
			tools = v
		case "function_call":
			function = v
		case "reasoning":
			reasoning = v
		case "reasoning_content":
			reasoningContent = v
		case "reasoning_details":
			details = v
		}
	}
	m.reasoning(reasoningContent, reasoning, details, e)
	m.fragment(content, sinkContent, e)
	for _, part := range content.Elements {
		m.contentPart(part, e)
	}
	m.fragment(refusal, sinkRefusal, e)
	for _, call := range tools.Elements {
		m.chatToolCall(call, index, known, e)
	}
	if function.IsObject() {
		t := toolDelta{choice: index, wire: legacyWire, hasWire: true}
		arguments := t.function(function)
		m.toolDelta(&t, arguments, known, e)
	}
}

// reasoning counts the same text once: several servers send it under two names,
// and others put it into reasoning_details alone.
func (m *Meter) reasoning(first, second, details jsonview.Value, e *effects) {
	one, two := first.Inside(), second.Inside()
	m.fragment(first, sinkReasoning, e)
	if one != two {
		m.fragment(second, sinkReasoning, e)
	}
	if one != "" && two != "" {
		e.spoiled = true // the two must be compared each time
	}
	for _, detail := range details.Elements {
		for name, v := range detail.Members {
			switch {
			case name != "text" && name != "summary":
			case one == "" && two == "":
				m.fragment(v, sinkReasoning, e)
			case v.IsString():
				e.vary(v)
			}
		}
	}
}

// contentPart reads an element of a content array, in which Mistral's models
// keep text and thinking apart; thinking is an array of parts again.
func (m *Meter) contentPart(part jsonview.Value, e *effects) {
	e.spoiled = true
	m.fragment(part, sinkContent, e)
	for name, v := range part.Members {
		switch name {
		case "text":
			m.fragment(v, sinkContent, e)
		case "refusal":
			m.fragment(v, sinkRefusal, e)
		case "thinking":
			m.fragment(v, sinkReasoning, e)
			for _, thought := range v.Elements {
				m.fragment(thought.Get("text"), sinkReasoning, e)
			}
		}
	}
}

// fragment adds a string to a sink; anything else, and "", is nothing.
func (m *Meter) fragment(v jsonview.Value, to sink, e *effects) {
	if text := v.Inside(); text != "" {
		m.texts.add(to, text)
		e.text(v, to)
	}
}

// chatToolCall reads one element of tool_calls.
func (m *Meter) chatToolCall(call jsonview.Value, index int64, known int, e *effects) {
	t := toolDelta{choice: index}
	var arguments jsonview.Value
	for name, v := range call.Members {
		switch name {
		case "index":
			t.wire, t.hasWire = v.Digits()
		case "id":
			t.id = v.Inside()
		case "function":
			arguments = t.function(v)
		case "custom":
			if t.free = v.IsObject(); t.free {
				arguments = t.function(v)
			}
		}
	}
	t.hasWire = t.hasWire && t.wire >= 0
	m.toolDelta(&t, arguments, known, e)
}

// function reads name and arguments of a function, or the input of a custom
// tool, and returns the arguments.
func (d *toolDelta) function(f jsonview.Value) (arguments jsonview.Value) {
	for name, v := range f.Members {
		switch name {
		case "name":
			d.name = v.Inside()
		case "arguments", "input":
			arguments = v
			d.args, d.rawArgs = v.Inside(), ""
			if v.IsObject() || v.IsArray() {
				d.rawArgs = v.Raw
			}
		}
	}
	return arguments
}

// toolDelta hands a delta to the tool table; known is the position of its choice.
func (m *Meter) toolDelta(t *toolDelta, arguments jsonview.Value, known int, e *effects) {
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
func (m *Meter) addTool(t *toolDelta, arguments jsonview.Value, e *effects) int {
	if m.tools == nil {
		m.tools = &toolTable{}
	}
	m.toolBytes += int64(len(t.args) + len(t.rawArgs))
	call, fresh := m.tools.add(t)
	e.produced = true
	e.spoiled = e.spoiled || fresh
	if t.args != "" {
		e.text(arguments, sinkTool)
		e.call = call
	}
	return call
}
