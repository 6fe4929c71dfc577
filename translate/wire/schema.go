package wire

import (
	"slices"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// AppendInputSchema appends the JSON Schema of a tool's input as Anthropic and Bedrock
// take it: it must say that it is an object.
func AppendInputSchema(dst []byte, schema jsonview.Value, strict bool) []byte {
	if schema.Len() == 0 {
		return append(dst, NoParameters...)
	}
	begin := len(dst)
	if strict {
		dst = AppendStrictSchema(dst, schema)
	} else {
		dst = jsonview.AppendCompact(dst, schema.Raw)
	}
	if schema.Get("type").Exists() {
		return dst
	}
	return slices.Insert(dst, begin+len("{"), []byte(`"type":"object",`)...)
}

// AppendStrictSchema appends a JSON Schema as Anthropic and Bedrock hold a model to it.
// Like Anthropic's own SDKs do, keywords that are refused move into the description,
// where the model reads them, and objects are closed. An object that the client left open
// on purpose stays so; the API then says what it thinks of it.
//
// https://platform.claude.com/docs/en/build-with-claude/structured-outputs
// https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
func AppendStrictSchema(dst []byte, schema jsonview.Value) []byte {
	if !schema.IsObject() {
		return jsonview.AppendCompact(dst, schema.Raw)
	}
	// notes are escaped, to stand in the description.
	notes, described := refusedKeywords(schema)
	anyOf := schema.Get("anyOf").Exists()
	object, closed := false, false
	dst = append(dst, '{')
	begin := len(dst)
	for name, v := range schema.Members {
		if !accepted(name, v) {
			continue
		}
		if name == "oneOf" && !anyOf {
			name = "anyOf"
		}
		dst = appendName(dst, begin, name)
		switch name {
		case "type":
			object = object || v.Is("object")
			dst = jsonview.AppendCompact(dst, v.Raw)
		case "properties", "$defs", "definitions":
			object = object || name == "properties"
			dst = appendSchemas(dst, v)
		case "anyOf", "allOf", "oneOf", "prefixItems":
			dst = appendSchemaList(dst, v)
		case "items", "additionalProperties":
			closed = closed || name == "additionalProperties"
			dst = AppendStrictSchema(dst, v)
		case "description":
			dst = appendDescription(dst, v.Inside(), notes)
		default:
			dst = jsonview.AppendCompact(dst, v.Raw)
		}
	}
	if object && !closed {
		dst = append(appendName(dst, begin, "additionalProperties"), "false"...)
	}
	if len(notes) > 0 && !described {
		dst = appendDescription(appendName(dst, begin, "description"), "", notes)
	}
	return append(dst, '}')
}

func appendDescription(dst []byte, description string, notes []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, description...)
	if description != "" && len(notes) > 0 {
		dst = append(dst, `\n\n`...)
	}
	if len(notes) > 0 {
		dst = append(dst, '{')
		dst = append(dst, notes...)
		dst = append(dst, '}')
	}
	return append(dst, '"')
}

// refusedKeywords lists what is not accepted in a schema, and tells whether the schema
// has a description.
func refusedKeywords(schema jsonview.Value) (notes []byte, described bool) {
	for name, v := range schema.Members {
		described = described || name == "description"
		if accepted(name, v) {
			continue
		}
		if len(notes) > 0 {
			notes = append(notes, ", "...)
		}
		notes = append(notes, name...) // one of the keywords of accepted
		notes = append(notes, ": "...)
		notes = jsonview.AppendEscaped(notes, v.Raw)
	}
	return notes, described
}

// accepted tells whether the API takes a keyword with this value. Keywords that are not
// named here are passed on.
func accepted(name string, v jsonview.Value) bool {
	switch name {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern",
		"maxItems", "uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems",
		"minProperties", "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties",
		"dependentRequired", "dependentSchemas", "not", "if", "then", "else":
		return false
	case "minItems":
		n, _ := v.Int()
		return n == 0 || n == 1
	case "format":
		switch v.Text() {
		case "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid":
			return true
		}
		return false
	}
	return true
}

// appendName begins a member of the object whose first member is at begin.
func appendName(dst []byte, begin int, name string) []byte {
	if len(dst) > begin {
		dst = append(dst, ',')
	}
	return append(translate.AppendQuoted(dst, name), ':')
}

func appendSchemas(dst []byte, schemas jsonview.Value) []byte {
	if !schemas.IsObject() {
		return jsonview.AppendCompact(dst, schemas.Raw)
	}
	dst = append(dst, '{')
	begin := len(dst)
	for name, schema := range schemas.Members {
		dst = AppendStrictSchema(appendName(dst, begin, name), schema)
	}
	return append(dst, '}')
}

func appendSchemaList(dst []byte, schemas jsonview.Value) []byte {
	dst = append(dst, '[')
	for i, schema := range schemas.Elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendStrictSchema(dst, schema)
	}
	return append(dst, ']')
}
