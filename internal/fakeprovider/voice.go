package fakeprovider

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// Voice speaks the stream format of one kind of provider. The pieces are framed events,
// ready for Exchange.Chunk; said in the order Start, any of the others, End, they make a
// whole stream.
type Voice struct {
	// Dialect is openai, anthropic, gemini, cohere, ollama or bedrock.
	Dialect string
	// Enveloped sends Anthropic's events in the frames of Bedrock's InvokeModel.
	Enveloped bool

	blocks    int // content blocks so far
	open      string
	signature string // for the next call of Gemini, which signs those
}

// Usage of every stream of a Voice: what Start and End state together.
const (
	VoiceInput  = 11
	VoiceOutput = 7
	// VoiceModel is how the provider calls its model.
	VoiceModel = "model-1"
)

// Voices are all of them.
func Voices() []*Voice {
	return []*Voice{
		{Dialect: "openai"},
		{Dialect: "anthropic"},
		{Dialect: "anthropic", Enveloped: true},
		{Dialect: "gemini"},
		{Dialect: "cohere"},
		{Dialect: "ollama"},
		{Dialect: "bedrock"},
	}
}

// String names the voice in tests.
func (v *Voice) String() string {
	if v.Enveloped {
		return v.Dialect + "_on_bedrock"
	}
	return v.Dialect
}

// Fresh is the voice at the start of a stream.
func (v *Voice) Fresh() *Voice { return &Voice{Dialect: v.Dialect, Enveloped: v.Enveloped} }

// ContentType is that of a stream.
func (v *Voice) ContentType() string {
	switch {
	case v.Dialect == "bedrock" || v.Enveloped:
		return "application/vnd.amazon.eventstream"
	case v.Dialect == "ollama":
		return "application/x-ndjson"
	}
	return "text/event-stream"
}

// InPieces tells whether the arguments of a tool call come in fragments.
func (v *Voice) InPieces() bool { return v.Dialect != "gemini" && v.Dialect != "ollama" }

// Start is what a stream begins with.
func (v *Voice) Start() []byte {
	switch v.Dialect {
	case "anthropic":
		return v.event("message_start", fmt.Sprintf(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":1}}}`, VoiceModel, VoiceInput))
	case "cohere":
		return v.event("message-start", `{"id":"c1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}`)
	case "bedrock":
		return v.event("messageStart", `{"role":"assistant","p":"ab"}`)
	case "openai":
		return v.chunk(`{"role":"assistant","content":""}`, "null", "")
	}
	return nil
}

// Text is a fragment of the answer.
func (v *Voice) Text(text string) []byte {
	quoted := quote(text)
	switch v.Dialect {
	case "anthropic":
		return append(v.block("text", `{"type":"text","text":""}`), v.delta(`{"type":"text_delta","text":`+quoted+`}`)...)
	case "gemini":
		return v.candidate(`{"text":`+quoted+`}`, "")
	case "cohere":
		return append(v.block("text", `{"type":"text","text":""}`), v.event("content-delta", fmt.Sprintf(`{"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":%s}}}}`, v.blocks-1, quoted))...)
	case "ollama":
		return v.line(`{"role":"assistant","content":` + quoted + `}`)
	case "bedrock":
		return append(v.block("text", ""), v.delta(`{"text":`+quoted+`}`)...)
	}
	return v.chunk(`{"content":`+quoted+`}`, "null", "")
}

// Thinking is a fragment of reasoning.
func (v *Voice) Thinking(text string) []byte {
	quoted := quote(text)
	switch v.Dialect {
	case "anthropic":
		return append(v.block("thinking", `{"type":"thinking","thinking":"","signature":""}`), v.delta(`{"type":"thinking_delta","thinking":`+quoted+`}`)...)
	case "gemini":
		return v.candidate(`{"text":`+quoted+`,"thought":true}`, "")
	case "cohere":
		return append(v.block("thinking", `{"type":"thinking","thinking":""}`), v.event("content-delta", fmt.Sprintf(`{"type":"content-delta","index":%d,"delta":{"message":{"content":{"thinking":%s}}}}`, v.blocks-1, quoted))...)
	case "ollama":
		return v.line(`{"role":"assistant","content":"","thinking":` + quoted + `}`)
	case "bedrock":
		return append(v.block("reasoning", ""), v.delta(`{"reasoningContent":{"text":`+quoted+`}}`)...)
	}
	return v.chunk(`{"reasoning_content":`+quoted+`}`, "null", "")
}

// Signed ends a block of reasoning with its signature, where the format has one. Gemini
// puts it beside the call that follows.
func (v *Voice) Signed(signature string) []byte {
	switch v.Dialect {
	case "anthropic":
		return v.delta(`{"type":"signature_delta","signature":` + quote(signature) + `}`)
	case "bedrock":
		return v.delta(`{"reasoningContent":{"signature":` + quote(signature) + `}}`)
	case "gemini":
		v.signature = signature
	}
	return nil
}

// Call begins a tool call. Where arguments come whole, Arguments has all of the call.
func (v *Voice) Call(id, name string) []byte {
	switch v.Dialect {
	case "anthropic":
		return v.block("tool "+id, fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%q,"input":{}}`, id, name))
	case "cohere":
		out := v.close()
		v.open, v.blocks = "tool", v.blocks+1
		return append(out, v.event("tool-call-start", fmt.Sprintf(`{"type":"tool-call-start","index":%d,"delta":{"message":{"tool_calls":{"id":%q,"type":"function","function":{"name":%q,"arguments":""}}}}}`, v.blocks-1, id, name))...)
	case "bedrock":
		return v.block("tool "+id, fmt.Sprintf(`{"toolUse":{"toolUseId":%q,"name":%q}}`, id, name))
	case "openai":
		v.blocks++
		return v.chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]}`, v.blocks-1, id, name), "null", "")
	}
	v.open = name
	return nil
}

// Arguments is a fragment of the arguments of the call that was begun last, or all of
// them where the format has no fragments.
func (v *Voice) Arguments(fragment string) []byte {
	quoted := quote(fragment)
	switch v.Dialect {
	case "anthropic":
		return v.delta(`{"type":"input_json_delta","partial_json":` + quoted + `}`)
	case "gemini":
		signature := ""
		if v.signature != "" {
			signature, v.signature = `,"thoughtSignature":`+quote(v.signature), ""
		}
		return v.candidate(fmt.Sprintf(`{"functionCall":{"name":%q,"args":%s}%s}`, v.open, fragment, signature), "")
	case "cohere":
		return v.event("tool-call-delta", fmt.Sprintf(`{"type":"tool-call-delta","index":%d,"delta":{"message":{"tool_calls":{"function":{"arguments":%s}}}}}`, v.blocks-1, quoted))
	case "ollama":
		return v.line(fmt.Sprintf(`{"role":"assistant","content":"","tool_calls":[{"function":{"name":%q,"arguments":%s}}]}`, v.open, fragment))
	case "bedrock":
		return v.delta(`{"toolUse":{"input":` + quoted + `}}`)
	}
	return v.chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, v.blocks-1, quoted), "null", "")
}

// End ends a stream well, with usage. tools says that the model wants its calls run.
func (v *Voice) End(tools bool) []byte {
	word := func(stop, calls string) string {
		if tools {
			return calls
		}
		return stop
	}
	switch v.Dialect {
	case "anthropic":
		out := append(v.close(), v.event("message_delta", fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":%d}}`, word("end_turn", "tool_use"), VoiceOutput))...)
		return append(out, v.event("message_stop", `{"type":"message_stop"}`)...)
	case "gemini":
		return v.candidate(`{"text":""}`, `"finishReason":"STOP",`)
	case "cohere":
		return append(v.close(), v.event("message-end", fmt.Sprintf(`{"type":"message-end","delta":{"finish_reason":%q,"usage":{"billed_units":{"input_tokens":3,"output_tokens":%d},"tokens":{"input_tokens":%d,"output_tokens":%d}}}}`, word("COMPLETE", "TOOL_CALL"), VoiceOutput, VoiceInput, VoiceOutput))...)
	case "ollama":
		return fmt.Appendf(nil, `{"model":%q,"created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":%d,"eval_count":%d}`+"\n", VoiceModel, VoiceInput, VoiceOutput)
	case "bedrock":
		out := append(v.close(), v.event("messageStop", fmt.Sprintf(`{"stopReason":%q,"p":"a"}`, word("end_turn", "tool_use")))...)
		return append(out, v.event("metadata", fmt.Sprintf(`{"usage":{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d},"metrics":{"latencyMs":1},"p":"x"}`, VoiceInput, VoiceOutput, VoiceInput+VoiceOutput))...)
	}
	out := v.chunk(`{}`, quote(word("stop", "tool_calls")), "")
	out = append(out, v.chunk("", "", fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, VoiceInput, VoiceOutput, VoiceInput+VoiceOutput))...)
	return append(out, "data: [DONE]\n\n"...)
}

// Failure is an error in the middle of a stream.
func (v *Voice) Failure(message string) []byte {
	quoted := quote(message)
	switch v.Dialect {
	case "anthropic":
		if v.Enveloped {
			return frame("exception", "modelStreamErrorException", `{"message":`+quoted+`}`)
		}
		return v.event("error", `{"type":"error","error":{"type":"overloaded_error","message":`+quoted+`}}`)
	case "gemini":
		return v.event("", `{"error":{"code":503,"message":`+quoted+`,"status":"UNAVAILABLE"}}`)
	case "cohere":
		return v.event("message-end", `{"type":"message-end","delta":{"finish_reason":"ERROR","error":`+quoted+`}}`)
	case "ollama":
		return []byte(`{"error":` + quoted + "}\n")
	case "bedrock":
		return frame("exception", "throttlingException", `{"message":`+quoted+`}`)
	}
	return v.event("", `{"error":{"message":`+quoted+`,"type":"server_error","code":"overloaded"}}`)
}

// block opens a content block of a kind, unless one of it is open.
func (v *Voice) block(kind, start string) []byte {
	if v.open == kind {
		return nil
	}
	out := v.close()
	v.open, v.blocks = kind, v.blocks+1
	at := v.blocks - 1
	switch {
	case v.Dialect == "anthropic":
		out = append(out, v.event("content_block_start", fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":%s}`, at, start))...)
	case v.Dialect == "cohere":
		out = append(out, v.event("content-start", fmt.Sprintf(`{"type":"content-start","index":%d,"delta":{"message":{"content":%s}}}`, at, start))...)
	case start != "": // Bedrock announces only tools
		out = append(out, v.event("contentBlockStart", fmt.Sprintf(`{"contentBlockIndex":%d,"start":%s}`, at, start))...)
	}
	return out
}

func (v *Voice) close() []byte {
	if v.open == "" {
		return nil
	}
	kind := v.open
	v.open = ""
	switch {
	case v.Dialect == "anthropic":
		return v.event("content_block_stop", fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, v.blocks-1))
	case v.Dialect == "bedrock":
		return v.event("contentBlockStop", fmt.Sprintf(`{"contentBlockIndex":%d}`, v.blocks-1))
	case strings.HasPrefix(kind, "tool"):
		return v.event("tool-call-end", fmt.Sprintf(`{"type":"tool-call-end","index":%d}`, v.blocks-1))
	}
	return v.event("content-end", fmt.Sprintf(`{"type":"content-end","index":%d}`, v.blocks-1))
}

func (v *Voice) delta(delta string) []byte {
	if v.Dialect == "bedrock" {
		return v.event("contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":%d,"delta":%s,"p":"abc"}`, v.blocks-1, delta))
	}
	return v.event("content_block_delta", fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":%s}`, v.blocks-1, delta))
}

func (v *Voice) candidate(part, more string) []byte {
	count := fmt.Sprintf(`"candidatesTokenCount":%d,`, VoiceOutput)
	return v.event("", fmt.Sprintf(`{"candidates":[{"content":{"parts":[%s],"role":"model"},%s"index":0}],"usageMetadata":{"promptTokenCount":%d,%s"totalTokenCount":%d},"modelVersion":%q,"responseId":"resp_1"}`,
		part, more, VoiceInput, count, VoiceInput+VoiceOutput, VoiceModel))
}

func (v *Voice) line(message string) []byte {
	return fmt.Appendf(nil, `{"model":%q,"created_at":"2026-01-02T03:04:05Z","message":%s,"done":false}`+"\n", VoiceModel, message)
}

func (v *Voice) chunk(delta, finish, more string) []byte {
	choices := "[]"
	if delta != "" {
		choices = fmt.Sprintf(`[{"index":0,"delta":%s,"finish_reason":%s}]`, delta, finish)
	}
	return v.event("", fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":%q,"choices":%s%s}`, VoiceModel, choices, more))
}

// event frames one event.
func (v *Voice) event(name, data string) []byte {
	switch {
	case v.Enveloped:
		return frame("event", "chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(data))+`","p":"abcdef"}`)
	case v.Dialect == "bedrock":
		return frame("event", name, data)
	case v.Dialect == "gemini":
		return []byte("data: " + data + "\r\n\r\n")
	case name != "":
		return []byte("event: " + name + "\ndata: " + data + "\n\n")
	}
	return []byte("data: " + data + "\n\n")
}

// frame is a message of AWS's event stream encoding.
func frame(kind, name, payload string) []byte {
	var headers []byte
	add := func(name, value string) {
		headers = append(headers, byte(len(name)))
		headers = append(headers, name...)
		headers = append(headers, 7) // a string
		headers = binary.BigEndian.AppendUint16(headers, uint16(len(value)))
		headers = append(headers, value...)
	}
	add(":"+kind+"-type", name)
	add(":content-type", "application/json")
	add(":message-type", kind)
	out := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(headers)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
	out = append(append(out, headers...), payload...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
}
