package anthropic

import (
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// choice is what the request's tool_choice will say.
type choice struct {
	mode string // auto, any, tool or none; empty for no such member
	name string // of the tool
	one  bool   // one call at a time
	// schema is the form of the answer where the API has a member for it.
	schema bool
}

func (c choice) forces() bool { return c.mode == "any" || c.mode == "tool" }

// planFormat decides how the client's wishes for tools and for the form of the answer
// go together.
func (e *encoder) planFormat() {
	e.planChoice()
	f := e.chat.Format
	switch {
	case f.Type == "":
	case !f.Schema.Exists():
		e.c.Warn("'response_format' was dropped: the provider of this model knows JSON answers by their schema only.")
	case e.c.Known.Has(modeldata.TraitJSONSchema):
		e.choice.schema = true
	case e.choice.forces(): // the answer is a call of the client's own tool
	default:
		e.planAnswerTool()
	}
}

func (e *encoder) planChoice() {
	mode := e.chat.Choice.Mode
	if len(e.chat.Tools) == 0 {
		if mode == "required" || mode == "function" {
			e.dropped("tool_choice", "there are no tools")
		}
		return
	}
	switch mode {
	case "auto", "none":
		e.choice.mode = mode
	case "required":
		e.choice.mode = "any"
	case "function":
		e.choice.mode, e.choice.name = "tool", e.chat.Choice.Name
	}
	if e.choice.forces() && e.c.Known.Has(modeldata.TraitNoForcedTools) {
		e.refuse("tool_choice", "this model cannot be made to call a tool")
	}
	if !e.chat.ParallelTools && mode != "none" && wire.Takes(e.c, "parallel_tool_calls") {
		e.choice.one = true
		if e.choice.mode == "" {
			e.choice.mode = "auto"
		}
	}
}

// planAnswerTool makes a model that knows no schemas answer by calling a tool whose
// arguments are the answer. Where the client has tools of its own, the model may call
// them instead.
func (e *encoder) planAnswerTool() {
	if e.c.Known.Has(modeldata.TraitNoForcedTools) {
		e.refuse("response_format", "this model cannot be made to answer by a schema")
	}
	e.answerTool = wire.AnswerTool(e.chat)
	e.c.AnswerTool = e.answerTool.Name
	e.choice.one = true
	if len(e.chat.Tools) > 0 && e.chat.Choice.Mode != "none" {
		e.choice.mode = "any"
		return
	}
	e.choice.mode, e.choice.name = "tool", e.answerTool.Name
}

func (e *encoder) tools() {
	if len(e.chat.Tools) == 0 && e.answerTool == nil {
		return
	}
	var list []byte
	for i := range e.chat.Tools {
		list = e.appendTool(comma(list), &e.chat.Tools[i])
	}
	if e.answerTool != nil {
		list = e.appendTool(comma(list), e.answerTool)
	}
	e.o.Name("tools")
	e.o.Out = append(e.o.Out, '[')
	e.o.Out = append(e.o.Out, list...)
	e.o.Out = append(e.o.Out, ']')
}

func (e *encoder) appendTool(dst []byte, t *translate.Tool) []byte {
	dst = append(dst, `{"name":`...)
	dst = translate.AppendQuoted(dst, t.Name)
	if t.Description.Exists() {
		dst = append(dst, `,"description":`...)
		dst = append(dst, t.Description.Raw...)
	}
	strict := t.Strict.IsTrue()
	if strict && wire.IsKnown(e.c.Known) && !e.c.Known.Has(modeldata.TraitJSONSchema) {
		e.dropped("tools.function.strict", "this model takes schemas as a hint only")
		strict = false
	}
	dst = append(dst, `,"input_schema":`...)
	dst = wire.AppendInputSchema(dst, t.Parameters, strict)
	if strict {
		dst = append(dst, `,"strict":true`...)
	}
	return append(appendCache(dst, t.CacheControl), '}')
}

func (e *encoder) toolChoice() {
	if e.choice.mode == "" {
		return
	}
	e.o.Name("tool_choice")
	e.o.Out = append(e.o.Out, `{"type":"`...)
	e.o.Out = append(e.o.Out, e.choice.mode...)
	e.o.Out = append(e.o.Out, '"')
	if e.choice.mode == "tool" {
		e.o.Out = append(e.o.Out, `,"name":`...)
		e.o.Out = translate.AppendQuoted(e.o.Out, e.choice.name)
	}
	if e.choice.one {
		e.o.Out = append(e.o.Out, `,"disable_parallel_tool_use":true`...)
	}
	e.o.Out = append(e.o.Out, '}')
}
