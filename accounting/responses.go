package accounting

// responsesEvent reads an event of a Responses stream. The type inside the data
// decides: several providers leave the event name out.
func (m *Meter) responsesEvent(data []byte, v *envelope, e *effects) Chunk {
	var chunk Chunk
	switch string(inside(data, v.kind)) {
	case "response.output_text.delta":
		m.fragment(data, v.delta, sinkContent, e)
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		m.fragment(data, v.delta, sinkReasoning, e)
	case "response.refusal.delta":
		m.fragment(data, v.delta, sinkRefusal, e)
	case "response.code_interpreter_call_code.delta", "response.mcp_call_arguments.delta", "response.shell_call_command.delta":
		m.fragment(data, v.delta, sinkServerTool, e)
	case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
		m.callDelta(data, v, e)
	case "response.function_call_arguments.done":
		m.callDone(data, v, v.arguments)
	case "response.custom_tool_call_input.done":
		m.callDone(data, v, v.input)
	case "response.output_item.added":
		m.outputItem(data, v.item, v.outputSlot, e, false)
	case "response.output_item.done":
		m.outputItem(data, v.item, v.outputSlot, e, true)
	case "response.completed", "response.incomplete":
		chunk.Kind = KindDone
		m.ended = true
	case "response.failed":
		chunk.Kind = KindError
		m.ended = true
	case "error":
		chunk.Kind = KindError
		m.fail(data, v.failure, v.code)
	}
	if e.produced {
		m.produced = true
		m.final = false
	}
	if isKind(data, v.response, '{') {
		e.spoiled = true
		chunk.Model = m.responseObject(data, v.response)
	}
	return chunk
}

// responseObject reads the response inside an event and returns the span of its model.
func (m *Meter) responseObject(data []byte, s span) Span {
	var r envelope
	object(data, s, func(key []byte, v span) {
		if to := r.member(key); to != nil {
			*to = v
		}
	})
	model := m.head(data, &r)
	m.takeUsage(data, r.usage, m.ended)
	if m.ended {
		var e effects
		m.responseOutput(data, &r, &e, false)
		m.responseEnd(data, &r)
		if truthy(data, r.failure) {
			m.fail(data, r.failure, span{})
		}
	}
	return model
}

// responseEnd notes how a response ended and reports whether it did.
func (m *Meter) responseEnd(data []byte, r *envelope) bool {
	status := inside(data, r.status)
	switch string(status) {
	case "completed", "failed", "incomplete", "cancelled":
	default:
		return false
	}
	reason := finishReason(status)
	object(data, r.incomplete, func(key []byte, v span) {
		if string(key) == "reason" && len(inside(data, v)) > 0 {
			reason = finishReason(inside(data, v))
		}
	})
	if k := m.choiceAt(0); k >= 0 && m.choices[k].finish == "" {
		m.choices[k].finish = reason
	}
	return true
}

// responseOutput reads the items of a whole response: its calls, which in a
// stream are known already, and for a body its text too.
func (m *Meter) responseOutput(data []byte, r *envelope, e *effects, body bool) {
	slot := int64(0)
	done := string(inside(data, r.status)) == "completed"
	array(data, r.output, func(item span) {
		m.item(data, item, slot, true, e, done)
		if body {
			m.itemText(data, item, e)
		}
		slot++
	})
}

// itemMembers are the members of an output item that matter for calls.
type itemMembers struct {
	kind, id, callID, name, arguments, input, status span
}

// outputItem reads the item of an added or done event.
func (m *Meter) outputItem(data []byte, item, slot span, e *effects, done bool) {
	n, ok := integer(data, slot)
	m.item(data, item, n, ok && n >= 0, e, done)
}

// item notes a client tool call. When done, its arguments are final.
func (m *Meter) item(data []byte, s span, slot int64, hasSlot bool, e *effects, done bool) {
	var i itemMembers
	object(data, s, func(key []byte, v span) {
		switch string(key) {
		case "type":
			i.kind = v
		case "id":
			i.id = v
		case "call_id":
			i.callID = v
		case "name":
			i.name = v
		case "arguments":
			i.arguments = v
		case "input":
			i.input = v
		case "status":
			i.status = v
		}
	})
	free := string(inside(data, i.kind)) == "custom_tool_call"
	if !free && string(inside(data, i.kind)) != "function_call" {
		return
	}
	id := i.callID
	if !isKind(data, id, '"') {
		id = i.id
	}
	t := toolDelta{wire: slot, hasWire: hasSlot, id: inside(data, id), name: inside(data, i.name), free: free}
	e.spoiled = true
	k := m.addTool(&t, span{}, e)
	if k < 0 {
		return
	}
	call := &m.tools.calls[k]
	if call.item == "" {
		call.item = bounded(inside(data, i.id), maxToolLabel)
	}
	final := i.arguments
	if free {
		final = i.input
	}
	m.finalArguments(k, inside(data, final))
	status := string(inside(data, i.status))
	if call.broken = status == "incomplete"; done || status == "completed" {
		call.sealed = true
		m.tools.version++
	}
}

// finalArguments puts the whole text of the arguments in place of the fragments.
func (m *Meter) finalArguments(k int, escaped []byte) {
	if m.tools.calls[k].arrived == 0 {
		m.toolBytes += int64(len(escaped))
	}
	m.tools.replaceArguments(k, escaped)
}

// callDelta reads a fragment of arguments.
func (m *Meter) callDelta(data []byte, v *envelope, e *effects) {
	t := toolDelta{args: inside(data, v.delta)}
	t.wire, t.hasWire = m.callNumber(data, v)
	if len(t.args) > 0 {
		m.addTool(&t, v.delta, e)
	}
}

// callDone reads the final arguments of a call.
func (m *Meter) callDone(data []byte, v *envelope, arguments span) {
	n, ok := m.callNumber(data, v)
	if m.tools == nil || !ok {
		return
	}
	if k := m.tools.find(func(c *pendingCall) bool { return c.wire == n }); k >= 0 {
		m.finalArguments(k, inside(data, arguments))
	}
}

// callNumber returns the number under which a call is routed: its place in the
// output, else that of the item with the event's item id.
func (m *Meter) callNumber(data []byte, v *envelope) (int64, bool) {
	if n, ok := integer(data, v.outputSlot); ok && n >= 0 {
		return n, true
	}
	if item := inside(data, v.itemID); m.tools != nil && len(item) > 0 {
		if k := m.tools.find(func(c *pendingCall) bool { return sameText(c.item, item) }); k >= 0 {
			return m.tools.calls[k].wire, true
		}
	}
	return 0, false
}

// itemText adds the text of one item of a whole response.
func (m *Meter) itemText(data []byte, item span, e *effects) {
	object(data, item, func(key []byte, parts span) {
		to := sinkContent
		switch string(key) {
		case "content":
		case "summary":
			to = sinkReasoning
		default:
			return
		}
		array(data, parts, func(part span) { m.partText(data, part, to, e) })
	})
}

func (m *Meter) partText(data []byte, part span, to sink, e *effects) {
	object(data, part, func(key []byte, v span) {
		if string(key) == "type" && string(inside(data, v)) == "reasoning_text" {
			to = sinkReasoning
		}
	})
	object(data, part, func(key []byte, v span) {
		switch string(key) {
		case "text":
			m.fragment(data, v, to, e)
		case "refusal":
			m.fragment(data, v, sinkRefusal, e)
		}
	})
}
