package fakeprovider

import (
	"fmt"
	"strings"
)

// Said is what an answer says, in the order of the fields.
type Said struct {
	Thinking  string
	Signature string // of the thinking; of the first call for Gemini, which signs those
	Texts     []string
	Calls     []ToolCall
}

// Stream is a whole stream that says s, in framed pieces.
func (v *Voice) Stream(s Said) [][]byte {
	pieces := [][]byte{v.Start()}
	add := func(p []byte) {
		if len(p) > 0 {
			pieces = append(pieces, p)
		}
	}
	if s.Thinking != "" {
		add(v.Thinking(s.Thinking))
	}
	if s.Signature != "" {
		add(v.Signed(s.Signature))
	}
	for _, text := range s.Texts {
		add(v.Text(text))
	}
	for _, call := range s.Calls {
		add(v.Call(call.ID, call.Name))
		if !v.InPieces() {
			add(v.Arguments(strings.Join(call.Arguments, "")))
			continue
		}
		for _, fragment := range call.Arguments {
			add(v.Arguments(fragment))
		}
	}
	add(v.End(len(s.Calls) > 0))
	if pieces[0] == nil {
		pieces = pieces[1:]
	}
	return pieces
}

// Answer is the JSON of a whole answer that says s.
func (v *Voice) Answer(s Said) string {
	switch v.Dialect {
	case "anthropic":
		return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[%s],"stop_reason":%s,"stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":%d}}`,
			VoiceModel, v.blocksOf(s), s.word("end_turn", "tool_use"), VoiceInput, VoiceOutput)
	case "gemini":
		return fmt.Sprintf(`{"candidates":[{"content":{"parts":[%s],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d},"modelVersion":%q,"responseId":"resp_1"}`,
			v.blocksOf(s), VoiceInput, VoiceOutput, VoiceInput+VoiceOutput, VoiceModel)
	case "cohere":
		return fmt.Sprintf(`{"id":"c1","finish_reason":%s,"message":{"role":"assistant","content":[%s]%s},"usage":{"billed_units":{"input_tokens":3,"output_tokens":%d},"tokens":{"input_tokens":%d,"output_tokens":%d}}}`,
			s.word("COMPLETE", "TOOL_CALL"), v.blocksOf(s), s.chatCalls(), VoiceOutput, VoiceInput, VoiceOutput)
	case "ollama":
		return fmt.Sprintf(`{"model":%q,"created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":%s,"thinking":%s%s},"done":true,"done_reason":"stop","prompt_eval_count":%d,"eval_count":%d}`,
			VoiceModel, s.text(), quote(s.Thinking), s.ollamaCalls(), VoiceInput, VoiceOutput)
	case "bedrock":
		return fmt.Sprintf(`{"metrics":{"latencyMs":1},"output":{"message":{"content":[%s],"role":"assistant"}},"stopReason":%s,"usage":{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d}}`,
			v.blocksOf(s), s.word("end_turn", "tool_use"), VoiceInput, VoiceOutput, VoiceInput+VoiceOutput)
	}
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%s,"reasoning_content":%s%s},"finish_reason":%s}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
		VoiceModel, s.text(), quote(s.Thinking), s.chatCalls(), s.word("stop", "tool_calls"), VoiceInput, VoiceOutput, VoiceInput+VoiceOutput)
}

// blocksOf are the elements of the content of an answer, in the dialects that have some.
func (v *Voice) blocksOf(s Said) string {
	var blocks []string
	if s.Thinking != "" {
		blocks = append(blocks, v.thinkingBlock(quote(s.Thinking), quote(s.Signature)))
	}
	if len(s.Texts) > 0 {
		blocks = append(blocks, v.textBlock(s.text()))
	}
	for i, c := range s.Calls {
		if v.Dialect == "cohere" {
			break // they lie beside the content
		}
		signature := ""
		if i == 0 {
			signature = s.Signature
		}
		blocks = append(blocks, v.callBlock(c, signature))
	}
	return strings.Join(blocks, ",")
}

func (v *Voice) thinkingBlock(text, signature string) string {
	switch v.Dialect {
	case "anthropic":
		return `{"type":"thinking","thinking":` + text + `,"signature":` + signature + `}`
	case "gemini":
		return `{"text":` + text + `,"thought":true}`
	case "bedrock":
		return `{"reasoningContent":{"reasoningText":{"text":` + text + `,"signature":` + signature + `}}}`
	}
	return `{"type":"thinking","thinking":` + text + `}`
}

func (v *Voice) textBlock(text string) string {
	if v.Dialect == "gemini" || v.Dialect == "bedrock" {
		return `{"text":` + text + `}`
	}
	return `{"type":"text","text":` + text + `}`
}

func (v *Voice) callBlock(c ToolCall, signature string) string {
	id, name, arguments := quote(c.ID), quote(c.Name), strings.Join(c.Arguments, "")
	switch v.Dialect {
	case "anthropic":
		return `{"type":"tool_use","id":` + id + `,"name":` + name + `,"input":` + arguments + `}`
	case "bedrock":
		return `{"toolUse":{"toolUseId":` + id + `,"name":` + name + `,"input":` + arguments + `}}`
	}
	part := `{"functionCall":{"name":` + name + `,"args":` + arguments + `}`
	if signature != "" {
		part += `,"thoughtSignature":` + quote(signature)
	}
	return part + `}`
}

func (s Said) text() string { return quote(strings.Join(s.Texts, "")) }

// word is how an answer with calls, or without, has ended.
func (s Said) word(stop, calls string) string {
	if len(s.Calls) > 0 {
		return quote(calls)
	}
	return quote(stop)
}

// chatCalls is the member tool_calls of a message, with a comma in front.
func (s Said) chatCalls() string {
	return s.calls(func(c ToolCall) string {
		return fmt.Sprintf(`{"id":%s,"type":"function","function":{"name":%s,"arguments":%s}}`,
			quote(c.ID), quote(c.Name), quote(strings.Join(c.Arguments, "")))
	})
}

func (s Said) ollamaCalls() string {
	return s.calls(func(c ToolCall) string {
		return fmt.Sprintf(`{"function":{"name":%s,"arguments":%s}}`, quote(c.Name), strings.Join(c.Arguments, ""))
	})
}

func (s Said) calls(form func(ToolCall) string) string {
	if len(s.Calls) == 0 {
		return ""
	}
	all := make([]string, len(s.Calls))
	for i, c := range s.Calls {
		all[i] = form(c)
	}
	return `,"tool_calls":[` + strings.Join(all, ",") + `]`
}
