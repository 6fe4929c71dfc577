package bedrock

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// serverTool is the type of the calls that Bedrock answers itself.
const serverTool = "server_tool_use"

// message is an answer under way, whole or streamed.
type message struct {
	c        *translate.Context
	thoughts thoughts
	called   bool   // the client has to run a tool
	first    string // id of the first call
}

// call begins a tool call. answer says that its arguments are the answer itself.
func (m *message) call(to translate.Sink, use jsonview.Value) (call int, answer bool) {
	id, name := use.Get("toolUseId").Text(), use.Get("name").Text()
	if m.c.AnswerTool != "" && name == m.c.AnswerTool {
		return 0, true
	}
	if !m.called {
		m.called, m.first = true, strings.Clone(id)
	}
	return to.Call(0, translate.Call{ID: id, Name: name}), false
}

// end ends the choice. The thoughts go with it, for the turns that follow.
func (m *message) end(to translate.Sink, native string) {
	if raw := m.thoughts.take(); raw != "" {
		to.Carry(0, vendor, raw)
		if m.c.Carried != nil && m.first != "" {
			m.c.Carried.Keep(m.first, raw)
		}
	}
	to.Finish(0, m.reason(native), native)
}

// reason is the finish reason for Bedrock's stopReason.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html
func (m *message) reason(native string) string {
	switch native {
	case "tool_use":
		if m.called {
			return translate.FinishTools
		}
	case "max_tokens", "model_context_window_exceeded":
		return translate.FinishLength
	case "guardrail_intervened", "content_filtered":
		return translate.FinishContent
	}
	return translate.FinishStop
}

// Answer implements translate.Dialect.
func (Dialect) Answer(c *translate.Context, to translate.Sink, body []byte) translate.Progress {
	root, ok := jsonview.Parse(body)
	if !ok {
		return translate.Malformed
	}
	reportUsage(to, root.Get("usage"))
	said := root.Get("output", "message")
	stop := root.Get("stopReason").Text()
	if !said.IsObject() || stop == "" {
		return translate.Malformed
	}
	m := message{c: c}
	to.Open(0)
	for i, block := range said.Get("content").Elements {
		for kind, v := range block.Members {
			m.block(to, int64(i), kind, v)
		}
	}
	m.end(to, stop)
	return translate.Complete
}

func (m *message) block(to translate.Sink, i int64, kind string, v jsonview.Value) {
	switch kind {
	case "text":
		to.Text(0, v.Inside())
	case "citationsContent":
		for _, part := range v.Get("content").Elements {
			to.Text(0, part.Get("text").Inside())
		}
	case "toolUse":
		m.toolUse(to, v)
	case "reasoningContent":
		text := v.Get("reasoningText")
		if said := text.Get("text").Inside(); said != "" {
			to.Reasoning(0, said)
			m.thoughts.text(i, said)
		}
		if signature := text.Get("signature").Inside(); signature != "" {
			m.thoughts.sign(i, signature)
		}
		if redacted := v.Get("redactedContent").Inside(); redacted != "" {
			m.thoughts.redacted(redacted)
		}
	}
}

func (m *message) toolUse(to translate.Sink, v jsonview.Value) {
	if v.Get("type").Is(serverTool) {
		return
	}
	input := v.Get("input").Raw
	if input == "" || input == "null" {
		input = "{}"
	}
	call, answer := m.call(to, v)
	if answer {
		to.Text(0, string(jsonview.AppendEscaped(nil, input)))
		return
	}
	to.ArgumentsJSON(0, call, input)
}
