package ollama

import (
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
	r.Open('[')
	for i := range chat.Tools {
		r.Tool(&chat.Tools[i])
		if chat.Tools[i].Strict.IsTrue() {
			r.context.Warn("'strict' of tools was dropped: the provider of this model does not bind arguments to a schema.")
		}
	}
	r.Close(']')
	return nil
}
