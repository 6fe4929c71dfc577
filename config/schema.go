package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

//go:generate go test -run TestSchemaFileIsCurrent -update .

// schemaID names the schema; editors do not fetch it.
const schemaID = "https://github.com/sluicehq/sluice/config/config.schema.json"

// referencePattern matches a value that holds a ${reference}, which may stand
// wherever a single value may.
const referencePattern = `(^|[^$])\$\{[^}]+\}`

// durationPattern matches days, smaller units, or days in front of smaller units.
const durationPattern = `^(0|[0-9]+(\.[0-9]+)?d` + smallerUnits + `*|` + smallerUnits + `+)$`

const smallerUnits = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))`

// object is a JSON object; encoding/json writes its members in sorted order, so
// that the schema is the same text every time.
type object = map[string]any

// Schema returns the JSON schema (draft 2020-12) of the configuration file, as
// committed in config.schema.json. It describes every key with its default.
func Schema() []byte {
	schema := mappingSchema(reflect.ValueOf(Default()).Elem())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$id"] = schemaID
	schema["title"] = "sluice configuration"
	schema["$defs"] = object{
		"reference": object{
			"type": "string", "pattern": referencePattern,
			"description": "A value with a reference: ${NAME}, ${NAME:-default} or ${file:/path}.",
		},
		"duration": anyOf(
			object{"type": "string", "pattern": durationPattern},
			object{"const": 0},
		),
		"size": anyOf(
			object{"type": "string", "pattern": `^[0-9]+ *(KiB|MiB|GiB|kB|KB|MB|GB|B)?$`},
			object{"type": "integer", "minimum": 0},
		),
		"rate": anyOf(
			object{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`},
			object{"type": "number", "minimum": 0},
		),
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		// Only maps, strings, numbers and booleans are encoded.
		return nil
	}
	return out.Bytes()
}

// anyOf allows the given forms and a reference.
func anyOf(forms ...object) object {
	list := make([]any, 0, len(forms)+1)
	for _, form := range forms {
		list = append(list, form)
	}
	return object{"anyOf": append(list, object{"$ref": "#/$defs/reference"})}
}

// mappingSchema describes the keys of the struct v, which holds its defaults.
func mappingSchema(v reflect.Value) object {
	properties := object{}
	var required []string
	for _, f := range fieldsOf(v.Type()) {
		member := v.Field(f.index)
		property := typeSchema(member, f)
		property["description"] = f.doc
		// A default that is told in words is none of this type.
		if value, ok := defaultOf(member); ok && !f.rule.required && !strings.Contains(f.doc, "Default:") {
			property["default"] = value
		}
		properties[f.name] = property
		if f.rule.required {
			required = append(required, f.name)
		}
	}
	schema := object{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		schema["required"] = required
	}
	return schema
}

func typeSchema(v reflect.Value, f field) object {
	switch {
	case v.Type() == durationType:
		return object{"$ref": "#/$defs/duration"}
	case v.Type() == sizeType:
		return object{"$ref": "#/$defs/size"}
	case v.Type() == rateType:
		return object{"$ref": "#/$defs/rate"}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return typeSchema(withDefaults(v.Type().Elem()), f)
	case reflect.Struct:
		return mappingSchema(v)
	case reflect.Slice:
		schema := object{"type": "array", "items": itemSchema(v.Type().Elem(), f)}
		if f.rule.required {
			schema["minItems"] = 1
		}
		return schema
	case reflect.Map:
		values := object{"type": "string"}
		if v.Type().Elem().Kind() == reflect.String && v.Type().Elem() != secretType {
			values["type"] = []string{"string", "number", "boolean"} // what is written without quotes is text as well
		}
		return object{"type": "object", "additionalProperties": values}
	case reflect.Bool:
		return anyOf(object{"type": "boolean"})
	case reflect.Int:
		return anyOf(object{"type": "integer", "minimum": f.rule.min, "maximum": f.rule.max})
	}
	switch {
	case f.rule.enum != nil:
		return anyOf(object{"enum": f.rule.enum})
	case f.rule.required:
		return object{"type": "string", "minLength": 1}
	}
	return object{"type": "string"}
}

func itemSchema(t reflect.Type, f field) object {
	if t.Kind() == reflect.Struct {
		return mappingSchema(withDefaults(t))
	}
	return typeSchema(reflect.New(t).Elem(), field{rule: rule{enum: f.rule.enum}})
}

// withDefaults returns a struct of type t that holds its defaults.
func withDefaults(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(defaulter); ok {
		d.setDefaults()
	}
	return v.Elem()
}

// defaultOf returns the default of a single value as the file would write it.
func defaultOf(v reflect.Value) (any, bool) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case Duration:
		return value.String(), true
	case Size:
		return value.String(), true
	case string:
		return value, value != ""
	case bool, int:
		return value, true
	}
	return nil, false
}
