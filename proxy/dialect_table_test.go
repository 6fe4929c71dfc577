package proxy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
)

var updateTable = flag.Bool("update-dialects", false, "write the table of docs/dialects.md anew")

// probes are what a client may ask for, each as members of a chat request.
var probes = []struct{ feature, members string }{
	{"system and developer messages", `"messages":[{"role":"system","content":"s"},{"role":"developer","content":"d"},{"role":"user","content":"x"}]`},
	{"images as data", user(`{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}`)},
	{"images by URL", user(`{"type":"image_url","image_url":{"url":"https://example.com/cat.png"}}`)},
	{"audio", user(`{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}`)},
	{"PDF files as data", user(`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}`)},
	{"files by id", user(`{"type":"file","file":{"file_id":"file-abc"}}`)},
	{"tool calls and their results", conversation},
	{"`tools`", tool},
	{"`tool_choice: none`", tool + `,"tool_choice":"none"`},
	{"`tool_choice: required`", tool + `,"tool_choice":"required"`},
	{"`tool_choice` of a function", tool + `,"tool_choice":{"type":"function","function":{"name":"f"}}`},
	{"`parallel_tool_calls: false`", tool + `,"parallel_tool_calls":false`},
	{"`response_format: json_object`", `"response_format":{"type":"json_object"}`},
	{"`response_format: json_schema`", `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false},"strict":true}}`},
	{"`reasoning_effort`", `"reasoning_effort":"low","max_completion_tokens":4000`},
	{"`max_tokens`, `max_completion_tokens`", `"max_tokens":100`},
	{"`temperature`", `"temperature":0.5`},
	{"`top_p`", `"top_p":0.5`},
	{"`frequency_penalty`", `"frequency_penalty":0.5`},
	{"`presence_penalty`", `"presence_penalty":0.5`},
	{"`stop`", `"stop":["a","b"]`},
	{"`n` above 1", `"n":2`},
	{"`seed`", `"seed":1`},
	{"`logprobs`", `"logprobs":true,"top_logprobs":2`},
	{"`logit_bias`", `"logit_bias":{"1":2}`},
	{"`user`", `"user":"u"`},
	{"`safety_identifier`", `"safety_identifier":"u"`},
	{"`service_tier`", `"service_tier":"flex"`},
	{"`metadata`", `"metadata":{"a":"b"}`},
	{"`store`", `"store":true`},
	{"`modalities` with audio", `"modalities":["text","audio"],"audio":{"voice":"a","format":"wav"}`},
	{"`prediction`", `"prediction":{"type":"content","content":"a"}`},
	{"`prompt_cache_key`", `"prompt_cache_key":"a"`},
	{"`prompt_cache_retention`", `"prompt_cache_retention":"24h"`},
	{"`verbosity`", `"verbosity":"low"`},
	{"`web_search_options`", `"web_search_options":{}`},
	{"`functions`, `function_call` (legacy)", `"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":"auto"`},
}

func user(part string) string { return `"messages":[{"role":"user","content":[` + part + `]}]` }

const (
	tool         = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]`
	conversation = tool + `,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"y"}]`
)

// becomes is what one dialect makes of a probe.
func becomes(t *testing.T, d translate.Dialect, members string) string {
	body := `{"model":"m"`
	if !strings.Contains(members, `"messages"`) {
		body += `,"messages":[{"role":"user","content":"x"}]`
	}
	chat, err := translate.ParseChat([]byte(body + "," + members + "}"))
	require.Nil(t, err, members)
	c := &translate.Context{Model: "m", N: chat.N}
	switch _, err = d.Request(c, chat); {
	case err != nil:
		require.Contains(t, []string{translate.CodeUnsupported, translate.CodeInvalidType}, err.Code)
		require.NotEmpty(t, err.Param, "a refusal must name the member")
		return "refused"
	case len(c.Warnings) > 0:
		return "dropped"
	}
	return "translated"
}

// The table of the documentation says what becomes of everything that a client can ask
// for, as the code has it for a model of which nothing is known.
func TestTableOfDialectsIsTrue(t *testing.T) {
	names := slices.Sorted(maps.Keys(dialects))
	var b strings.Builder
	fmt.Fprintf(&b, "| | openai, azure | %s |\n|---|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, p := range probes {
		fmt.Fprintf(&b, "| %s | passed |", p.feature)
		for _, name := range names {
			fmt.Fprintf(&b, " %s |", becomes(t, dialects[name], p.members))
		}
		b.WriteByte('\n')
	}
	const page, begin, end = "../docs/dialects.md", "<!-- table -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	have, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *updateTable {
		require.NoError(t, os.WriteFile(page, []byte(before+begin+b.String()+end+after), 0o644))
		return
	}
	require.Equal(t, b.String(), have, "go test ./proxy -run TestTableOfDialects -update-dialects writes it")
}

// No dialect forgets a member of a chat request.
func TestEveryDialectHasARuleForEveryMember(t *testing.T) {
	for name, d := range dialects {
		rules := d.Rules()
		for _, member := range translate.ChatMembers {
			require.NotZero(t, rules[member], "%s has no rule for %s", name, member)
		}
		require.Len(t, rules, len(translate.ChatMembers), name)
	}
}
