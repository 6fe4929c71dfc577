package ollama

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

func (r *request) messages() *translate.Error {
	r.Name("messages")
	for i := range r.chat.Messages {
		r.Out = append(r.Out, "[,"[min(i, 1)])
		if err := r.message(i); err != nil {
			return err
		}
	}
	r.Out = append(r.Out, ']')
	return nil
}

// message writes the message at index i. A last message of the assistant is continued
// by Ollama whether or not it is marked as a prefix.
func (r *request) message(i int) *translate.Error {
	m := &r.chat.Messages[i]
	r.Out = append(r.Out, `{"role":`...)
	r.Out = translate.AppendQuoted(r.Out, string(m.Role))
	if err := r.content(m.Parts); err != nil {
		return err
	}
	switch m.Role {
	case translate.RoleTool:
		if name := r.toolName(i); name != "" {
			r.Out = append(r.Out, `,"tool_name":`...)
			r.Out = translate.AppendQuoted(r.Out, name)
		}
		r.Out = append(r.Out, `,"tool_call_id":`...)
		r.Out = translate.AppendQuoted(r.Out, m.CallID)
	case translate.RoleAssistant:
		if m.Reasoning.Exists() {
			r.Out = append(r.Out, `,"thinking":`...)
			r.Out = append(r.Out, m.Reasoning.Raw...)
		}
		if err := r.calls(m.Calls); err != nil {
			return err
		}
	}
	r.Out = append(r.Out, '}')
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
	r.Out = append(r.Out, `,"content":"`...)
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
	r.Out = append(r.Out, `,"images":`...)
	separator := byte('[')
	for i := range parts {
		if parts[i].Kind == translate.PartImage {
			r.Out = append(r.Out, separator)
			r.Out = translate.AppendQuoted(r.Out, parts[i].Data)
			separator = ','
		}
	}
	r.Out = append(r.Out, ']')
}

// calls writes tool calls, whose arguments Ollama has as an object.
func (r *request) calls(calls []translate.AssistantCall) *translate.Error {
	for i := range calls {
		call := &calls[i]
		if i == 0 {
			r.Out = append(r.Out, `,"tool_calls":[`...)
		} else {
			r.Out = append(r.Out, ',')
		}
		arguments := call.Arguments
		if arguments == "" {
			arguments = "{}"
		}
		object, ok := jsonview.Parse([]byte(arguments))
		if !ok || !object.IsObject() {
			return translate.InvalidType(call.Path+".function.arguments", "the text of a JSON object")
		}
		r.Out = append(r.Out, `{"id":`...)
		r.Out = translate.AppendQuoted(r.Out, call.ID)
		r.Out = append(r.Out, `,"function":{"name":`...)
		r.Out = translate.AppendQuoted(r.Out, call.Name)
		r.Out = append(r.Out, `,"arguments":`...)
		r.Out = append(jsonview.AppendCompact(r.Out, object.Raw), "}}"...)
	}
	if len(calls) > 0 {
		r.Out = append(r.Out, ']')
	}
	return nil
}
