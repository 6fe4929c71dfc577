package accounting

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// schemaCost is what the parts of a tool definition take besides their texts.
// OpenAI shows the definitions to the model in a notation of its own; these
// numbers are the cookbook's fit to it ("How to count tokens with tiktoken",
// section on tool calls).
type schemaCost struct {
	function, properties, property, enum, enumItem, end float64
}

var (
	schemaCostO200k  = schemaCost{function: 7, properties: 3, property: 3, enum: -3, enumItem: 3, end: 12}
	schemaCostCl100k = schemaCost{function: 10, properties: 3, property: 3, enum: -3, enumItem: 3, end: 12}
)

// tools counts tool definitions: those of chat completions
// ({"type","function":{…}}), those of responses ({"type","name",…}), and the
// older functions. Nested objects count like the outer one.
func (p *prompt) tools(lists ...gjson.Result) {
	cost := p.family.tools.schema
	seen := false
	for _, list := range lists {
		list.ForEach(func(_, tool gjson.Result) bool {
			function := tool
			if inner := tool.Get("function"); inner.IsObject() {
				function = inner
			}
			if name := function.Get("name"); name.Type == gjson.String {
				seen = true
				p.extra += p.family.tools.each
				if p.family.tools.style == toolsAsJSON {
					p.json(tool)
				} else {
					p.function(cost, name.Str, function)
				}
			}
			return true
		})
	}
	if seen {
		p.formatted = true
		p.extra += p.family.tools.some + cost.end
	}
}

// json counts a value as the templates of open models write it: with a space behind every
// colon and comma, and no other white space.
func (p *prompt) json(value gjson.Result) { p.text(spacedJSON(value.Raw)) }

// spacedJSON rewrites the white space between the tokens of a JSON text.
func spacedJSON(raw string) string {
	out := make([]byte, 0, len(raw))
	quoted, escaped := false, false
	for i := range len(raw) {
		c := raw[i]
		switch {
		case quoted:
			out = append(out, c)
			if !escaped && c == '"' {
				quoted = false
			}
			escaped = !escaped && c == '\\'
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
		case c == ':' || c == ',':
			out = append(out, c, ' ')
		default:
			quoted = c == '"'
			out = append(out, c)
		}
	}
	return string(out)
}

func (p *prompt) function(cost schemaCost, name string, function gjson.Result) {
	p.extra += cost.function
	p.text(name + ":" + strings.TrimSuffix(function.Get("description").String(), "."))
	p.properties(cost, function.Get("parameters"), 0)
}

// properties counts the members of an object schema.
func (p *prompt) properties(cost schemaCost, schema gjson.Result, depth int) {
	members := schema.Get("properties")
	if depth >= promptDepth || !members.IsObject() {
		return
	}
	first := true
	members.ForEach(func(key, member gjson.Result) bool {
		if first {
			first = false
			p.extra += cost.properties
		}
		p.property(cost, key.String(), member, depth)
		return true
	})
}

func (p *prompt) property(cost schemaCost, name string, member gjson.Result, depth int) {
	p.extra += cost.property
	if enum := member.Get("enum"); enum.IsArray() {
		p.extra += cost.enum
		enum.ForEach(func(_, item gjson.Result) bool {
			p.extra += cost.enumItem
			p.text(item.String())
			return true
		})
	}
	description := strings.TrimSuffix(member.Get("description").String(), ".")
	p.text(name + ":" + member.Get("type").String() + ":" + description)
	p.properties(cost, member, depth+1)
	p.properties(cost, member.Get("items"), depth+1)
}

// schema counts the schema of a structured answer by its JSON text without
// white space. How OpenAI shows it to the model is not published.
func (p *prompt) schema(format gjson.Result) {
	schema := format.Get("schema")
	if !schema.IsObject() {
		return
	}
	p.formatted = true
	p.textOf(format.Get("name"))
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(schema.Raw)); err == nil {
		p.text(compact.String())
	}
}
