package openai

import (
	"strconv"
	"strings"
)

// The finish reasons of OpenAI, which SDKs declare as closed enums.
const (
	reasonStop     = "stop"
	reasonLength   = "length"
	reasonTools    = "tool_calls"
	reasonFilter   = "content_filter"
	reasonFunction = "function_call"
)

// finishReason is a provider's finish reason as OpenAI says it; known is false if the
// provider has a word of its own for it. A word for a failure becomes length, which is
// the one that says that the answer is not whole without giving a reason that would be
// wrong in itself; stop would make half an answer look whole.
func finishReason(native string) (reason string, known bool) {
	switch native {
	case reasonStop, reasonLength, reasonTools, reasonFilter, reasonFunction:
		return native, true
	}
	switch strings.ToLower(native) {
	case "max_tokens", "model_length", "max_length", "token_limit", "model_context_window_exceeded",
		"error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled", "canceled", "timeout":
		return reasonLength, false
	case "tool_use", "tool_call", "toolcalls", "tool_calls":
		return reasonTools, false
	case "safety", "sensitive", "refusal", "recitation", "blocklist", "prohibited_content", "spii",
		"content_filtered", "guardrail_intervened":
		return reasonFilter, false
	}
	return reasonStop, false
}

// finish appends the end of a choice that the provider never ended.
func (r *Repair) finish(dst []byte, c *choice) []byte {
	var chunk []byte
	write := func(delta, finish string) {
		chunk = r.head.appendChunk(chunk[:0])
		chunk = append(chunk, `[{"index":`...)
		chunk = strconv.AppendInt(chunk, c.index, 10)
		chunk = append(chunk, `,"delta":`...)
		chunk = append(chunk, delta...)
		chunk = append(chunk, `,"logprobs":null,"finish_reason":`...)
		chunk = append(chunk, finish...)
		chunk = append(chunk, "}]}"...)
		dst = appendEvent(dst, chunk)
	}
	if len(c.thinking.held) > 0 {
		thoughts, words := c.thinking.rest(nil, nil)
		if len(thoughts) > 0 {
			write(`{"reasoning_content":"`+string(thoughts)+`"}`, "null")
		} else {
			write(`{"content":"`+string(words)+`"}`, "null")
		}
	}
	if missing := c.appendMissingArguments(nil); len(missing) > 0 {
		write(string(missing), "null")
	}
	reason := reasonStop
	switch {
	case len(c.calls) > 0:
		reason = reasonTools
	case c.legacy:
		reason = reasonFunction
	}
	c.finished = true
	write("{}", `"`+reason+`"`)
	return dst
}
