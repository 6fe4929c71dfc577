package gemini

import (
	"net/url"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// isEmptyObjectSchema recognises the schema of a function without parameters.
func isEmptyObjectSchema(schema jsonview.Value) bool {
	for name, v := range schema.Members {
		empty := v.Len() == 0
		switch name {
		case "type":
			empty = v.Is("object") || v.Is("OBJECT")
		case "properties", "required":
		case "additionalProperties":
			empty = v.Raw == "false"
		case "$schema", "$id", "$defs", "definitions", "title", "description":
			empty = true
		default:
			empty = false
		}
		if !empty {
			return false
		}
	}
	return true
}

// Bounds of a schema that is written out with all it refers to.
const (
	maxSchemaDepth = 64
	maxSchemaBytes = 1 << 20
	maxSchemaWork  = 16 << 20 // bytes gone through, where references multiply them
)

const whyTooLarge = "its schema is too deep or too large in the form that this model takes"

// addOpenAPISchema adds a JSON Schema in the subset of OpenAPI 3.0's that parameters and
// responseSchema take, whose parser refuses a request for a single unknown name
// (https://ai.google.dev/api/caching#Schema). References are written out, null becomes
// nullable and a constant an enumeration of one. lossy tells that something was left
// out which narrows what is valid; why, a clause, says what makes it impossible.
func addOpenAPISchema(out *wire.Object, schema jsonview.Value) (lossy bool, why string) {
	s := subsetter{
		root: schema, out: out, most: len(out.Out) + maxSchemaBytes, targets: make(map[string]jsonview.Value),
	}
	s.schema(schema, inherited{})
	return s.lossy, s.why
}

type subsetter struct {
	root  jsonview.Value
	out   *wire.Object
	most  int      // bytes that out may have
	refs  []string // being written out, the outermost first
	depth int
	work  int
	lossy bool
	why   string

	targets map[string]jsonview.Value // of the references that were followed
}

// inherited is what a variant takes over from the schema whose anyOf it stands in,
// beside which the API wants no other member.
type inherited struct {
	nullable    bool
	description jsonview.Value
	kind        string // one of several types
}

// node is a schema with all that applies at the same place: what it refers to, the
// elements of its allOf, and its anyOf if only one of it is left.
type node struct {
	layers   []layer
	variants []jsonview.Value
	nullable bool
}

// layer is what one schema says: its members that have a meaning here.
type layer []translate.Member

func (l layer) get(name string) jsonview.Value {
	var found jsonview.Value
	for _, m := range l {
		if m.Name == name && !m.Value.IsNull() {
			found = m.Value
		}
	}
	return found
}

func (s *subsetter) schema(v jsonview.Value, from inherited) {
	if s.depth++; s.depth > maxSchemaDepth || len(s.out.Out) > s.most {
		s.why = whyTooLarge
	}
	refs := len(s.refs)
	n := node{nullable: from.nullable}
	if s.why == "" {
		s.gather(&n, v)
	}
	if s.why == "" {
		s.write(&n, from)
	}
	s.refs = s.refs[:refs]
	s.depth--
}

// gather collects what applies to the place of v.
func (s *subsetter) gather(n *node, v jsonview.Value) {
	if !v.IsObject() {
		s.lossy = s.lossy || v.Raw == "false"
		return
	}
	l := s.layer(v)
	n.layers = append(n.layers, l)
	if s.work += len(v.Raw); s.work > maxSchemaWork || len(n.layers) > maxSchemaDepth {
		s.why = whyTooLarge
		return
	}
	if ref := l.get("$ref"); ref.Exists() {
		if target, ok := s.resolve(ref.Text()); ok {
			s.gather(n, target)
		}
	}
	for _, all := range l.get("allOf").Elements {
		if s.why == "" {
			s.gather(n, all)
		}
	}
	for _, name := range [...]string{"anyOf", "oneOf"} {
		if choices := l.get(name); choices.IsArray() && s.why == "" {
			s.choices(n, choices)
		}
	}
}

func (s *subsetter) choices(n *node, all jsonview.Value) {
	var left []jsonview.Value
	for _, one := range all.Elements {
		if one.Get("type").Is("null") {
			n.nullable = true
		} else {
			left = append(left, one)
		}
	}
	switch {
	case len(left) == 1:
		s.gather(n, left[0])
	case n.variants != nil:
		s.lossy = true // two choices at one place cannot be expressed
	default:
		n.variants = left
	}
}

// resolve follows a reference within the schema (a JSON pointer, RFC 6901).
func (s *subsetter) resolve(ref string) (jsonview.Value, bool) {
	for _, open := range s.refs {
		if open == ref {
			s.why = "its schema refers to itself, which cannot be written in the form that this model takes"
			return jsonview.Value{}, false
		}
	}
	v, ok := s.targets[ref]
	if !ok {
		s.work += len(s.root.Raw)
		if v, ok = at(s.root, ref); !ok {
			s.why = "its schema refers to something outside of it"
			return jsonview.Value{}, false
		}
		s.targets[ref] = v
	}
	s.refs = append(s.refs, ref)
	return v, true
}

// at is the object that a reference within a document points to.
func at(v jsonview.Value, ref string) (jsonview.Value, bool) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if unescaped, err := url.PathUnescape(pointer); err == nil {
		pointer = unescaped
	}
	for i, name := range strings.Split(pointer, "/") {
		if i == 0 {
			ok = ok && name == ""
			continue
		}
		v = v.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	return v, ok && v.IsObject()
}

// get is the member of the first layer that has it.
func (n *node) get(name string) jsonview.Value {
	for _, l := range n.layers {
		if v := l.get(name); v.Exists() {
			return v
		}
	}
	return jsonview.Value{}
}

func (s *subsetter) write(n *node, from inherited) {
	types := s.types(n, from)
	structured := n.get("properties").IsObject() || n.get("items").IsObject()
	description := n.get("description")
	if !description.IsString() {
		description = from.description
	}
	s.noteLoss(n)
	switch {
	case len(n.variants) > 0 && !structured && from.kind == "":
		s.anyOf(len(n.variants), func(i int) {
			s.schema(n.variants[i], inherited{nullable: n.nullable, description: description})
		})
	case len(types) > 1:
		s.anyOf(len(types), func(i int) {
			one := *n
			s.write(&one, inherited{description: description, kind: types[i]})
		})
	default:
		s.lossy = s.lossy || len(n.variants) > 0
		kind := ""
		if len(types) == 1 {
			kind = types[0]
		}
		s.single(n, kind, description)
	}
}

func (s *subsetter) anyOf(count int, write func(i int)) {
	s.out.Open('{')
	s.out.Name("anyOf")
	s.out.Open('[')
	for i := range count {
		write(i)
	}
	s.out.Close(']')
	s.out.Close('}')
}

// types are the types that n may have, null aside, or the one that its other members
// speak of.
func (s *subsetter) types(n *node, from inherited) []string {
	if from.kind != "" {
		return []string{from.kind}
	}
	var types []string
	stated := n.get("type")
	for _, t := range stated.Elements {
		if t.Is("null") {
			n.nullable = true
		} else if t.IsString() {
			types = append(types, t.Text())
		}
	}
	switch {
	case stated.Is("null"):
		n.nullable, s.lossy = true, true
		return []string{"string"}
	case stated.IsString():
		return []string{stated.Text()}
	case len(types) > 0:
		return types
	case n.get("properties").IsObject():
		return []string{"object"}
	case n.get("items").IsObject():
		return []string{"array"}
	case n.get("enum").First().IsString() || n.get("const").IsString():
		return []string{"string"}
	}
	return nil
}

// What a member of a JSON Schema is to the subset.
const (
	meant     = iota + 1 // written, or turned into what is written
	remarked             // says nothing of what is valid
	forString            // meant for strings only
)

var schemaMembers = map[string]int{
	"type": meant, "format": meant, "items": meant, "properties": meant, "required": meant, "nullable": meant,
	"$ref": meant, "allOf": meant, "anyOf": meant, "oneOf": meant, "title": meant, "description": meant,
	"default": meant, "example": meant, "minLength": meant, "maxLength": meant, "pattern": meant,
	"minimum": meant, "maximum": meant, "minItems": meant, "maxItems": meant, "minProperties": meant, "maxProperties": meant,
	"enum": forString, "const": forString,

	"$schema": remarked, "$id": remarked, "$anchor": remarked, "$comment": remarked, "$defs": remarked,
	"definitions": remarked, "examples": remarked, "deprecated": remarked, "readOnly": remarked,
	"writeOnly": remarked, "propertyOrdering": remarked,
}

// layer takes from a schema what the subset has. What narrows the values further is
// lost.
func (s *subsetter) layer(v jsonview.Value) layer {
	var l layer
	for name, member := range v.Members {
		switch schemaMembers[name] {
		case meant, forString:
			l = append(l, translate.Member{Name: name, Value: member})
		case remarked:
		default:
			s.lossy = true
		}
	}
	return l
}

// noteLoss finds out whether anything that the subset has of n cannot be said in it.
func (s *subsetter) noteLoss(n *node) {
	for _, l := range n.layers {
		kind := strings.ToLower(l.get("type").Text())
		for _, m := range l {
			switch {
			case m.Name == "items":
				s.lossy = s.lossy || !m.Value.IsObject()
			case m.Name == "format":
				s.lossy = s.lossy || kind != "" && !isFormat(kind, m.Value.Text())
			case m.Name == "nullable":
				n.nullable = n.nullable || m.Value.IsTrue()
			case schemaMembers[m.Name] == forString:
				s.lossy = s.lossy || kind != "" && kind != "string"
			}
		}
	}
}
