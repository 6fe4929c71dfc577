package accounting

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBasisSaysWhatTheTokensAreCountedWith(t *testing.T) {
	var e Estimator
	f := func(want string, models ...string) {
		t.Helper()
		for _, model := range models {
			require.Equal(t, want, e.Basis(model), model)
		}
	}

	f("o200k_base", "gpt-4o", "gpt-4o-mini-2024-07-18", "chatgpt-4o-latest", "gpt-4.1", "gpt-4.1-nano", "gpt-4.5-preview",
		"gpt-5", "gpt-5.2-2025-12-11", "gpt-5-chat-latest", "o1", "o3-mini", "o4-mini", "openai/gpt-4o", "ft:gpt-4o-mini:team::id",
		"openai.gpt-oss-20b-1:0", "gpt-oss:120b")
	f("cl100k_base", "gpt-4", "GPT-4", "gpt-4-turbo", "gpt-4-32k-0613", "gpt-3.5-turbo", "gpt-35-turbo",
		"text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002", "ft:gpt-3.5-turbo:team::id",
		"openai/gpt-4", "babbage-002")
	f("calibrated:claude", "claude-3-5-sonnet-20240620", "us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-3-7-sonnet@20250219",
		"databricks-claude-3-7-sonnet", "anthropic/claude-sonnet-4", "claude-opus-4-1-20250805")
	f("calibrated:claude-4.5", "claude-haiku-4-5", "anthropic/claude-sonnet-4.6", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
	f("calibrated:claude-next", "claude-opus-4-8", "us.anthropic.claude-sonnet-5", "claude-fable-5")
	f("calibrated:gemini", "gemini-2.5-pro", "models/gemini-3-flash-preview", "gemini-flash-latest")
	f("calibrated:gemini-2.0", "gemini-2.0-flash-001", "gemini-1.5-pro")
	f("calibrated:llama", "llama-3.3-70b-versatile", "@cf/meta/llama-3.3-70b-instruct-fp8-fast", "meta.llama3-8b-instruct-v1:0",
		"DeepSeek-R1-Distill-Llama-70B")
	f("calibrated:qwen", "Qwen/Qwen3-4B", "qwen3:4b", "qwq-32b", "qwen-max", "DeepSeek-R1-Distill-Qwen-32B")
	f("calibrated:qwen-xml", "Qwen/Qwen3.5-397B-A17B-FP8", "qwen3-coder-plus")
	f("calibrated:deepseek", "deepseek-chat", "deepseek-ai/DeepSeek-R1")
	f("calibrated:mistral", "mistral-large-latest", "ministral-3b-latest", "open-mixtral-8x7b", "codestral-latest")
	f("calibrated:glm", "zai-org/GLM-5.2", "glm-4.7-flash")
	f("assumed:o200k_base", "", "my-deployment", "marco-o1x", "facebook/opt-125m",
		"moonshotai/Kimi-K2-Instruct", "grok-4-fast", "command-a-03-2025", "us.amazon.nova-2-lite-v1:0")
}

func TestTheBestNameIsTheFirstThatTellsAFamily(t *testing.T) {
	require.Equal(t, "gpt-4o-2024-08-06", BestModelName("", "gpt-4o-2024-08-06", "prod"))
	require.Equal(t, "claude-sonnet-4", BestModelName("prod", "claude-sonnet-4"))
	require.Equal(t, "prod", BestModelName("prod", "test"))
	require.Empty(t, BestModelName())
}

func TestEveryFamilyCanBeReached(t *testing.T) {
	for i := range families {
		f := &families[i]
		require.NotEmpty(t, f.name)
		require.NotNil(t, f.vocabulary, f.name)
		reached := false
		for _, pattern := range f.models {
			name := pattern
			if pattern[0] == '*' {
				name = "maker/" + pattern[1:] + "x"
			}
			found, known := familyOf(name)
			require.True(t, known, name)
			reached = reached || found == f
		}
		require.True(t, reached, f.name)
	}
}

func TestHiddenReasoningIsToldAndNotInvented(t *testing.T) {
	var e Estimator
	shown := OutputText{Content: []byte("hello world"), TotalBytes: 11}
	summary := OutputText{Reasoning: []byte("hello world"), TotalBytes: 11}
	for _, model := range []string{"gpt-5-mini", "o3", "gpt-5.2", "gemini-2.5-flash", "grok-4"} {
		require.True(t, e.MayHideReasoning(model, shown), model)
	}
	for _, model := range []string{"gpt-4o", "gpt-oss-20b", "deepseek-reasoner", "qwen3", "unknown"} {
		require.False(t, e.MayHideReasoning(model, shown), model)
		require.False(t, e.MayHideReasoning(model, summary), model)
	}
	require.False(t, e.MayHideReasoning("claude-sonnet-4-5", shown))
	require.True(t, e.MayHideReasoning("claude-sonnet-4-5", summary), "Claude shows a summary of its thoughts")

	u := e.Estimate("gpt-5", "chat", []byte(`{"messages":[{"role":"user","content":"hi"}]}`), shown, Bounds{})
	require.False(t, u.OutputReasoning.Known, "nothing of it came, so nobody can count it")
}
