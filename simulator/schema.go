package simulator

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an instance: enough for any real schema, and an end to recursive ones.
const (
	maxSchemaDepth = 12
	maxSchemaNodes = 2000
	maxListItems   = 100
	maxTextLength  = 1000
)

// instance builds a JSON value that the schema accepts, as far as its keywords are
// known here: type, const, enum, default, examples, properties, required, items,
// prefixItems, minItems, anyOf, oneOf, allOf, $ref, the numeric and length bounds
// and the usual formats. pattern is not followed. Anything it cannot read
// becomes an empty object.
func instance(schema json.RawMessage) json.RawMessage {
	var root object
	if json.Unmarshal(schema, &root) != nil {
		return json.RawMessage("{}")
	}
	b := &builder{root: root, nodes: maxSchemaNodes}
	return b.value(root, "", maxSchemaDepth)
}

type builder struct {
	root  object
	nodes int
}

func (b *builder) value(s object, name string, depth int) json.RawMessage {
	b.nodes--
	s = b.resolve(s)
	if v := given(s); v != nil {
		return v
	}
	switch kind := kindOf(s); kind {
	case "object":
		return b.object(s, depth)
	case "array":
		return b.array(s, name, depth)
	case "integer", "number":
		return number(s, kind == "integer")
	case "boolean":
		return json.RawMessage("true")
	case "null":
		return json.RawMessage("null")
	}
	return mustJSON(text(s, name))
}

// given is a value that the schema itself spells out.
func given(s object) json.RawMessage {
	if v := s.get("const"); v != nil {
		return v
	}
	for _, list := range []string{"enum", "examples"} {
		var values []json.RawMessage
		if s.decode(list, &values) && len(values) > 0 {
			return values[0]
		}
	}
	return s.get("default")
}

// resolve follows $ref, merges allOf and takes the first branch of anyOf and oneOf.
func (b *builder) resolve(s object) object {
	for b.nodes--; b.nodes > 0; b.nodes-- {
		var ref string
		var branches []object
		switch {
		case s.decode("$ref", &ref):
			s = b.lookUp(ref)
		case s.decode("allOf", &branches) && len(branches) > 0:
			merged := s.without("allOf")
			for _, branch := range branches {
				merged = merged.merge(b.resolve(branch))
			}
			s = merged
		case s.decode("anyOf", &branches) && len(branches) > 0:
			s = s.without("anyOf").merge(branches[0])
		case s.decode("oneOf", &branches) && len(branches) > 0:
			s = s.without("oneOf").merge(branches[0])
		default:
			return s
		}
	}
	return nil
}

// lookUp follows a reference inside the document ("#/$defs/x"). An unknown one is
// an empty schema.
func (b *builder) lookUp(ref string) object {
	at := b.root
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if step == "" {
			continue
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var next object
		if !at.decode(step, &next) {
			return nil
		}
		at = next
	}
	return at
}

func (o object) without(name string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.name == name })
}

// merge adds the members of other; properties and required are joined, of the
// rest the later one counts.
func (o object) merge(other object) object {
	for _, m := range other {
		var mine, theirs object
		var names, more []string
		switch {
		case m.name == "properties" && o.decode(m.name, &mine) && other.decode(m.name, &theirs):
			m.value = mustJSON(append(mine, theirs...))
		case m.name == "required" && o.decode(m.name, &names) && other.decode(m.name, &more):
			m.value = mustJSON(append(names, more...))
		}
		o = append(o.without(m.name), m)
	}
	return o
}

// kindOf is the type of a schema, guessed from its keywords where it has none.
func kindOf(s object) string {
	var kind string
	var kinds []string
	switch {
	case s.decode("type", &kind):
		return kind
	case s.decode("type", &kinds):
		for _, k := range kinds {
			if k != "null" {
				return k
			}
		}
		return "null"
	case s.get("properties") != nil, s.get("additionalProperties") != nil, len(s) == 0:
		return "object"
	case s.get("items") != nil, s.get("prefixItems") != nil:
		return "array"
	case s.get("minimum") != nil, s.get("maximum") != nil:
		return "number"
	}
	return "string"
}

// object fills every property; where depth or size run out only the required ones.
func (b *builder) object(s object, depth int) json.RawMessage {
	var properties object
	s.decode("properties", &properties)
	var required []string
	s.decode("required", &required)
	out := object{}
	for _, p := range properties {
		needed := slices.Contains(required, p.name)
		if !needed && (depth <= maxSchemaDepth/2 || b.nodes < maxSchemaNodes/2) || depth <= 0 || b.nodes <= 0 {
			continue
		}
		var sub object
		if json.Unmarshal(p.value, &sub) != nil {
			sub = object{{"type", json.RawMessage(`"string"`)}} // the schema `true`
		}
		out = append(out, member{p.name, b.value(sub, p.name, depth-1)})
	}
	return mustJSON(out)
}

func (b *builder) array(s object, name string, depth int) json.RawMessage {
	out := []json.RawMessage{}
	var first []object
	s.decode("prefixItems", &first)
	for _, sub := range first {
		out = append(out, b.value(sub, name, depth-1))
	}
	items := object{{"type", json.RawMessage(`"string"`)}}
	hasItems := s.decode("items", &items)
	least, most := bound(s, "minItems", 0), bound(s, "maxItems", maxListItems)
	want := least
	if hasItems && len(first) == 0 && depth > maxSchemaDepth/2 {
		want = max(want, 1)
	}
	want = min(want, most, maxListItems)
	for float64(len(out)) < want && depth > 0 && b.nodes > 0 {
		out = append(out, b.value(items, strings.TrimSuffix(name, "s"), depth-1))
	}
	return mustJSON(out)
}

func bound(s object, name string, otherwise float64) float64 {
	var v float64
	if s.decode(name, &v) {
		return v
	}
	return otherwise
}

// number is a small number between the bounds, on the grid of multipleOf.
func number(s object, whole bool) json.RawMessage {
	step := bound(s, "multipleOf", 0)
	if step <= 0 || (whole && step != math.Trunc(step)) {
		step = 1
	}
	low := bound(s, "minimum", math.Inf(-1))
	if x := bound(s, "exclusiveMinimum", math.Inf(-1)); x >= low {
		low = math.Nextafter(x, math.Inf(1))
	}
	high := bound(s, "maximum", math.Inf(1))
	if x := bound(s, "exclusiveMaximum", math.Inf(1)); x <= high {
		high = math.Nextafter(x, math.Inf(-1))
	}
	v := step
	if v < low {
		v = math.Ceil(low/step) * step
	}
	if v > high {
		v = math.Floor(high/step) * step
	}
	if v < low && !whole && s.get("multipleOf") == nil {
		v = low + (high-low)/2 // bounds with no whole number between them
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		v = 0
	}
	return json.RawMessage(strconv.FormatFloat(v, 'f', -1, 64))
}

// formats are strings of the formats that JSON Schema names.
var formats = map[string]string{
	"date": "2026-01-15", "time": "09:30:00Z", "date-time": "2026-01-15T09:30:00Z", "duration": "PT1H",
	"email": "someone@example.com", "hostname": "example.com", "uri": "https://example.com/", "url": "https://example.com/",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uuid": "123e4567-e89b-42d3-a456-426614174000",
}

// wordsByName are likely values of strings, by a part of their name.
var wordsByName = []struct{ part, word string }{
	{"city", "Paris"},
	{"location", "Paris"},
	{"place", "Paris"},
	{"country", "France"},
	{"unit", "celsius"},
	{"date", "2026-01-15"},
	{"email", "someone@example.com"},
	{"url", "https://example.com/"},
	{"name", "Ada"},
	{"query", "weather in Paris"},
	{"path", "notes.txt"},
	{"currency", "EUR"},
	{"lang", "en"},
}

func text(s object, name string) string {
	var format string
	word := "example"
	if s.decode("format", &format) && formats[format] != "" {
		word = formats[format]
	} else {
		for _, w := range wordsByName {
			if strings.Contains(strings.ToLower(name), w.part) {
				word = w.word
				break
			}
		}
	}
	if least := int(min(bound(s, "minLength", 0), maxTextLength)); len(word) < least {
		word += strings.Repeat("x", least-len(word))
	}
	if most := bound(s, "maxLength", maxTextLength); most >= 0 && float64(len(word)) > most {
		word = word[:int(most)]
	}
	return word
}
