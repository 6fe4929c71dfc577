package accounting

import "github.com/sluicehq/sluice/internal/jsonview"

// responsesEvent reads an event of a Responses stream. The type inside the data
// decides: several providers leave the event name out.
func (m *Meter) responsesEvent(v *envelope, e *effects) Chunk {
	var chunk Chunk
	switch v.kind.Inside() {
	case "response.output_text.delta":
		m.fragment(v.delta, sinkContent, e)
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		m.fragment(v.delta, sinkReasoning, e)
	case "response.refusal.delta":
		m.fragment(v.delta, sinkRefusal, e)
	case "response.code_interpreter_call_code.delta", "response.mcp_call_arguments.delta", "response.shell_call_command.delta":
		m.fragment(v.delta, sinkServerTool, e)
	case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
		m.callDelta(v, e)
	case "response.function_call_arguments.done":
		m.callDone(v, v.arguments)
	case "response.custom_tool_call_input.done":
		m.callDone(v, v.input)
	case "response.output_item.added":
		m.outputItem(v.item, v.outputSlot, e, false)
	case "response.output_item.done":
		m.outputItem(v.item, v.outputSlot, e, true)
	case "response.completed", "response.incomplete":
		chunk.Kind = KindDone
		m.ended = true
	case "response.failed":
		chunk.Kind = KindError
		m.ended = true
	case "error":
		chunk.Kind = KindError
		m.fail(v.failure, v.code)
	}
	if e.produced {
		m.produced = true
		m.final = false
	}
	if v.response.IsObject() {
		e.spoiled = true
		chunk.Model = m.responseObject(v.response)
	}
	return chunk
}

// responseObject reads the response inside an event and returns the span of its model.
func (m *Meter) responseObject(response jsonview.Value) Span {
	var r envelope
	r.read(response)
	model := m.head(&r)
	m.takeUsage(r.usage, m.ended)
	if m.ended {
		var e effects
		m.responseOutput(&r, &e, false)
		m.responseEnd(&r)
		if truthy(r.failure) {
			m.fail(r.failure, jsonview.Value{})
		}
	}
	return model
}

// responseEnd notes how a response ended and reports whether it did.
func (m *Meter) responseEnd(r *envelope) bool {
	reason := r.status.Inside()
	switch reason {
	case "completed", "failed", "incomplete", "cancelled":
	default:
		return false
	}
	if why := r.incomplete.Get("reason").Inside(); why != "" {
		reason = why
	}
	if k := m.choiceAt(0); k >= 0 && m.choices[k].finish == "" {
		m.choices[k].finish = finishReason(reason)
	}
	return true
}

// responseOutput reads the items of a whole response: its calls, which in a
// stream are known already, and for a body its text too.
func (m *Meter) responseOutput(r *envelope, e *effects, body bool) {
	slot := int64(0)
	done := r.status.Inside() == "completed"
	for _, item := range r.output.Elements {
		m.item(item, slot, true, e, done)
		if body {
			m.itemText(item, e)
		}
		slot++
	}
}

// outputItem reads the item of an added or done event.
func (m *Meter) outputItem(item, slot jsonview.Value, e *effects, done bool) {
	n, ok := slot.Digits()
	m.item(item, n, ok && n >= 0, e, done)
}

// item notes a client tool call. When done, its arguments are final.
func (m *Meter) item(item jsonview.Value, slot int64, hasSlot bool, e *effects, done bool) {
	var kind, id, callID, name, arguments, input, status jsonview.Value
	for key, v := range item.Members {
		switch key {
		case "type":
			kind = v
		case "id":
			id = v
		case "call_id":
			callID = v
		case "name":
			name = v
		case "arguments":
			arguments = v
		case "input":
			input = v
		case "status":
			status = v
		}
	}
	t := toolDelta{wire: slot, hasWire: hasSlot, id: callID.Inside(), name: name.Inside()}
	switch kind.Inside() {
	case "custom_tool_call":
		t.free = true
		arguments = input
	case "function_call":
	default:
		return
	}
	if !callID.IsString() {
		t.id = id.Inside()
	}
	e.spoiled = true
	k := m.addTool(&t, jsonview.Value{}, e)
	if k < 0 {
		return
	}
	call := &m.tools.calls[k]
	if call.item == "" {
		call.item = bounded(id.Inside(), maxToolLabel)
	}
	m.finalArguments(k, arguments.Inside())
	call.broken = status.Inside() == "incomplete"
	if done || status.Inside() == "completed" {
		call.sealed = true
		m.tools.version++
	}
}

// finalArguments puts the whole text of the arguments in place of the fragments.
func (m *Meter) finalArguments(k int, escaped string) {
	if m.tools.calls[k].arrived == 0 {
		m.toolBytes += int64(len(escaped))
	}
	m.tools.replaceArguments(k, escaped)
}

// callDelta reads a fragment of arguments.
func (m *Meter) callDelta(v *envelope, e *effects) {
	t := toolDelta{args: v.delta.Inside()}
	t.wire, t.hasWire = m.callNumber(v)
	if t.args != "" {
		m.addTool(&t, v.delta, e)
	}
}

// callDone reads the final arguments of a call.
func (m *Meter) callDone(v *envelope, arguments jsonview.Value) {
	n, ok := m.callNumber(v)
	if m.tools == nil || !ok {
		return
	}
	if k := m.tools.find(func(c *pendingCall) bool { return c.wire == n }); k >= 0 {
		m.finalArguments(k, arguments.Inside())
	}
}

// callNumber returns the number under which a call is routed: its place in the
// output, else that of the item with the event's item id.
func (m *Meter) callNumber(v *envelope) (int64, bool) {
	if n, ok := v.outputSlot.Digits(); ok && n >= 0 {
		return n, true
	}
	if item := v.itemID.Inside(); m.tools != nil && item != "" {
		if k := m.tools.find(func(c *pendingCall) bool { return sameText(c.item, item) }); k >= 0 {
			return m.tools.calls[k].wire, true
		}
	}
	return 0, false
}

// itemText adds the text of one item of a whole response.
func (m *Meter) itemText(item jsonview.Value, e *effects) {
	for name, parts := range item.Members {
		to := sinkContent
		switch name {
		case "content":
		case "summary":
			to = sinkReasoning
		default:
			continue
		}
		for _, part := range parts.Elements {
			m.partText(part, to, e)
		}
	}
}

func (m *Meter) partText(part jsonview.Value, to sink, e *effects) {
	if part.Get("type").Inside() == "reasoning_text" {
		to = sinkReasoning
	}
	for name, v := range part.Members {
		switch name {
		case "text":
			m.fragment(v, to, e)
		case "refusal":
			m.fragment(v, sinkRefusal, e)
		}
	}
}
