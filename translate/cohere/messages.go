package cohere

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

func (r *request) messages() *translate.Error {
	r.Name("messages")
	r.Open('[')
	for i := range r.chat.Messages {
		if err := r.message(&r.chat.Messages[i]); err != nil {
			return err
		}
	}
	r.Close(']')
	return nil
}

func (r *request) message(m *translate.Message) *translate.Error {
	if m.Prefix {
		return translate.Unsupported(m.Path+".prefix",
			"the provider of this model does not continue an answer that was begun")
	}
	r.Open('{')
	r.Text("role", string(m.Role))
	switch m.Role {
	case translate.RoleTool:
		r.Text("tool_call_id", m.CallID)
	case translate.RoleAssistant:
		r.plan(m)
	}
	if err := r.content(m); err != nil {
		return err
	}
	if m.Role == translate.RoleAssistant {
		r.calls(m.Calls)
		if citations := m.Extra.Get(vendor, "citations"); citations.IsArray() {
			r.Raw("citations", citations)
		}
	}
	r.Close('}')
	return nil
}

// plan writes the reasoning in front of tool calls of a model that does not think but
// plans. What such a model reasoned without calls is of no use to it.
func (r *request) plan(m *translate.Message) {
	if len(m.Calls) > 0 && !r.thinks() {
		r.Raw("tool_plan", m.Reasoning)
	}
}

// content writes the content of a message: a string if it is a single text, otherwise a
// list of blocks. An assistant's message that consists of tool calls has none.
func (r *request) content(m *translate.Message) *translate.Error {
	thought := m.Role == translate.RoleAssistant && m.Reasoning.Exists() && r.thinks()
	switch {
	case len(m.Parts) == 0 && !thought:
		if len(m.Calls) == 0 {
			r.Text("content", "")
		}
		return nil
	case len(m.Parts) == 1 && !thought && isText(&m.Parts[0]):
		r.Raw("content", m.Parts[0].Text)
		return nil
	}
	r.Name("content")
	r.Open('[')
	if thought {
		r.block("thinking", m.Reasoning)
	}
	for i := range m.Parts {
		if err := r.part(m.Role, &m.Parts[i]); err != nil {
			return err
		}
	}
	r.Close(']')
	return nil
}

// block writes a content block of a kind that has its text under the same name.
func (r *request) block(kind string, text jsonview.Value) {
	r.Open('{')
	r.Text("type", kind)
	r.Raw(kind, text)
	r.Close('}')
}

func isText(p *translate.Part) bool {
	return p.Kind == translate.PartText || p.Kind == translate.PartRefusal
}

func (r *request) part(role translate.Role, p *translate.Part) *translate.Error {
	switch p.Kind {
	case translate.PartText, translate.PartRefusal:
		r.block("text", p.Text)
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
	r.Open('{')
	r.Text("type", "image_url")
	r.Name("image_url")
	r.Open('{')
	r.Text("url", url)
	if p.Detail != "" {
		r.Text("detail", p.Detail)
	}
	r.Close('}')
	r.Close('}')
}

// calls writes tool calls. Arguments stay as they are, even those that are no JSON.
func (r *request) calls(calls []translate.AssistantCall) {
	if len(calls) == 0 {
		return
	}
	r.Name("tool_calls")
	r.Open('[')
	for i := range calls {
		call := &calls[i]
		arguments, err := wire.Arguments(call)
		if err != nil {
			arguments = call.Arguments
		}
		r.Open('{')
		r.Text("id", call.ID)
		r.Text("type", "function")
		r.Name("function")
		r.Open('{')
		r.Text("name", call.Name)
		r.Text("arguments", arguments)
		r.Close('}')
		r.Close('}')
	}
	r.Close(']')
}
