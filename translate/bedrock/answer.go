package bedrock

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// serverTool is the type of the calls that Bedrock answers itself.
const serverTool = "server_tool_use"

// message is an answer under way, whole or streamed.
type message struct {
	c        *translate.Context
	thoughts wire.Thoughts
	answered bool   // the tool was called whose arguments are the answer
	called   bool   // the client has to run a tool
	first    string // id of the first call
}

// callKind is what a tool call means to the client.
type callKind uint8

const (
	callOwn    callKind = iota // the provider runs it itself, or it means nothing
	callClient                 // the client has to run it
	callAnswer                 // its arguments are the answer
)

// call begins a tool call.
func (m *message) call(to translate.Sink, use jsonview.Value) (call int, kind callKind) {
	id, name := use.Get("toolUseId").Text(), use.Get("name").Text()
	isAnswer := m.c.AnswerTool != "" && name == m.c.AnswerTool
	switch {
	case use.Get("type").Is(serverTool), isAnswer && m.answered: // answered twice would be two JSON documents in a row
		m.thoughts.Other()
		return 0, callOwn
	case isAnswer:
		m.answered = true
		return 0, callAnswer
	}
	if !m.called {
		m.called, m.first = true, strings.Clone(id)
	}
	m.thoughts.Called()
	return to.Call(0, translate.Call{ID: id, Name: name}), callClient
}

// end ends the choice. The thoughts go with it, for the turns that follow.
func (m *message) end(to translate.Sink, native string) {
	if raw := m.thoughts.Take(m.c.Prefix); raw != "" {
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
	for _, block := range said.Get("content").Elements {
		for kind, v := range block.Members {
			m.block(to, kind, v)
		}
	}
	m.end(to, stop)
	return translate.Complete
}

func (m *message) block(to translate.Sink, kind string, v jsonview.Value) {
	switch kind {
	case "text":
		m.text(to, v)
	case "citationsContent":
		for _, part := range v.Get("content").Elements {
			m.text(to, part.Get("text"))
		}
	case "toolUse":
		m.toolUse(to, v)
	case "reasoningContent":
		text := v.Get("reasoningText")
		if text.IsObject() {
			said := text.Get("text").Inside()
			to.Reasoning(0, said)
			m.thoughts.Begin()
			m.thoughts.Text(said)
			m.thoughts.Sign(text.Get("signature").Inside())
			m.thoughts.End()
		}
		m.thoughts.Redacted(v.Get("redactedContent").Inside())
	default:
		m.thoughts.Other()
	}
}

func (m *message) text(to translate.Sink, v jsonview.Value) {
	to.Text(0, v.Inside())
	m.thoughts.Said(v.Inside())
}

func (m *message) toolUse(to translate.Sink, v jsonview.Value) {
	input := v.Get("input").Raw
	if input == "" || input == "null" {
		input = "{}"
	}
	switch call, kind := m.call(to, v); kind {
	case callClient:
		to.ArgumentsJSON(0, call, input)
	case callAnswer:
		to.Text(0, string(jsonview.AppendEscaped(nil, input)))
	}
}
