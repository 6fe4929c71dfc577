package simulator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstanceOfSchema(t *testing.T) {
	f := func(schema, want string) {
		t.Helper()
		require.Equal(t, want, string(instance(json.RawMessage(schema))))
	}
	f(`{}`, `{}`)
	f(`true`, `{}`)
	f(`{"type":"string"}`, `"example"`)
	f(`{"type":["null","integer"]}`, `1`)
	f(`{"type":"null"}`, `null`)
	f(`{"type":"boolean"}`, `true`)
	f(`{"const":{"a":1}}`, `{"a":1}`)
	f(`{"type":"string","enum":["x","y"]}`, `"x"`)
	f(`{"type":"integer","default":7}`, `7`)
	f(`{"examples":["e"]}`, `"e"`)

	f(`{"type":"integer","minimum":5}`, `5`)
	f(`{"type":"integer","exclusiveMinimum":5}`, `6`)
	f(`{"type":"integer","maximum":-3}`, `-3`)
	f(`{"type":"integer","exclusiveMaximum":0}`, `-1`)
	f(`{"type":"integer","minimum":10,"multipleOf":7}`, `14`)
	f(`{"type":"number","minimum":0.25,"maximum":0.75}`, `0.5`)

	f(`{"type":"string","minLength":9}`, `"examplexx"`)
	f(`{"type":"string","maxLength":2}`, `"ex"`)
	f(`{"type":"string","format":"uuid"}`, `"123e4567-e89b-42d3-a456-426614174000"`)

	f(`{"type":"array","items":{"type":"integer"},"minItems":3}`, `[1,1,1]`)
	f(`{"type":"array","items":{"type":"integer"},"maxItems":0}`, `[]`)
	f(`{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}]}`, `[1,"example"]`)

	f(`{"properties":{"b":{"type":"integer"},"user_name":{"type":"string"},"any":true}}`, `{"b":1,"user_name":"Ada","any":"example"}`)
	f(`{"anyOf":[{"type":"integer"},{"type":"null"}]}`, `1`)
	f(`{"oneOf":[{"type":"boolean"}]}`, `true`)
	f(`{"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"integer"}},"required":["b"]}]}`, `{"a":1,"b":1}`)
	f(`{"type":"object","properties":{"p":{"$ref":"#/$defs/point"}},"$defs":{"point":{"type":"object","properties":{"x":{"type":"number"}}}}}`, `{"p":{"x":1}}`)
	f(`{"$ref":"https://example.com/other"}`, `{}`)
}

func TestInstanceOfEndlessSchemaEnds(t *testing.T) {
	for _, schema := range []string{
		`{"$ref":"#"}`,
		`{"allOf":[{"$ref":"#"},{"$ref":"#"}]}`,
		`{"type":"object","required":["a","b","c"],"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}}}`,
		`{"type":"array","minItems":1000000,"items":{"$ref":"#"}}`,
		`{"type":"string","minLength":1000000000000}`,
		`{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}}}`,
	} {
		v := instance(json.RawMessage(schema))
		require.True(t, json.Valid(v), schema)
		require.Less(t, len(v), 200_000, schema)
	}
}

func FuzzInstanceIsJSON(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"type":"array","items":{"enum":[1]}}}}`, `{"allOf":[{"$ref":"#/x"}],"x":{"not":{}}}`,
		`{"type":"number","minimum":1e308,"multipleOf":1e-300}`, `{"maxLength":-1,"type":"string"}`, `[]`, `{"type":"array","maxItems":-5}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, schema string) {
		if v := instance(json.RawMessage(schema)); !json.Valid(v) {
			t.Fatalf("%q gave %q", schema, v)
		}
	})
}

func FuzzTokensJoinToTheText(f *testing.F) {
	for _, seed := range []string{"", " ", "  a", longAnswer, "naïve 你好 \xff\xfe", "a\n\n b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens := tokenize(text)
		require.Equal(t, text, strings.Join(tokens, ""))
		require.Len(t, tokens, countTokens(text))
	})
}
