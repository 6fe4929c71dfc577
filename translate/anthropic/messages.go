package anthropic

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// planPrefill finds out whether there is a text to continue, and refuses it where the
// model would.
func (e *encoder) planPrefill() {
	e.prefill = wire.Prefill(e.chat)
	if e.prefill != nil && e.c.Known.Has(modeldata.TraitNoPrefill) {
		e.refuse(e.prefill.Path, "this model cannot continue an assistant's message")
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
	if e.thought.on {
		e.prefix = wire.NewPrefix(e.c, e.chat, e.chat.Tools)
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
		e.prefix.Add(m)
	}
	turn()
	e.c.Prefix = e.prefix.Text()
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

// appendParts appends a block for each part. What a message says of caching is meant
// for all of it, so it goes to its last block.
func (e *encoder) appendParts(dst []byte, m *translate.Message) []byte {
	last := wire.LastWritten(m)
	for i := range m.Parts {
		part := &m.Parts[i]
		if wire.Empty(part) {
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

// noCache marks nothing for caching.
var noCache jsonview.Value

func appendCache(dst []byte, cache jsonview.Value) []byte {
	if !cache.IsObject() {
		return dst
	}
	dst = append(dst, `,"cache_control":`...)
	return jsonview.AppendCompact(dst, cache.Raw)
}

// appendAssistant is the blocks of an earlier answer: as far as its last thought in the
// order in which they came, then text, then calls.
func (e *encoder) appendAssistant(m *translate.Message) []byte {
	for i := range m.Parts {
		if p := &m.Parts[i]; p.Kind != translate.PartText && p.Kind != translate.PartRefusal {
			e.refuse(p.Path, "only text can stand in an assistant's message")
		}
	}
	if wire.LastWritten(m) < 0 && len(m.Calls) == 0 {
		return nil
	}
	var blocks []byte
	prefill := m == e.prefill
	if e.thought.on {
		blocks, m = e.appendThoughts(blocks, m)
	}
	if prefill {
		m = wire.Trimmed(m)
	}
	blocks = e.appendParts(blocks, m)
	for i := range m.Calls {
		cache := noCache
		if i == len(m.Calls)-1 {
			cache = m.CacheControl
		}
		blocks = e.appendCall(comma(blocks), &m.Calls[i], cache)
	}
	return blocks
}

func (e *encoder) appendCall(dst []byte, call *translate.AssistantCall, cache jsonview.Value) []byte {
	dst = append(dst, `{"type":"tool_use","id":`...)
	dst = translate.AppendQuoted(dst, callID(call.ID))
	dst = append(dst, `,"name":`...)
	dst = translate.AppendQuoted(dst, call.Name)
	dst = append(dst, `,"input":`...)
	input, err := wire.Arguments(call)
	if err != nil {
		e.fail(err)
	}
	dst = jsonview.AppendCompact(dst, input)
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
		if !wire.Empty(part) {
			blocks = e.appendPart(comma(blocks), part, noCache)
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
