package modeldata

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// load is the table of an operator's file.
func load(t *testing.T, text string) *Table {
	t.Helper()
	path := filepath.Join(t.TempDir(), "models.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	table, err := Load(path)
	require.NoError(t, err)
	return table
}

func TestNamesAreStripped(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		require.Equal(t, want, plainName(name))
	}
	f("claude-opus-4-1", "claude-opus-4-1")
	f("gpt-4.1", "gpt-4.1")
	f("o3", "o3")
	f("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514")
	f("us-gov.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022")
	f("anthropic.claude-opus-4-6-v1", "claude-opus-4-6")
	f("anthropic.claude-opus-4-7", "claude-opus-4-7")
	f("amazon.nova-2-lite-v1:0:256k", "nova-2-lite")
	f("arn:aws:bedrock:eu-west-1:123:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001")
	f("openai.gpt-oss-120b-1:0", "gpt-oss-120b-1:0")
	f("anthropic/claude-3.7-sonnet", "claude-3.7-sonnet")
	f("models/gemini-2.5-pro", "gemini-2.5-pro")
	f("publishers/google/models/gemini-3-pro-preview", "gemini-3-pro-preview")
	f("claude-opus-4-1@20250805", "claude-opus-4-1")
	f("gpt-oss:20b", "gpt-oss:20b")
	f("deepseek-v3", "deepseek-v3")
	f("mistral-7b-instruct-v0.2", "mistral-7b-instruct-v0.2")
	f("claude-sonnet-4-v1:0", "claude-sonnet-4-v1:0")
	f("x.y-vv", "y-vv")
	f("x.y-v", "y-v")
	f("", "")
	f("a/", "")
}

func TestPatterns(t *testing.T) {
	f := func(pattern, name string, want bool) {
		t.Helper()
		require.Equal(t, want, matches(pattern, name), "%q %q", pattern, name)
	}
	f("", "", true)
	f("", "a", false)
	f("*", "", true)
	f("*", "anything/at all", true)
	f("gpt-5", "gpt-5", true)
	f("gpt-5", "gpt-5-mini", false)
	f("gpt-5*", "gpt-5-mini", true)
	f("gpt-5*", "gpt-4", false)
	f("claude-opus-4?6*", "claude-opus-4-6", true)
	f("claude-opus-4?6*", "claude-opus-4.6-fast", true)
	f("claude-opus-4?6*", "claude-opus-4-20250514", false)
	f("a*b*c", "aXbYbZc", true)
	f("a*b*c", "aXbYbZ", false)
	f("*b", "aab", true)
	f("*b*", "aac", false)
	f("?", "", false)
	f("a?", "ab", true)
	f("a**", "a", true)
	f("*a*a*a*a*a*b", strings.Repeat("a", 200), false)
}

func TestCaseDoesNotCount(t *testing.T) {
	table := load(t, `{"replace": true, "models": [{"match": "My-Model*", "context": 7}]}`)
	require.Equal(t, int64(7), table.Find("openai", "MY-mODEL-large").Context)
}

func TestLaterEntriesOverrideMembers(t *testing.T) {
	table := load(t, `{"replace": true, "models": [
		{"match": "a*", "context": 1, "max_output": 2, "refuses": ["n"], "traits": ["json_schema"],
		 "reasoning": {"style": "level", "words": {"low": "LOW"}, "on": true, "always": true, "off": "no", "min": 1, "max": 2, "budgets": {"low": 1}}},
		{"match": "ab*", "max_output": 3, "reasoning": {"words": {"high": "HIGH"}, "always": false}},
		{"match": "ab*", "dialects": ["gemini"], "traits": [], "reasoning": {"style": ""}}
	]}`)
	family := Model{
		Context: 1, MaxOutput: 2, Refuses: []string{"n"}, Traits: []string{"json_schema"},
		Reasoning: Reasoning{
			Style: "level", Min: 1, Max: 2, Budgets: map[string]int64{"low": 1}, Words: map[string]string{"low": "LOW"},
			On: true, Always: true, Off: "no",
		},
	}
	require.Equal(t, family, table.Find("openai", "a"))
	exception := family
	exception.MaxOutput, exception.Reasoning.Words, exception.Reasoning.Always = 3, map[string]string{"high": "HIGH"}, false
	require.Equal(t, exception, table.Find("openai", "abc"))
	exception.Traits, exception.Reasoning.Style = []string{}, ""
	require.Equal(t, exception, table.Find("gemini", "abc"))
	require.Equal(t, family, table.Find("openai", "a"), "an exception changes the family")
}

func TestAnOperatorsFileExtendsOrReplaces(t *testing.T) {
	builtIn := Builtin().Find("anthropic", "claude-opus-5")
	extended := load(t, `{"models": [{"match": "claude-opus-5", "max_output": 5}]}`).Find("anthropic", "claude-opus-5")
	require.Equal(t, int64(5), extended.MaxOutput)
	require.Equal(t, builtIn.Context, extended.Context)
	require.Equal(t, builtIn, Builtin().Find("anthropic", "claude-opus-5"))

	replaced := load(t, `{"models": [{"match": "claude-opus-5", "max_output": 5}], "replace": true}`)
	require.Equal(t, Model{MaxOutput: 5}, replaced.Find("anthropic", "claude-opus-5"))
	require.Zero(t, replaced.Find("openai", "gpt-4o"))
	require.Equal(t, Builtin().Find("openai", "gpt-4o"), load(t, `{}`).Find("openai", "gpt-4o"))
}

func TestBadFilesAreRefusedByName(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "models.json")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		table, err := Load(path)
		require.Nil(t, table)
		require.EqualError(t, err, "reading model data: "+path+": "+want, text)
	}
	f(``, `the JSON ends too early`)
	f(`{"models":[`, `the JSON ends too early`)
	f(`{"models":[]}{}`, `there is something behind the JSON`)
	f(`{"models":[]} x`, `there is something behind the JSON`)
	f(`[]`, `a JSON array where an object must be`)
	f(`{"models":[1]}`, `entry 1: a JSON number where an object must be`)
	f(`{"models":{}}`, `"models" cannot be a JSON object`)
	f(`{"modls":[]}`, `unknown member "modls"`)
	f(`{"models":[{"match":"a"},{"match":"b","contxt":1}]}`, `entry 2 ("b"): unknown member "contxt"`)
	f(`{"models":[{"match":"b","reasoning":{"stile":""}}]}`, `entry 1 ("b"): unknown member "stile"`)
	f(`{"models":[{"match":"b","context":"1"}]}`, `entry 1 ("b"): "context" cannot be a JSON string`)
	f(`{"models":[{"match":"b","context":1.5}]}`, `entry 1 ("b"): "context" cannot be a JSON number 1.5`)
	f(`{"models":[{"match":"b","reasoning":{"on":1}}]}`, `entry 1 ("b"): "reasoning.on" cannot be a JSON number`)
	f(`{"models":[{"context":1}]}`, `entry 1: "match" is missing`)
	f(`{"models":[{"match":" "}]}`, `entry 1 (" "): "match" is missing`)
	f(`{"models":[{"match":"b","context":-1}]}`, `entry 1 ("b"): "context" is negative`)
	f(`{"models":[{"match":"b","max_output":-1}]}`, `entry 1 ("b"): "max_output" is negative`)
	f(`{"models":[{"match":"b","date":"yesterday"}]}`, `entry 1 ("b"): "date" must be of the form 2006-01-31`)
	f(`{"models":[{"match":"b","dialects":[""]}]}`, `entry 1 ("b"): "dialects" has an empty name`)
	f(`{"models":[{"match":"b","refuses":[""]}]}`, `entry 1 ("b"): "refuses" has an empty name`)
	f(`{"models":[{"match":"b","reasoning":{"style":"hard"}}]}`,
		`entry 1 ("b"): "reasoning.style" has the unknown value "hard"; known are budget, adaptive, level, effort`)
	f(`{"models":[{"match":"b","reasoning":{"words":{"mid":"m"}}}]}`,
		`entry 1 ("b"): "reasoning.words" has the unknown value "mid"; known are none, minimal, low, medium, high, xhigh, max`)
	f(`{"models":[{"match":"b","reasoning":{"budgets":{"mid":1}}}]}`,
		`entry 1 ("b"): "reasoning.budgets" has the unknown value "mid"; known are none, minimal, low, medium, high, xhigh, max`)
	f(`{"models":[{"match":"b","reasoning":{"budgets":{"low":-1}}}]}`, `entry 1 ("b"): "reasoning.budgets.low" is negative`)
	f(`{"models":[{"match":"b","reasoning":{"min":-1}}]}`, `entry 1 ("b"): "reasoning.min" is negative`)
	f(`{"models":[{"match":"b","reasoning":{"max":-1}}]}`, `entry 1 ("b"): "reasoning.max" is negative`)
	f(`{"models":[{"match":"b","reasoning":{"min":2,"max":1}}]}`, `entry 1 ("b"): "reasoning.min" is larger than "reasoning.max"`)
	f(`{"models":[{"match":"b","traits":["clever"]}]}`,
		`entry 1 ("b"): "traits" has the unknown value "clever"; known are json_schema, temperature_or_top_p, thought_signatures, openapi_schemas, no_prefill, no_forced_tools, bound_thoughts`)

	_, err := Load(filepath.Join(t.TempDir(), "absent.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestANilTableKnowsNothing(t *testing.T) {
	var table *Table
	require.Zero(t, table.Find("openai", "gpt-4o"))
}

func TestAnswersAreRememberedWithinBounds(t *testing.T) {
	table := &Table{entries: Builtin().entries}
	for i := range 3 * maxFound {
		require.Zero(t, table.Find("openai", "made-up-"+strconv.Itoa(i)))
		require.LessOrEqual(t, len(table.found), maxFound)
	}
	table = &Table{entries: Builtin().entries}
	table.Find("openai", "gpt-4o-"+strings.Repeat("x", maxRemembered))
	require.Empty(t, table.found)
	require.NotZero(t, table.Find("openai", "gpt-4o"))
	require.Len(t, table.found, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Find("openai", "gpt-4o") }))
}

func TestATableIsSafeForConcurrentUse(t *testing.T) {
	table := &Table{entries: Builtin().entries}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				table.Find("openai", "model-"+strconv.Itoa(i*j))
				require.Equal(t, int64(128_000), table.Find("openai", "gpt-4o").Context)
			}
		})
	}
	all.Wait()
}

func BenchmarkFind(b *testing.B) {
	table := Builtin()
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.Find("anthropic", "us.anthropic.claude-sonnet-4-20250514-v1:0")
		}
	})
	b.Run("first time", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.look("anthropic", "us.anthropic.claude-sonnet-4-20250514-v1:0")
		}
	})
}
