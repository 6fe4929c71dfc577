package chatrules

import (
	"bytes"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema/*.json
var schemaFiles embed.FS

// schemas are the compiled definitions, by the name of their file: as they are, and
// loosened for what a provider adds.
var schemas = [2]func() map[string]*jsonschema.Schema{
	sync.OnceValue(func() map[string]*jsonschema.Schema { return compileSchemas(false) }),
	sync.OnceValue(func() map[string]*jsonschema.Schema { return compileSchemas(true) }),
}

// compileSchemas panics if a file is broken, which every test of this package notices.
func compileSchemas(unknown bool) map[string]*jsonschema.Schema {
	compiler := jsonschema.NewCompiler()
	files, err := fs.Glob(schemaFiles, "schema/*.json")
	for _, file := range files {
		var raw []byte
		var doc any
		if raw, err = schemaFiles.ReadFile(file); err != nil {
			break
		}
		if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw)); err != nil {
			break
		}
		if unknown {
			loosen(doc)
		}
		if err = compiler.AddResource(path.Base(file), doc); err != nil {
			break
		}
	}
	if err != nil {
		panic(err)
	}
	compiled := map[string]*jsonschema.Schema{}
	for _, file := range files {
		name := path.Base(file)
		compiled[strings.TrimSuffix(name, ".json")] = compiler.MustCompile(name)
	}
	return compiled
}

// loosen takes the bans out of a schema that SDKs do not care for: on unknown members,
// on null for an optional member, on nothing for null, on empty lists and objects, and
// on times that are none.
func loosen(v any) {
	switch v := v.(type) {
	case map[string]any:
		if allowed, ok := v["additionalProperties"].(bool); ok && !allowed {
			delete(v, "additionalProperties")
		}
		delete(v, "minItems")
		delete(v, "minProperties")
		if v["$comment"] == "seconds" {
			delete(v, "minimum")
			delete(v, "maximum")
		}
		loosenMembers(v)
		for _, inner := range v {
			loosen(inner)
		}
	case []any:
		for _, inner := range v {
			loosen(inner)
		}
	}
}

func loosenMembers(schema map[string]any) {
	members, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	required = slices.DeleteFunc(slices.Clone(required), func(name any) bool {
		member, ok := members[name.(string)]
		return ok && nullable(member)
	})
	if _, ok := schema["required"]; ok {
		schema["required"] = required
	}
	for name, member := range members {
		if !slices.Contains(required, any(name)) && !nullable(member) {
			members[name] = map[string]any{"anyOf": []any{map[string]any{"type": "null"}, member}}
		}
	}
}

// nullable reports whether a schema says that null will do.
func nullable(schema any) bool {
	if types, ok := member(schema, "type").([]any); ok {
		return slices.Contains(types, any("null"))
	}
	return slices.ContainsFunc(list(schema, "anyOf"), func(s any) bool { return text(s, "type") == "null" })
}

// checkSchema finds fault with the shape of a value.
func (f *findings) checkSchema(name string, v any, o Options) {
	kind := 0
	if o.Unknown {
		kind = 1
	}
	if err := schemas[kind]()[name].Validate(v); err != nil {
		_, details, _ := strings.Cut(err.Error(), "\n")
		f.add("schema: %s: %s", name, strings.ReplaceAll(details, "\n", ";"))
	}
}
