package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// single writes a schema of one type.
func (s *subsetter) single(n *node, kind string, description jsonview.Value) {
	w := s.out
	w.Open('{')
	if kind != "" {
		w.Text("type", kind)
	}
	lower := strings.ToLower(kind)
	if format := n.get("format"); isFormat(lower, format.Text()) {
		w.Raw("format", format)
	}
	if title := n.get("title"); title.IsString() {
		w.Raw("title", title)
	}
	if description.IsString() {
		w.Raw("description", description)
	}
	if lower == "string" {
		s.enum(n)
	}
	if n.nullable {
		w.Bool("nullable", true)
	}
	for _, name := range limits[lower] {
		if v := n.get(name); v.IsNumber() || name == "pattern" && v.IsString() {
			w.Raw(name, v)
		}
	}
	switch lower {
	case "array":
		if items := n.get("items"); items.IsObject() {
			w.Name("items")
			s.schema(items, inherited{})
		}
	case "object":
		s.properties(n)
	}
	w.Raw("default", n.get("default"))
	w.Raw("example", n.get("example"))
	w.Close('}')
}

// limits are the members that bound a value of a type.
var limits = map[string][]string{
	"string":  {"minLength", "maxLength", "pattern"},
	"number":  {"minimum", "maximum"},
	"integer": {"minimum", "maximum"},
	"array":   {"minItems", "maxItems"},
	"object":  {"minProperties", "maxProperties"},
}

// isFormat tells whether the API knows a format of a type: it refuses others.
func isFormat(kind, format string) bool {
	switch kind {
	case "string":
		return format == "enum" || format == "date-time"
	case "number":
		return format == "float" || format == "double"
	case "integer":
		return format == "int32" || format == "int64"
	}
	return false
}

// enum writes the values of a string. The API has no others, and refuses empty ones.
func (s *subsetter) enum(n *node) {
	values := n.get("enum")
	if constant := n.get("const"); constant.Exists() {
		values = jsonview.Value{Raw: "[" + constant.Raw + "]"}
	}
	var kept []jsonview.Value
	for _, v := range values.Elements {
		switch {
		case v.IsNull():
			n.nullable = true
		case v.IsString() && v.Inside() != "":
			kept = append(kept, v)
		default:
			s.lossy = true
		}
	}
	s.out.Strings("enum", kept)
}

// properties writes what an object consists of. An empty list, and the names of
// required properties that are not there, are refused.
func (s *subsetter) properties(n *node) {
	known := make(map[string]bool)
	for _, l := range n.layers {
		for name, v := range l.get("properties").Members {
			if known[name] {
				continue
			}
			if len(known) == 0 {
				s.out.Name("properties")
				s.out.Open('{')
			}
			known[name] = true
			s.out.Name(name)
			s.schema(v, inherited{})
		}
	}
	if len(known) == 0 {
		return
	}
	s.out.Close('}')
	var required []jsonview.Value
	for _, l := range n.layers {
		for _, name := range l.get("required").Elements {
			if known[name.Text()] {
				known[name.Text()] = false // once
				required = append(required, name)
			}
		}
	}
	s.out.Strings("required", required)
}
