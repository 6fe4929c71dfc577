package modeldata

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryBuiltInEntrySaysWhereItIsFrom(t *testing.T) {
	var f file
	require.NoError(t, decode(builtin, &f))
	require.False(t, f.Replace)
	require.NotEmpty(t, f.Models)
	for _, raw := range f.Models {
		var w written
		require.NoError(t, decode(raw, &w))
		require.NotEmpty(t, w.Source, w.Match)
		for _, address := range strings.Fields(w.Source) {
			require.Regexp(t, `^https://[a-z0-9.]+/`, address+"/", w.Match)
		}
		require.Regexp(t, `^2026-\d\d-\d\d$`, w.Date, w.Match)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &members))
		for _, about := range []string{"match", "dialects", "source", "date", "note"} {
			delete(members, about)
		}
		require.NotEmpty(t, members, "%s states nothing", w.Match)
	}
}

func TestEveryBuiltInPatternMatchesItself(t *testing.T) {
	for _, e := range Builtin().entries {
		for _, pattern := range e.patterns {
			name := strings.NewReplacer("*", "", "?", "-").Replace(pattern)
			require.True(t, matches(pattern, plainName(name)), pattern)
		}
	}
}

// What a model can be asked for must fit together, whatever entries it is made of.
func TestWhatIsKnownOfAModelFitsTogether(t *testing.T) {
	for _, e := range Builtin().entries {
		for _, pattern := range e.patterns {
			name := strings.NewReplacer("*", "", "?", "-").Replace(pattern)
			dialect := ""
			if len(e.dialects) > 0 {
				dialect = e.dialects[0]
			}
			m := Builtin().Find(dialect, name)
			require.NotZero(t, m, name)
			if m.Context > 0 && m.MaxOutput > 0 {
				require.Less(t, m.MaxOutput, m.Context, name)
			}
			requireReasoning(t, name, m.Reasoning)
		}
	}
}

func requireReasoning(t *testing.T, name string, r Reasoning) {
	t.Helper()
	switch r.Style {
	case StyleNone:
		require.Zero(t, r, name)
		return
	case StyleBudget:
		require.Empty(t, r.Words, name)
		for _, effort := range []string{"low", "medium", "high"} {
			require.Contains(t, r.Budgets, effort, name)
		}
	default:
		require.Empty(t, r.Budgets, name)
		for _, effort := range []string{"low", "medium", "high"} {
			require.Contains(t, r.Words, effort, name)
		}
	}
	for effort, budget := range r.Budgets {
		require.GreaterOrEqual(t, budget, r.Min, "%s %s", name, effort)
		if r.Max > 0 {
			require.LessOrEqual(t, budget, r.Max, "%s %s", name, effort)
		}
	}
	if r.Always {
		require.True(t, r.On, name)
		require.True(t, len(r.Words) == 0 || r.Words["none"] != "", name)
		require.True(t, len(r.Budgets) == 0 || r.Budgets["none"] != 0, name)
	}
}

func TestWhatIsKnownOfSomeModels(t *testing.T) {
	f := func(dialect, model string, context, output int64, style string, has, refuses string) {
		t.Helper()
		m := Builtin().Find(dialect, model)
		require.Equal(t, context, m.Context, model)
		require.Equal(t, output, m.MaxOutput, model)
		require.Equal(t, style, m.Reasoning.Style, model)
		require.Equal(t, has, strings.Join(m.Traits, " "), model)
		for _, member := range strings.Fields(refuses) {
			require.True(t, m.Refused(member), "%s %s", model, member)
		}
		if refuses == "" {
			require.Empty(t, m.Refuses, model)
		}
	}
	f("anthropic", "claude-3-opus-20240229", 200_000, 4096, "", "", "")
	f("anthropic", "claude-3-5-haiku-latest", 200_000, 8192, "", "", "")
	f("anthropic", "claude-3-7-sonnet-20250219", 200_000, 64_000, "budget", "", "")
	f("anthropic", "claude-sonnet-4-20250514", 200_000, 64_000, "budget", "", "")
	f("anthropic", "claude-opus-4-20250514", 200_000, 32_000, "budget", "", "")
	f("anthropic", "claude-opus-4-1-20250805", 200_000, 32_000, "budget", "temperature_or_top_p", "")
	f("anthropic", "claude-haiku-4-5-20251001", 200_000, 64_000, "budget", "json_schema temperature_or_top_p", "")
	f("anthropic", "claude-opus-4-6", 1_000_000, 128_000, "adaptive", "json_schema temperature_or_top_p no_prefill", "")
	f("anthropic", "claude-opus-4-8", 1_000_000, 128_000, "adaptive", "json_schema no_prefill", "temperature top_p top_k")
	f("anthropic", "claude-opus-5", 1_000_000, 128_000, "adaptive", "json_schema no_prefill", "temperature")
	f("anthropic", "claude-opus-5-5", 1_000_000, 128_000, "adaptive", "json_schema no_prefill no_forced_tools bound_thoughts", "top_p")
	f("bedrock", "global.anthropic.claude-fable-5-1", 1_000_000, 128_000, "adaptive", "json_schema no_prefill no_forced_tools bound_thoughts", "temperature")

	f("gemini", "gemini-2.0-flash-001", 1_048_576, 8192, "", "json_schema openapi_schemas", "")
	f("gemini", "models/gemini-2.5-pro", 1_048_576, 65_535, "budget", "json_schema", "frequency_penalty presence_penalty")
	f("gemini", "gemini-2.5-flash-preview-09-2025", 1_048_576, 65_535, "budget", "json_schema", "frequency_penalty")
	f("gemini", "gemini-2.5-flash-image", 0, 0, "", "", "presence_penalty")
	f("gemini", "gemini-3-pro-preview", 1_048_576, 65_536, "level", "json_schema thought_signatures", "frequency_penalty")
	f("gemini", "gemini-3.8-flash", 1_048_576, 65_536, "level", "json_schema thought_signatures no_prefill", "presence_penalty")
	f("gemini", "gemini-3-pro-image-preview", 0, 0, "level", "json_schema thought_signatures", "frequency_penalty")
	f("gemini", "gemini-4-carbon", 1_048_576, 65_536, "level", "json_schema thought_signatures no_prefill", "frequency_penalty presence_penalty n")
	f("gemini", "models/gemini-flash-latest", 1_048_576, 65_536, "level", "json_schema thought_signatures", "frequency_penalty")

	f("openai", "gpt-4o-mini-2024-07-18", 128_000, 16_384, "", "json_schema", "")
	f("openai", "gpt-4.1-nano", 1_047_576, 32_768, "", "json_schema", "")
	f("openai", "o4-mini", 200_000, 100_000, "effort", "json_schema", "max_tokens temperature stop")
	f("openai", "gpt-5-2025-08-07", 400_000, 128_000, "effort", "json_schema", "temperature logprobs")
	f("openai", "gpt-5.2", 400_000, 128_000, "effort", "json_schema", "max_tokens")
	f("openai", "gpt-5-chat-latest", 0, 0, "", "", "")

	f("cohere", "command-a-03-2025", 256_000, 8000, "", "", "")
	f("ollama", "gpt-oss:20b", 0, 0, "level", "", "")
	f("openai", "gpt-oss:20b", 0, 0, "", "", "")
	f("bedrock", "us.amazon.nova-2-lite-v1:0:256k", 1_000_000, 0, "effort", "", "")
}

func TestExceptionsComeAfterTheFamily(t *testing.T) {
	f := func(model, effort, want string) {
		t.Helper()
		require.Equal(t, want, Builtin().Find("", model).Reasoning.Words[effort])
	}
	f("claude-opus-4-6", "xhigh", "high")
	f("claude-opus-4-7", "xhigh", "xhigh")
	f("claude-opus-5", "none", "")
	f("claude-opus-5-5", "none", "low")
	f("gemini-3-pro-preview", "medium", "high")
	f("gemini-3.1-pro-preview", "medium", "medium")
	f("gemini-3.1-pro-preview", "minimal", "low")
	f("gemini-3-flash-preview", "minimal", "minimal")
	f("gemini-3.6-flash", "minimal", "minimal")
	f("gemini-3.8-flash", "minimal", "low")
	f("gemini-3.1-flash-lite", "low", "low")
	f("gemini-3.1-flash-lite-image", "low", "minimal")
	f("gemini-4-argon", "xhigh", "high")
	f("gemini-4-neon", "xhigh", "xhigh")
	f("gpt-5", "none", "minimal")
	f("gpt-5.1", "none", "none")
	f("gpt-5-pro", "low", "high")

	require.Equal(t, "between_tools", Builtin().Find("", "claude-sonnet-5-5").Reasoning.Off)
	require.True(t, Builtin().Find("", "gemini-2.5-pro").Reasoning.Always)
	require.False(t, Builtin().Find("", "gemini-2.5-flash").Reasoning.Always)
	require.False(t, Builtin().Find("", "gemini-2.5-flash-lite").Reasoning.On)
	require.False(t, Builtin().Find("", "gpt-6-sol").Reasoning.Always)
}

func TestNothingIsKnownOfOtherModels(t *testing.T) {
	for _, model := range []string{"", "claude", "claude-opus-6", "gemini", "gpt-7", "mistral-large", "llama3.3", "/", "@", ".", "...", "a/b/c.d@e"} {
		require.Zero(t, Builtin().Find("anthropic", model), model)
	}
}

var jsonBlock = regexp.MustCompile("(?s)\n```json\n(.*?)\n```")

func TestTheExampleOfTheDocumentationLoads(t *testing.T) {
	page, err := os.ReadFile("../docs/model-data.md")
	require.NoError(t, err)
	examples := jsonBlock.FindAllStringSubmatch(string(page), -1)
	require.Len(t, examples, 1)
	table := load(t, examples[0][1])
	require.Equal(t, int64(256_000), table.Find("anthropic", "claude-opus-9-20990101").MaxOutput)
	require.Equal(t, int64(40_960), table.Find("ollama", "my-org/assistant").Context)
	require.Zero(t, table.Find("openai", "my-org/assistant"))
	require.NotZero(t, table.Find("anthropic", "claude-opus-5"))

	for _, words := range [][]string{styles[1:], traits, efforts} {
		for _, word := range words {
			require.Contains(t, string(page), fmt.Sprintf("`%s`", word))
		}
	}
}
