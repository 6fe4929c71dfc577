package chatrules

// ReadAnswer reads a whole chat.completion and returns it with what is wrong with it.
func ReadAnswer(body []byte, o Options) (*Answer, []string) {
	f, out := &findings{}, &Answer{}
	v, err := decode(body)
	if err != nil {
		f.add("json: %v in %s", err, excerpt(string(body), 200))
		return out, f.violations
	}
	f.checkSchema("completion", v, o)
	out.ID, out.Model = text(v, "id"), text(v, "model")
	out.Created, _ = number(v, "created")
	out.Outcome, out.UsageSource = text(v, "sluice", "outcome"), text(v, "sluice", "usage_source")
	if o.Model != "" && out.Model != o.Model {
		f.add("head: the model is %q and not %q", out.Model, o.Model)
	}
	if usage := object(v, "usage"); usage != nil {
		out.Usage, out.RawUsage = usageOf(usage), usage
		f.checkUsage(usage, o)
	} else if !o.UsageUnstated {
		f.add("usage: there is none")
	}
	for i, c := range list(v, "choices") {
		message, finish := object(c, "message"), text(c, "finish_reason")
		choice := choiceOf(message)
		index, _ := number(c, "index")
		choice.Index, choice.Finish, choice.Native = int(index), finish, text(v, "sluice", "native_finish_reason")
		choice.Logprobs = len(list(c, "logprobs", "content"))
		if choice.Index != i {
			f.add("order: choice %d is at place %d", choice.Index, i)
		}
		f.checkMessage(message, finish, "the message", o)
		out.Choices = append(out.Choices, choice)
	}
	return out, f.violations
}

// checkMessage checks what a whole message and an accumulated one must have: calls that
// can be executed exactly if the finish reason says so, each under an id of its own.
func (f *findings) checkMessage(message map[string]any, finish, label string, o Options) {
	ids := map[string]bool{}
	calls := list(message, "tool_calls")
	for i, call := range calls {
		id, arguments := text(call, "id"), text(call, "function", "arguments")
		if ids[id] {
			f.add("tool call: two of %s have the id %q", label, id)
		}
		ids[id] = true
		executable := isObject(arguments) || text(call, "type") == "custom" || o.Unknown && arguments == "null"
		if finish == "tool_calls" && !executable {
			f.add("tool call: the arguments of %d of %s are no JSON object: %q", i, label, excerpt(arguments, 200))
		}
	}
	switch {
	case finish == "tool_calls" && len(calls) == 0:
		f.add("finish: tool_calls, and %s has none", label)
	case finish == "stop" && len(calls) > 0 && !o.Unknown:
		f.add("finish: stop, and %s has tool calls, which clients then do not execute", label)
	case finish == "function_call" && object(message, "function_call") == nil:
		f.add("finish: function_call, and %s has none", label)
	}
}

// ReadError reads the body of an error status and returns it with what is wrong with
// it.
func ReadError(body []byte, o Options) (*Failure, []string) {
	f := &findings{}
	v, err := decode(body)
	if err != nil {
		f.add("json: %v in %s", err, excerpt(string(body), 200))
		return &Failure{}, f.violations
	}
	return f.readFailure(v, o), f.violations
}

func (f *findings) readFailure(v any, o Options) *Failure {
	out := &Failure{
		Message: text(v, "error", "message"), Type: text(v, "error", "type"),
		Param: text(v, "error", "param"), Code: text(v, "error", "code"),
	}
	switch {
	case !o.Unknown:
		f.checkSchema("error", v, o)
	case out.Message == "":
		f.add("error: it has no message")
	}
	return out
}
