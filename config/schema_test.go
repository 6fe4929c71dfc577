package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/config"
)

var update = flag.Bool("update", false, "write config.schema.json")

const (
	schemaFile  = "config.schema.json"
	exampleFile = "../config.yaml"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("config.schema.json", doc))
	schema, err := compiler.Compile("config.schema.json")
	require.NoError(t, err)
	return schema
}

// validate checks YAML text against the schema, as an editor would.
func validate(t *testing.T, schema *jsonschema.Schema, src []byte) error {
	t.Helper()
	var value any
	require.NoError(t, yaml.Unmarshal(src, &value))
	asJSON, err := json.Marshal(value)
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	return schema.Validate(instance)
}

func TestSchemaFileIsCurrent(t *testing.T) {
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, config.Schema(), 0o644))
	}
	committed, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, string(committed), string(config.Schema()), "run go generate ./config")
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	var schema map[string]any
	require.NoError(t, json.Unmarshal(config.Schema(), &schema))
	paths := schemaPaths(schema, "")
	require.Greater(t, len(paths), 40)
	for path, property := range paths {
		require.NotEmpty(t, property["description"], path)
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	f := func(src string) {
		t.Helper()
		require.Error(t, validate(t, schema, []byte(src)), src)
	}
	f("lisen: ':80'")
	f("half_close: maybe")
	f("timeouts: {idle: 5}")
	f("timeouts: {idle: 5 parsecs}")
	f("limits: {max_body: lots}")
	f("records: 0")
	f("records: ten")
	f("providers: [{name: a}]")
	f("providers: [{name: a, dialect: morse}]")
	f("providers: [{name: a, dialect: anthropic, platform: moon}]")
	f("providers: [{name: a, dialect: openai, quirks: [odd]}]")
	f("providers: [{name: a, dialect: openai, quirks: max_tokens}]")
	f("extensions: some")
	f("models: [{name: a, targets: []}]")
}

func TestSchemaAcceptsReferencesForEveryKindOfValue(t *testing.T) {
	src := `
half_close: ${HALF}
records: ${RECORDS:-5}
timeouts: {idle: "${IDLE}"}
limits: {max_body: "${BODY}"}
providers: [{name: "${N}", dialect: "${D}", include_usage: "${U}", api_key: "${file:/run/secrets/key}", platform: "${P}", quirks: ["${Q}"]}]
`
	require.NoError(t, validate(t, compileSchema(t), []byte(src)))
}

func TestExampleParsesAndRunsOnTheSimulator(t *testing.T) {
	c, err := config.Load(exampleFile, noEnvironment)
	require.NoError(t, err)
	require.Equal(t, []string{"sim"}, providerNames(c))
	require.Equal(t, config.OriginFile, c.Origin)
	require.Equal(t, ":8080", c.Listen)
}

func TestExampleIsValidUnderTheSchema(t *testing.T) {
	src := readExample(t)
	require.True(t, strings.HasPrefix(string(src), "# yaml-language-server: $schema=config/"+schemaFile+"\n"))
	require.NoError(t, validate(t, compileSchema(t), src))
	require.NoError(t, validate(t, compileSchema(t), switchedOn(src)))
}

func TestExampleMentionsEveryKey(t *testing.T) {
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal(switchedOn(readExample(t)), &doc))
	mentioned := map[string]bool{}
	yamlPaths(doc.Content[0], "", mentioned)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(config.Schema(), &schema))
	for path := range schemaPaths(schema, "") {
		found := mentioned[path]
		if quota, ok := cutQuota(path); ok { // one place is enough for what three have
			found = found || mentioned["keys[].limits."+quota]
		}
		require.True(t, found, "config.yaml does not mention %s", path)
	}
}

// The settings that are switched off must be right as well: only the files they
// name may be missing.
func TestExampleSwitchedOnHasNoOtherProblemThanMissingFiles(t *testing.T) {
	_, err := config.Parse(switchedOn(readExample(t)), "config.yaml", environment(map[string]string{
		"OPENAI_API_KEY": "sk-example", "ANTHROPIC_API_KEY": "sk-example", "GEMINI_API_KEY": "example",
		"COHERE_API_KEY": "example", "AZURE_OPENAI_API_KEY": "example", "ALICE_KEY_SHA256": strings.Repeat("a1", 32),
	}))
	var problems *config.Problems
	require.ErrorAs(t, err, &problems)
	for _, p := range problems.List {
		require.Contains(t, p.Message, "cannot be read", p.String())
	}
	require.Len(t, problems.List, 5)
}

func TestExampleShowsTheDefaults(t *testing.T) {
	src := readExample(t)
	kept := regexp.MustCompile(`(?m)^(|  )#((?:half_close|response_model|keep_alive|records|extensions|thought_memory|on_ledger_failure|spool|keep|capture|max_bytes|timeouts|limits|log|connect|first_token|idle|total|client_stall|drain|request_headers|request_body|max_body|max_header|max_answer|connections_per_ip|auth|retry|attempts|same_target|within|backoff|max_retry_after|budget|breaker|failures|open|queue|max|wait|level|format):)`).
		ReplaceAll(src, []byte("$1$2"))
	c, err := config.Parse(kept, "config.yaml", noEnvironment)
	require.NoError(t, err)
	shown, err := config.Parse(src, "config.yaml", noEnvironment)
	require.NoError(t, err)
	require.Equal(t, shown, c)
}

// cutQuota returns the member of a quota that path leads to.
func cutQuota(path string) (member string, ok bool) {
	for _, list := range []string{"providers", "models", "keys"} {
		if member, ok = strings.CutPrefix(path, list+"[].limits."); ok {
			return member, true
		}
	}
	return "", false
}

func readExample(t *testing.T) []byte {
	t.Helper()
	src, err := os.ReadFile(exampleFile)
	require.NoError(t, err)
	return src
}

var switchedOff = regexp.MustCompile(`(?m)^( *)#(\S)`)

// switchedOn removes the # of every setting that is switched off.
func switchedOn(src []byte) []byte { return switchedOff.ReplaceAll(src, []byte("$1$2")) }

// schemaPaths maps the path of every key, as in models[].name, to its schema.
func schemaPaths(schema map[string]any, path string) map[string]map[string]any {
	found := map[string]map[string]any{}
	if items, ok := schema["items"].(map[string]any); ok {
		for p, s := range schemaPaths(items, path+"[]") {
			found[p] = s
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		full := strings.TrimPrefix(path+"."+name, ".")
		found[full] = property.(map[string]any)
		for p, s := range schemaPaths(property.(map[string]any), full) {
			found[p] = s
		}
	}
	return found
}

func yamlPaths(n *yaml.Node, path string, found map[string]bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			full := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			found[full] = true
			yamlPaths(n.Content[i+1], full, found)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			yamlPaths(item, path+"[]", found)
		}
	}
}

func providerNames(c *config.Config) []string {
	var names []string
	for _, p := range c.Providers {
		names = append(names, p.Name)
	}
	return names
}

func environment(vars map[string]string) config.Getenv {
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func noEnvironment(string) (string, bool) { return "", false }
