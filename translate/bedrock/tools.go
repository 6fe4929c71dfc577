package bedrock

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// planFormat decides how the model is made to answer in a form. Models that take no
// schema are given a tool whose arguments are the answer; what an unknown model takes is
// for Bedrock to say.
func (r *request) planFormat() {
	f := r.chat.Format
	switch {
	case f.Type == "":
	case !f.Schema.Exists():
		r.c.Warn("'response_format' was dropped: the provider of this model knows JSON answers by their schema only.")
	case r.c.Known.Has(modeldata.TraitJSONSchema) || !wire.IsKnown(r.c.Known):
		r.schema = true
	case r.forcesTool(): // the model has to call a tool of the client's, and gives no answer
	default:
		r.answerTool = wire.AnswerTool(r.chat)
		r.c.AnswerTool = r.answerTool.Name
	}
}

// choice is the mode of tool_choice, which says nothing where there are no tools.
func (r *request) choice() string {
	if len(r.chat.Tools) == 0 {
		return ""
	}
	return r.chat.Choice.Mode
}

// forcesTool tells whether the model is made to call a tool.
func (r *request) forcesTool() bool {
	mode := r.choice()
	return mode == "required" || mode == "function" || r.c.AnswerTool != ""
}

// unusedTool is declared where the conversation has tool calls but none may be made:
// Converse wants tools declared then, and has no way to forbid their use.
const unusedTool = `{"toolSpec":{"name":"unavailable","description":"No tool is available now.",` +
	`"inputSchema":{"json":{"type":"object","properties":{}}}}}`

// writeTools writes toolConfig.
func (r *request) writeTools(out *wire.Object) {
	var tools list
	if r.choice() != "none" {
		for i := range r.chat.Tools {
			r.tool(&tools, &r.chat.Tools[i])
		}
	}
	own := len(tools.out) > 0
	if r.answerTool != nil {
		r.tool(&tools, r.answerTool)
	}
	if len(tools.out) == 0 && r.toolUse {
		tools.add(unusedTool)
	}
	if len(tools.out) == 0 {
		return
	}
	out.Literal("toolConfig", `{"tools":[`)
	out.Out = append(append(out.Out, tools.out...), ']')
	r.writeToolChoice(out, own)
	out.Out = append(out.Out, '}')
}

// tool writes a toolSpec.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html
func (r *request) tool(to *list, t *translate.Tool) {
	to.add(`{"toolSpec":{"name":`)
	to.quote(t.Name)
	if t.Description.Inside() != "" {
		to.append(`,"description":`, t.Description.Raw)
	}
	strict := t.Strict.IsTrue()
	if strict && !r.c.Known.Has(modeldata.TraitJSONSchema) {
		r.c.Warn("'strict' of tools was dropped: this model is not known to hold itself to schemas.")
		strict = false
	}
	to.append(`,"inputSchema":{"json":`)
	to.out = wire.AppendInputSchema(to.out, t.Parameters, strict)
	to.append("}")
	if strict {
		to.append(`,"strict":true`)
	}
	to.append("}}")
	r.cachePoint(to, t.CacheControl)
}

// writeToolChoice writes toolChoice. own says that tools of the client's are declared.
func (r *request) writeToolChoice(out *wire.Object, own bool) {
	mode := r.choice()
	if r.forcesTool() && r.c.Known.Has(modeldata.TraitNoForcedTools) {
		param := "tool_choice"
		if r.c.AnswerTool != "" {
			param = "response_format"
		}
		r.fail(translate.Unsupported(param, "this model cannot be made to call a tool"))
		return
	}
	name := r.chat.Choice.Name
	switch {
	case r.c.AnswerTool != "" && !own:
		mode, name = "function", r.c.AnswerTool
	case r.c.AnswerTool != "":
		mode = "required"
	}
	switch mode { // auto is what requests get unasked, and more models take it so
	case "required":
		out.Out = append(out.Out, `,"toolChoice":{"any":{}}`...)
	case "function":
		out.Out = append(out.Out, `,"toolChoice":{"tool":{"name":`...)
		out.Out = append(translate.AppendQuoted(out.Out, name), "}}"...)
	}
}

// writeOutput writes outputConfig. Its schema is the text of a JSON document.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_OutputConfig.html
func (r *request) writeOutput(out *wire.Object) {
	in := wire.NewObject(64)
	if r.thinking.effort != "" {
		in.Text("effort", r.thinking.effort)
	}
	if r.schema {
		f := r.chat.Format
		in.Literal("textFormat", `{"type":"json_schema","structure":{"jsonSchema":{"schema":"`)
		in.Out = jsonview.AppendEscaped(in.Out, jsonview.View(wire.AppendStrictSchema(nil, f.Schema)))
		in.Out = append(in.Out, '"')
		if f.Name != "" {
			in.Out = translate.AppendQuoted(append(in.Out, `,"name":`...), f.Name)
		}
		if f.Description.Inside() != "" {
			in.Out = append(append(in.Out, `,"description":`...), f.Description.Raw...)
		}
		in.Out = append(in.Out, "}}}"...)
	}
	if config := in.End(); len(config) > len("{}") {
		out.Literal("outputConfig", string(config))
	}
}
