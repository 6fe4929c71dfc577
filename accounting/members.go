package accounting

// choiceMembers are the members of a choice that matter to a meter.
type choiceMembers struct {
	index, finish, text span
	delta, message      deltaMembers
}

// read reads the choice that comes next, whatever kind of value it is.
func (m *choiceMembers) read(c *cursor) {
	if c.space() != '{' {
		c.value()
		return
	}
	for more := c.open('{', '}'); more; more = c.more('}') {
		key := c.name()
		switch string(key) {
		case "delta":
			m.delta.read(c)
		case "message":
			m.message.read(c)
		case "index":
			m.index = c.value()
		case "finish_reason":
			m.finish = c.value()
		case "text":
			m.text = c.value()
		default:
			c.value()
		}
	}
}

// deltaMembers are the members of a delta or message that carry output.
type deltaMembers struct {
	content, refusal, tools, function    span
	reasoningContent, reasoning, details span
}

// read reads the delta or message that comes next, whatever kind of value it is.
func (d *deltaMembers) read(c *cursor) {
	*d = deltaMembers{}
	if c.space() != '{' {
		c.value()
		return
	}
	for more := c.open('{', '}'); more; more = c.more('}') {
		switch key := c.name(); string(key) {
		case "content":
			d.content = c.value()
		case "refusal":
			d.refusal = c.value()
		case "tool_calls":
			d.tools = c.value()
		case "function_call":
			d.function = c.value()
		case "reasoning_content":
			d.reasoningContent = c.value()
		case "reasoning":
			d.reasoning = c.value()
		case "reasoning_details":
			d.details = c.value()
		default:
			c.value()
		}
	}
}
