package bedrock

import (
	"slices"

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
	case r.c.Known.Has(modeldata.TraitJSONSchema) || isUnknown(r.c.Known):
		r.schema = true
	case r.forcesTool(): // the model has to call a tool of the client's, and gives no answer
	default:
		r.c.AnswerTool = r.answerToolName()
	}
}

func isUnknown(m modeldata.Model) bool {
	return m.Context == 0 && m.MaxOutput == 0 && m.Reasoning.Style == "" && len(m.Refuses) == 0 && len(m.Traits) == 0
}

func (r *request) answerToolName() string {
	name := r.chat.Format.Name
	if name == "" || translate.CallID(name, 60, translate.IsWord) != name {
		name = "answer"
	}
	for slices.ContainsFunc(r.chat.Tools, func(t translate.Tool) bool { return t.Name == name }) {
		name += "_"
	}
	return name
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
	own := len(tools) > 0
	if r.c.AnswerTool != "" {
		r.answerTool(&tools)
	}
	if len(tools) == 0 && r.toolUse {
		tools.add(unusedTool)
	}
	if len(tools) == 0 {
		return
	}
	out.Literal("toolConfig", `{"tools":[`)
	out.Out = append(append(out.Out, tools...), ']')
	r.writeToolChoice(out, own)
	out.Out = append(out.Out, '}')
}

// tool writes a toolSpec.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html
func (r *request) tool(to *list, t *translate.Tool) {
	to.add(`{"toolSpec":{"name":`)
	*to = translate.AppendQuoted(*to, t.Name)
	if t.Description.Inside() != "" {
		*to = append(append(*to, `,"description":`...), t.Description.Raw...)
	}
	*to = append(*to, `,"inputSchema":{"json":`...)
	*to = appendSchema(*to, t.Parameters)
	*to = append(*to, '}')
	if t.Strict.IsTrue() {
		if r.c.Known.Has(modeldata.TraitJSONSchema) {
			*to = append(*to, `,"strict":true`...)
		} else {
			r.c.Warn("'strict' of tools was dropped: this model is not known to hold itself to schemas.")
		}
	}
	*to = append(*to, "}}"...)
	cachePoint(to, t.CacheControl)
}

// appendSchema appends the schema of a tool's input, which must say that it is an object.
func appendSchema(dst []byte, schema jsonview.Value) []byte {
	if schema.Len() == 0 {
		return append(dst, `{"type":"object","properties":{}}`...)
	}
	if schema.Get("type").Exists() {
		return jsonview.AppendCompact(dst, schema.Raw)
	}
	dst = append(dst, `{"type":"object",`...)
	compact := jsonview.AppendCompact(nil, schema.Raw)
	return append(dst, compact[1:]...)
}

func (r *request) answerTool(to *list) {
	to.add(`{"toolSpec":{"name":"`, r.c.AnswerTool, `","description":`)
	if d := r.chat.Format.Description; d.Inside() != "" {
		*to = append(*to, d.Raw...)
	} else {
		*to = append(*to, `"Gives the answer to the user. The arguments are the whole answer."`...)
	}
	*to = append(*to, `,"inputSchema":{"json":`...)
	*to = appendSchema(*to, r.chat.Format.Schema)
	*to = append(*to, "}}}"...)
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
		in.Out = jsonview.AppendEscaped(in.Out, f.Schema.Raw)
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
