package cohere

import (
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// tools writes the tools that are offered and how they are to be used. A function that
// must be called is offered alone: Cohere can be told to call some tool, but not which.
func (r *request) tools() *translate.Error {
	chat := r.chat
	if err := r.checkTools(); err != nil {
		return err
	}
	offered := chat.Tools
	switch chat.Choice.Mode {
	case "none":
		if chat.Format.Type != "" { // which excludes tools
			return nil
		}
	case "function":
		if offered = named(offered, chat.Choice.Name); offered == nil {
			return translate.InvalidType("tool_choice", "the name of one of the tools")
		}
	}
	if len(offered) == 0 {
		return nil
	}
	r.Name("tools")
	r.Open('[')
	strict := false
	for i := range offered {
		r.Tool(&offered[i])
		strict = strict || offered[i].Strict.IsTrue()
	}
	r.Close(']')
	if strict { // for all tools or none
		r.Bool("strict_tools", true)
	}
	switch chat.Choice.Mode {
	case "none":
		r.Text("tool_choice", "NONE")
	case "required", "function":
		r.Text("tool_choice", "REQUIRED")
	}
	return nil
}

// checkTools refuses what cannot be had with tools.
func (r *request) checkTools() *translate.Error {
	chat, mode := r.chat, r.chat.Choice.Mode
	forced := mode == "required" || mode == "function"
	switch {
	case forced && len(chat.Tools) == 0:
		return translate.InvalidType("tool_choice", "used together with tools")
	case forced && r.context.Known.Has(modeldata.TraitNoForcedTools):
		return translate.Unsupported("tool_choice", "this model cannot be made to call a tool")
	case len(chat.Tools) == 0 || mode == "none":
	case chat.Format.Type != "":
		return translate.Unsupported("response_format",
			"the provider of this model cannot bind the form of an answer while it offers tools")
	}
	return nil
}

func named(tools []translate.Tool, name string) []translate.Tool {
	for i := range tools {
		if tools[i].Name == name {
			return tools[i : i+1]
		}
	}
	return nil
}
