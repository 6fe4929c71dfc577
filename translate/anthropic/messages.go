package anthropic

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// planPrefill finds out whether the conversation ends with an assistant's text. The
// model continues it instead of answering.
func (e *encoder) planPrefill() {
	for i := len(e.chat.Messages) - 1; i >= 0; i-- {
		m := &e.chat.Messages[i]
		if m.Role == translate.RoleSystem || m.Role != translate.RoleTool && len(m.Calls) == 0 && lastWritten(m) < 0 {
			continue // nothing of it stands in the conversation
		}
		if m.Role == translate.RoleAssistant && len(m.Calls) == 0 {
			e.prefill = m
			if e.c.Known.Has(modeldata.TraitNoPrefill) {
				e.refuse(m.Path, "this model cannot continue an assistant's message")
			}
		}
		return
	}
}

// system writes the system prompt: what the messages of system and developer say,
// wherever they stand. The API has no such role.
func (e *encoder) system() {
	var blocks []byte
	for i := range e.chat.Messages {
		m := &e.chat.Messages[i]
		if m.Role != translate.RoleSystem {
			continue
		}
		for _, part := range m.Parts {
			if part.Kind != translate.PartText {
				e.refuse(part.Path, "only text can stand in a system message")
			}
		}
		blocks = e.appendParts(blocks, m)
	}
	if len(blocks) == 0 {
		return
	}
	e.o.Name("system")
	e.o.Out = append(e.o.Out, '[')
	e.o.Out = append(e.o.Out, blocks...)
	e.o.Out = append(e.o.Out, ']')
}

// messages writes the conversation. Messages of the user and of tools in a row become
// one message of the user: tool results have to come right behind their calls, all of
// them at once and before anything else.
func (e *encoder) messages() {
	var list, results, rest []byte
	turn := func() {
		if len(results)+len(rest) > 0 {
			blocks := results
			if len(results) > 0 && len(rest) > 0 {
				blocks = append(blocks, ',')
			}
			list = appendMessage(list, "user", append(blocks, rest...))
		}
		results, rest = nil, nil
	}
	for i := range e.chat.Messages {
		m := &e.chat.Messages[i]
		if m.Name != "" && m.Role != translate.RoleTool {
			e.dropped("messages.name", "the provider of this model has nothing like it")
		}
		switch m.Role {
		case translate.RoleTool:
			results = e.appendResult(results, m)
		case translate.RoleUser:
			rest = e.appendParts(rest, m)
		case translate.RoleAssistant:
			if blocks := e.appendAssistant(m); len(blocks) > 0 {
				turn()
				list = appendMessage(list, "assistant", blocks)
			}
		}
	}
	turn()
	if len(list) == 0 {
		e.refuse("messages", "the provider of this model needs a message beside the system's")
	}
	e.o.Name("messages")
	e.o.Out = append(e.o.Out, '[')
	e.o.Out = append(e.o.Out, list...)
	e.o.Out = append(e.o.Out, ']')
}

func appendMessage(dst []byte, role string, blocks []byte) []byte {
	dst = append(comma(dst), `{"role":"`...)
	dst = append(dst, role...)
	dst = append(dst, `","content":[`...)
	dst = append(dst, blocks...)
	return append(dst, `]}`...)
}

// lastWritten is the index of the last part of which a block is made, -1 for none. The
// API refuses blocks of text in which there is nothing to read.
func lastWritten(m *translate.Message) int {
	for i := len(m.Parts) - 1; i >= 0; i-- {
		if !skipped(&m.Parts[i]) {
			return i
		}
	}
	return -1
}

func skipped(p *translate.Part) bool {
	return (p.Kind == translate.PartText || p.Kind == translate.PartRefusal) && isBlank(p.Text)
}

// appendParts appends a block for each part. What a message says of caching is meant
// for all of it, so it goes to its last block.
func (e *encoder) appendParts(dst []byte, m *translate.Message) []byte {
	last := lastWritten(m)
	for i := range m.Parts {
		part := &m.Parts[i]
		if skipped(part) {
			continue
		}
		cache := part.CacheControl
		if i == last && !cache.Exists() && len(m.Calls) == 0 {
			cache = m.CacheControl
		}
		dst = e.appendPart(comma(dst), part, cache)
	}
	return dst
}

func (e *encoder) appendPart(dst []byte, p *translate.Part, cache jsonview.Value) []byte {
	switch p.Kind {
	case translate.PartText, translate.PartRefusal:
		return appendTextBlock(dst, p.Text.Raw, cache)
	case translate.PartImage:
		return e.appendImage(dst, p, cache)
	case translate.PartFile:
		return e.appendFile(dst, p, cache)
	}
	e.refuse(p.Path, "audio cannot be sent to the provider of this model")
	return dst
}

func appendTextBlock(dst []byte, quoted string, cache jsonview.Value) []byte {
	dst = append(dst, `{"type":"text","text":`...)
	dst = append(dst, quoted...)
	return append(appendCache(dst, cache), '}')
}

func appendCache(dst []byte, cache jsonview.Value) []byte {
	if !cache.IsObject() {
		return dst
	}
	dst = append(dst, `,"cache_control":`...)
	return jsonview.AppendCompact(dst, cache.Raw)
}

// appendAssistant is the blocks of an earlier answer: thoughts first, as the API wants
// them, then text, then calls.
func (e *encoder) appendAssistant(m *translate.Message) []byte {
	for i := range m.Parts {
		if p := &m.Parts[i]; p.Kind != translate.PartText && p.Kind != translate.PartRefusal {
			e.refuse(p.Path, "only text can stand in an assistant's message")
		}
	}
	if lastWritten(m) < 0 && len(m.Calls) == 0 {
		return nil
	}
	var blocks []byte
	if e.thought.on {
		blocks = e.appendThoughts(blocks, m)
	}
	if m == e.prefill {
		m = trimmed(m)
	}
	blocks = e.appendParts(blocks, m)
	for i := range m.Calls {
		cache := jsonview.Value{}
		if i == len(m.Calls)-1 {
			cache = m.CacheControl
		}
		blocks = e.appendCall(comma(blocks), &m.Calls[i], cache)
	}
	return blocks
}

// trimmed is m without white space at its end: the API refuses to continue such a text.
func trimmed(m *translate.Message) *translate.Message {
	last := lastWritten(m)
	text := m.Parts[last].Text.Text()
	short := strings.TrimRight(text, " \t\r\n")
	if len(short) == len(text) {
		return m
	}
	one := *m
	one.Parts = append([]translate.Part(nil), m.Parts[:last+1]...)
	one.Parts[last].Text = jsonview.Value{Raw: string(translate.AppendQuoted(nil, short))}
	return &one
}

func (e *encoder) appendCall(dst []byte, call *translate.AssistantCall, cache jsonview.Value) []byte {
	dst = append(dst, `{"type":"tool_use","id":`...)
	dst = translate.AppendQuoted(dst, callID(call.ID))
	dst = append(dst, `,"name":`...)
	dst = translate.AppendQuoted(dst, call.Name)
	dst = append(dst, `,"input":`...)
	switch text := strings.TrimSpace(call.Arguments); text {
	case "", "null":
		dst = append(dst, "{}"...)
	default:
		input, ok := jsonview.Parse([]byte(text))
		if !ok || !input.IsObject() {
			e.invalid(call.Path+".function.arguments", "the text of a JSON object")
			return dst
		}
		dst = jsonview.AppendCompact(dst, input.Raw)
	}
	return append(appendCache(dst, cache), '}')
}

// callID makes an id fit ^[a-zA-Z0-9_-]+$, the pattern that the API checks.
func callID(id string) string { return translate.CallID(id, 64, translate.IsWord) }

// appendResult appends a tool's answer. Caching is marked on the whole of it.
func (e *encoder) appendResult(dst []byte, m *translate.Message) []byte {
	dst = append(comma(dst), `{"type":"tool_result","tool_use_id":`...)
	dst = translate.AppendQuoted(dst, callID(m.CallID))
	cache := m.CacheControl
	var blocks []byte
	for i := range m.Parts {
		part := &m.Parts[i]
		if part.CacheControl.Exists() {
			cache = part.CacheControl
		}
		if !skipped(part) {
			blocks = e.appendPart(comma(blocks), part, jsonview.Value{})
		}
	}
	switch {
	case len(blocks) == 0:
	case len(m.Parts) == 1 && m.Parts[0].Kind == translate.PartText:
		dst = append(dst, `,"content":`...)
		dst = append(dst, m.Parts[0].Text.Raw...)
	default:
		dst = append(dst, `,"content":[`...)
		dst = append(dst, blocks...)
		dst = append(dst, ']')
	}
	return append(appendCache(dst, cache), '}')
}
