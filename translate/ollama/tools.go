package ollama

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// tools writes the tools that are offered. There is no choice of tools: a client that
// wants none called gets none offered, and one cannot be forced.
func (r *request) tools() *translate.Error {
	chat := r.chat
	switch {
	case chat.Choice.Mode == "required" || chat.Choice.Mode == "function":
		return translate.Unsupported("tool_choice", "the provider of this model cannot be made to call a tool")
	case len(chat.Tools) == 0 || chat.Choice.Mode == "none":
		return nil
	}
	r.Name("tools")
	for i := range chat.Tools {
		r.Out = append(r.Out, "[,"[min(i, 1)])
		r.tool(&chat.Tools[i])
	}
	r.Out = append(r.Out, ']')
	return nil
}

// noParameters is the schema of a function without any; Ollama wants one.
const noParameters = `{"type":"object","properties":{}}`

func (r *request) tool(t *translate.Tool) {
	if t.Strict.IsTrue() {
		r.context.Warn("'strict' of tools was dropped: the provider of this model does not bind arguments to a schema.")
	}
	r.Out = append(r.Out, `{"type":"function","function":{"name":`...)
	r.Out = translate.AppendQuoted(r.Out, t.Name)
	if t.Description.Exists() {
		r.Out = append(r.Out, `,"description":`...)
		r.Out = append(r.Out, t.Description.Raw...)
	}
	r.Out = append(r.Out, `,"parameters":`...)
	if t.Parameters.Exists() {
		r.Out = jsonview.AppendCompact(r.Out, t.Parameters.Raw)
	} else {
		r.Out = append(r.Out, noParameters...)
	}
	r.Out = append(r.Out, "}}"...)
}
