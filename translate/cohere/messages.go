package cohere

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

func (r *request) messages() *translate.Error {
	r.Name("messages")
	for i := range r.chat.Messages {
		r.Out = append(r.Out, "[,"[min(i, 1)])
		if err := r.message(&r.chat.Messages[i]); err != nil {
			return err
		}
	}
	r.Out = append(r.Out, ']')
	return nil
}

func (r *request) message(m *translate.Message) *translate.Error {
	if m.Prefix {
		return translate.Unsupported(m.Path+".prefix",
			"the provider of this model does not continue an answer that was begun")
	}
	r.Out = append(r.Out, `{"role":`...)
	r.Out = translate.AppendQuoted(r.Out, string(m.Role))
	switch m.Role {
	case translate.RoleTool:
		r.Out = append(r.Out, `,"tool_call_id":`...)
		r.Out = translate.AppendQuoted(r.Out, m.CallID)
	case translate.RoleAssistant:
		r.Out = r.appendPlan(r.Out, m)
	}
	if err := r.content(m); err != nil {
		return err
	}
	if m.Role == translate.RoleAssistant {
		r.calls(m.Calls)
		if citations := m.Extra.Get(vendor, "citations"); citations.IsArray() {
			r.Out = append(r.Out, `,"citations":`...)
			r.Out = jsonview.AppendCompact(r.Out, citations.Raw)
		}
	}
	r.Out = append(r.Out, '}')
	return nil
}

// appendPlan appends the reasoning in front of tool calls of a model that does not
// think but plans. What such a model reasoned without calls is of no use to it.
func (r *request) appendPlan(dst []byte, m *translate.Message) []byte {
	if m.Reasoning.Exists() && len(m.Calls) > 0 && !r.thinks() {
		dst = append(dst, `,"tool_plan":`...)
		dst = append(dst, m.Reasoning.Raw...)
	}
	return dst
}

// content writes the content of a message: a string if it is a single text, otherwise a
// list of blocks. An assistant's message that consists of tool calls has none.
func (r *request) content(m *translate.Message) *translate.Error {
	thought := m.Role == translate.RoleAssistant && m.Reasoning.Exists() && r.thinks()
	switch {
	case len(m.Parts) == 0 && !thought:
		if len(m.Calls) == 0 {
			r.Out = append(r.Out, `,"content":""`...)
		}
		return nil
	case len(m.Parts) == 1 && !thought && isText(&m.Parts[0]):
		r.Out = append(r.Out, `,"content":`...)
		r.Out = append(r.Out, m.Parts[0].Text.Raw...)
		return nil
	}
	r.Out = append(r.Out, `,"content":`...)
	separator := byte('[')
	if thought {
		r.Out = append(r.Out, `[{"type":"thinking","thinking":`...)
		r.Out = append(append(r.Out, m.Reasoning.Raw...), '}')
		separator = ','
	}
	for i := range m.Parts {
		r.Out = append(r.Out, separator)
		if err := r.part(m.Role, &m.Parts[i]); err != nil {
			return err
		}
		separator = ','
	}
	r.Out = append(r.Out, ']')
	return nil
}

func isText(p *translate.Part) bool {
	return p.Kind == translate.PartText || p.Kind == translate.PartRefusal
}

func (r *request) part(role translate.Role, p *translate.Part) *translate.Error {
	switch p.Kind {
	case translate.PartText, translate.PartRefusal:
		r.Out = append(r.Out, `{"type":"text","text":`...)
		r.Out = append(append(r.Out, p.Text.Raw...), '}')
	case translate.PartImage:
		if role != translate.RoleUser {
			return translate.Unsupported(p.Path, "the provider of this model takes images from users only")
		}
		r.image(p)
	case translate.PartAudio:
		return translate.Unsupported(p.Path, "audio cannot be sent to the provider of this model")
	default:
		return translate.Unsupported(p.Path, "files cannot be sent to the provider of this model")
	}
	return nil
}

func (r *request) image(p *translate.Part) {
	url := p.URL
	if url == "" {
		url = "data:" + p.Media + ";base64," + p.Data
	}
	r.Out = append(r.Out, `{"type":"image_url","image_url":{"url":`...)
	r.Out = translate.AppendQuoted(r.Out, url)
	if p.Detail != "" {
		r.Out = append(r.Out, `,"detail":`...)
		r.Out = translate.AppendQuoted(r.Out, p.Detail)
	}
	r.Out = append(r.Out, "}}"...)
}

func (r *request) calls(calls []translate.AssistantCall) {
	for i := range calls {
		call := &calls[i]
		if i == 0 {
			r.Out = append(r.Out, `,"tool_calls":[`...)
		} else {
			r.Out = append(r.Out, ',')
		}
		r.Out = append(r.Out, `{"id":`...)
		r.Out = translate.AppendQuoted(r.Out, call.ID)
		r.Out = append(r.Out, `,"type":"function","function":{"name":`...)
		r.Out = translate.AppendQuoted(r.Out, call.Name)
		r.Out = append(r.Out, `,"arguments":`...)
		if call.Arguments == "" {
			r.Out = append(r.Out, `"{}"`...)
		} else {
			r.Out = translate.AppendQuoted(r.Out, call.Arguments)
		}
		r.Out = append(r.Out, "}}"...)
	}
	if len(calls) > 0 {
		r.Out = append(r.Out, ']')
	}
}
