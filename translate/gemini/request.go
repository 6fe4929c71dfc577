package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// request is a generateContent request under construction.
type request struct {
	c      *translate.Context
	chat   *translate.Chat
	out    *wire.Object
	open   content // that is being written
	failed *translate.Error
}

// Request implements translate.Dialect.
func (Dialect) Request(c *translate.Context, chat *translate.Chat) ([]byte, *translate.Error) {
	if e := rules.Apply(c, chat); e != nil {
		return nil, e
	}
	if e := wire.RefuseForModel(c, chat); e != nil {
		return nil, e
	}
	if e := wire.CheckEffort(chat.Effort); e != nil {
		return nil, e
	}
	wire.LeftOut(c, chat)
	r := request{c: c, chat: chat, out: wire.NewObject(4 << 10)}
	r.contents()
	r.systemInstruction()
	r.tools()
	r.configs()
	if r.failed != nil {
		return nil, r.failed
	}
	return r.out.End(), nil
}

func (r *request) fail(e *translate.Error) {
	if r.failed == nil {
		r.failed = e
	}
}

// systemInstruction takes what system messages say, wherever they stand, in order.
func (r *request) systemInstruction() {
	parts := r.systemParts()
	if len(parts) == 0 || r.systemIsAll() {
		return
	}
	r.out.Name("systemInstruction")
	r.out.Open('{')
	r.out.Name("parts")
	r.out.Open('[')
	for i := range parts {
		r.textPart(parts[i].Text, jsonview.Value{})
	}
	r.out.Close(']')
	r.out.Close('}')
}

func (r *request) systemParts() []translate.Part {
	var parts []translate.Part
	for i := range r.chat.Messages {
		m := &r.chat.Messages[i]
		if m.Role != translate.RoleSystem {
			continue
		}
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

func (r *request) offersTools() bool { return len(r.chat.Tools) > 0 && !r.c.Known.Refused("tools") }

// tools puts all functions into one entry, as the API wants.
func (r *request) tools() {
	if !r.offersTools() {
		return
	}
	r.out.Name("tools")
	r.out.Open('[')
	r.out.Open('{')
	r.out.Name("functionDeclarations")
	r.out.Open('[')
	for i := range r.chat.Tools {
		r.declaration(&r.chat.Tools[i])
	}
	r.out.Close(']')
	r.out.Close('}')
	r.out.Close(']')
}

func (r *request) declaration(t *translate.Tool) {
	w := r.out
	w.Open('{')
	w.Text("name", t.Name)
	w.Raw("description", t.Description)
	switch path := functionPath(t.Path) + ".parameters"; {
	case isEmptyObjectSchema(t.Parameters): // older models refuse an object without properties
	case r.c.Known.Has(modeldata.TraitOpenAPISchemas):
		r.subset("parameters", t.Parameters, path)
	default:
		w.Raw("parametersJsonSchema", t.Parameters)
	}
	w.Close('}')
	if t.Strict.IsTrue() {
		r.c.Warn("'strict' of tools was dropped: the provider of this model has nothing like it.")
	}
}

// functionPath is where a tool's function stands: in tools, or in the older functions.
func functionPath(path string) string {
	if strings.HasPrefix(path, "tools") {
		return path + ".function"
	}
	return path
}

// subset adds a schema in the OpenAPI subset.
func (r *request) subset(name string, schema jsonview.Value, path string) {
	r.out.Name(name)
	lossy, why := addOpenAPISchema(r.out, schema)
	if why != "" {
		r.fail(translate.Unsupported(path, why))
		return
	}
	if lossy {
		r.c.Warn("Some of '" + path + "' was dropped: this model takes only a part of JSON Schema.")
	}
}
