package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// request is a generateContent request under construction.
type request struct {
	c      *translate.Context
	chat   *translate.Chat
	out    writer
	role   string // of the content that is open, empty for none
	failed *translate.Error
}

// Request implements translate.Dialect.
func (Dialect) Request(c *translate.Context, chat *translate.Chat) ([]byte, *translate.Error) {
	if e := rules.Apply(c, chat); e != nil {
		return nil, e
	}
	r := request{c: c, chat: chat}
	r.refuseForModel()
	r.out.open('{')
	r.contents()
	r.systemInstruction()
	r.tools()
	r.configs()
	r.out.close('}')
	if r.failed != nil {
		return nil, r.failed
	}
	return r.out.b, nil
}

func (r *request) fail(e *translate.Error) {
	if r.failed == nil {
		r.failed = e
	}
}

// refuseForModel refuses what the model is known to refuse and what the answer would be
// wrong without.
func (r *request) refuseForModel() {
	asked := map[string]bool{
		"tools": len(r.chat.Tools) > 0, "response_format": r.chat.Format.Type != "",
		"n": r.chat.N > 1, "stop": len(r.chat.Stop) > 0,
	}
	for _, name := range [...]string{"tools", "response_format", "n", "stop"} {
		if asked[name] && r.c.Known.Refused(name) {
			r.fail(translate.Unsupported(name, "this model refuses it"))
		}
	}
}

// takes tells whether to send a member that the answer is as good without. If not, the
// client is warned.
func (r *request) takes(name string) bool {
	if !r.c.Known.Refused(name) {
		return true
	}
	r.c.Warn("'" + name + "' was dropped: this model refuses it.")
	return false
}

// systemInstruction takes what system messages say, wherever they stand, in order.
func (r *request) systemInstruction() {
	parts := r.systemParts()
	if len(parts) == 0 || r.systemIsAll() {
		return
	}
	r.out.key("systemInstruction")
	r.out.open('{')
	r.out.key("parts")
	r.out.open('[')
	for i := range parts {
		r.textPart(parts[i].Text, jsonview.Value{})
	}
	r.out.close(']')
	r.out.close('}')
}

func (r *request) systemParts() []translate.Part {
	var parts []translate.Part
	for i := range r.chat.Messages {
		m := &r.chat.Messages[i]
		if m.Role != translate.RoleSystem {
			continue
		}
		r.leftOut(m)
		for _, p := range m.Parts {
			if p.Kind != translate.PartText {
				r.fail(translate.Unsupported(p.Path, "a system message can only hold text here"))
			}
		}
		parts = append(parts, m.Parts...)
	}
	return parts
}

// systemIsAll tells whether there are system messages only. They are sent as the user's
// then: a request must have contents.
func (r *request) systemIsAll() bool {
	for i := range r.chat.Messages {
		if m := &r.chat.Messages[i]; m.Role != translate.RoleSystem && (len(m.Parts) > 0 || len(m.Calls) > 0) {
			return false
		}
	}
	return true
}

// tools puts all functions into one entry, as the API wants.
func (r *request) tools() {
	if len(r.chat.Tools) == 0 {
		return
	}
	r.out.key("tools")
	r.out.open('[')
	r.out.open('{')
	r.out.key("functionDeclarations")
	r.out.open('[')
	for i := range r.chat.Tools {
		r.declaration(&r.chat.Tools[i])
	}
	r.out.close(']')
	r.out.close('}')
	r.out.close(']')
}

func (r *request) declaration(t *translate.Tool) {
	w := &r.out
	w.open('{')
	w.textMember("name", t.Name)
	w.optional("description", t.Description)
	switch path := functionPath(t.Path) + ".parameters"; {
	case isEmptyObjectSchema(t.Parameters): // older models refuse an object without properties
	case r.c.Known.Has(modeldata.TraitOpenAPISchemas):
		w.key("parameters")
		r.subset(t.Parameters, path)
	default:
		w.member("parametersJsonSchema", t.Parameters.Raw)
	}
	w.close('}')
	if t.Strict.IsTrue() {
		r.c.Warn("'strict' of tools was dropped: the provider of this model has nothing like it.")
	}
	if t.CacheControl.Exists() {
		r.warnCacheControl()
	}
}

// functionPath is where a tool's function stands: in tools, or in the older functions.
func functionPath(path string) string {
	if len(path) > 5 && path[:5] == "tools" {
		return path + ".function"
	}
	return path
}

func (r *request) warnCacheControl() {
	r.c.Warn("'cache_control' was dropped: the provider of this model has nothing like it.")
}

// subset writes a schema in the OpenAPI subset.
func (r *request) subset(schema jsonview.Value, path string) {
	raw, lossy, why := openAPISchema(schema)
	if why != "" {
		r.fail(translate.Unsupported(path, why))
		return
	}
	if lossy {
		r.c.Warn("Some of '" + path + "' was dropped: this model takes only a part of JSON Schema.")
	}
	r.out.raw(string(raw))
}
