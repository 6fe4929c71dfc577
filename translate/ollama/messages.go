package ollama

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

func (r *request) messages() *translate.Error {
	r.Name("messages")
	r.Open('[')
	for i := range r.chat.Messages {
		if err := r.message(i); err != nil {
			return err
		}
	}
	r.Close(']')
	return nil
}

// message writes the message at index i. A last message of the assistant is continued
// by Ollama whether or not it is marked as a prefix.
func (r *request) message(i int) *translate.Error {
	m := &r.chat.Messages[i]
	r.Open('{')
	r.Text("role", string(m.Role))
	if err := r.content(m.Parts); err != nil {
		return err
	}
	switch m.Role {
	case translate.RoleTool:
		if name := r.toolName(i); name != "" {
			r.Text("tool_name", name)
		}
		r.Text("tool_call_id", m.CallID)
	case translate.RoleAssistant:
		r.Raw("thinking", m.Reasoning)
		if err := r.calls(m.Calls); err != nil {
			return err
		}
	}
	r.Close('}')
	return nil
}

// toolName is the name of the tool whose answer is the message at index i: Ollama's
// templates go by names, and only later servers know ids.
func (r *request) toolName(i int) string {
	asked := &r.chat.Messages[i]
	for ; i >= 0; i-- {
		calls := r.chat.Messages[i].Calls
		for j := len(calls) - 1; j >= 0; j-- {
			if calls[j].ID == asked.CallID {
				return calls[j].Name
			}
		}
	}
	return asked.Name
}

// content writes texts and images, which Ollama has apart. Several texts become one,
// each on lines of its own.
func (r *request) content(parts []translate.Part) *translate.Error {
	r.Name("content")
	r.Out = append(r.Out, '"')
	texts, images := 0, 0
	for i := range parts {
		switch p := &parts[i]; p.Kind {
		case translate.PartText, translate.PartRefusal:
			if texts > 0 {
				r.Out = append(r.Out, `\n`...)
			}
			r.Out = append(r.Out, p.Text.Inside()...)
			texts++
		case translate.PartImage:
			if p.URL != "" {
				return translate.Unsupported(p.Path+".image_url.url",
					"the provider of this model takes images as data and fetches none")
			}
			images++
		case translate.PartAudio:
			return translate.Unsupported(p.Path, "audio cannot be sent to the provider of this model")
		default:
			return translate.Unsupported(p.Path, "files cannot be sent to the provider of this model")
		}
	}
	r.Out = append(r.Out, '"')
	if images > 0 {
		r.images(parts)
	}
	return nil
}

func (r *request) images(parts []translate.Part) {
	r.Name("images")
	r.Open('[')
	for i := range parts {
		if parts[i].Kind == translate.PartImage {
			r.Item()
			r.Out = translate.AppendQuoted(r.Out, parts[i].Data)
		}
	}
	r.Close(']')
}

// calls writes tool calls, whose arguments Ollama has as an object.
func (r *request) calls(calls []translate.AssistantCall) *translate.Error {
	if len(calls) == 0 {
		return nil
	}
	r.Name("tool_calls")
	r.Open('[')
	for i := range calls {
		arguments, err := wire.Arguments(&calls[i])
		if err != nil {
			return err
		}
		r.Open('{')
		r.Text("id", calls[i].ID)
		r.Name("function")
		r.Open('{')
		r.Text("name", calls[i].Name)
		r.Raw("arguments", jsonview.Value{Raw: arguments})
		r.Close('}')
		r.Close('}')
	}
	r.Close(']')
	return nil
}
