package prices

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVendorOfAProvider(t *testing.T) {
	f := func(dialect, platform, host, want string) {
		t.Helper()
		require.Equal(t, want, VendorOf(dialect, platform, host))
	}
	f("openai", "", "api.openai.com", "openai")
	f("openai", "", "API.OpenAI.com:443", "openai")
	f("openai", "", "eu.api.openai.com", "openai-regional")
	f("azure", "", "acme.openai.azure.com", "azure")
	f("openai", "", "acme.openai.azure.com", "azure")
	f("openai", "", "acme.services.ai.azure.com", "azure")
	f("azure", "", "gateway.internal", "azure")
	f("anthropic", "", "api.anthropic.com", "anthropic")
	f("anthropic", "", "", "anthropic")
	f("gemini", "", "", "google")
	f("gemini", "", "generativelanguage.googleapis.com", "google")
	f("cohere", "", "", "cohere")
	f("cohere", "", "api.cohere.com", "cohere")
	f("anthropic", "vertex", "aiplatform.googleapis.com", "vertex")
	f("gemini", "vertex", "europe-west4-aiplatform.googleapis.com", "vertex-regional")
	f("gemini", "vertex", "aiplatform.eu.rep.googleapis.com", "vertex-regional")
	f("gemini", "vertex", "gateway.internal", "vertex")
	f("openai", "", "us-central1-aiplatform.googleapis.com", "vertex-regional")
	f("bedrock", "", "bedrock-runtime.us-east-1.amazonaws.com", "bedrock")
	f("anthropic", "bedrock", "gateway.internal", "bedrock")
	f("openai", "", "bedrock-runtime.us-west-2.amazonaws.com", "bedrock")
	f("openai", "", "api.groq.com", "groq")
	f("openai", "", "openrouter.ai", "openrouter")
	f("openai", "", "api.together.xyz", "together")
	f("openai", "", "api.fireworks.ai", "fireworks")
	f("openai", "", "api.deepseek.com", "deepseek")
	f("anthropic", "", "api.deepseek.com", "deepseek")
	f("openai", "", "api.mistral.ai", "mistral")
	f("openai", "", "api.x.ai", "xai")
	f("openai", "", "dashscope-intl.aliyuncs.com", "alibaba")
	f("sim", "", "", "sim")

	for _, host := range []string{
		"localhost:8000", "127.0.0.1:11434", "[::1]:8000", "10.0.0.5", "vllm", "vllm.svc.cluster.local", "gateway.example.com",
		"notapi.openai.com.example.com", "evilapi.groq.com", "",
	} {
		f("openai", "", host, "")
	}
	f("ollama", "", "127.0.0.1:11434", "")
	f("anthropic", "", "gateway.example.com", "")
}

func TestDeepSeekIsDearerAtPeak(t *testing.T) {
	f := func(vendor, tier, at, want string) {
		t.Helper()
		when, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		require.Equal(t, want, TierAt(vendor, tier, when))
	}
	f("deepseek", "", "2026-11-20T00:59:59Z", "") // a Friday
	f("deepseek", "", "2026-11-20T01:00:00Z", TierPeak)
	f("deepseek", "default", "2026-11-20T03:59:59Z", TierPeak)
	f("deepseek", "", "2026-11-20T04:00:00Z", "")
	f("deepseek", "", "2026-11-20T06:00:00Z", TierPeak)
	f("deepseek", "", "2026-11-20T14:59:59+08:00", TierPeak)
	f("deepseek", "", "2026-11-20T10:00:00Z", "")
	f("deepseek", "", "2026-11-21T02:00:00Z", "") // a Saturday
	f("deepseek", "", "2026-11-22T02:00:00Z", "")
	f("deepseek", "flex", "2026-11-20T02:00:00Z", "flex")
	f("openai", "", "2026-11-20T02:00:00Z", "")

	table := New(Builtin())
	off, ok := table.Cost(Subject{Vendor: "deepseek", Model: "deepseek-flash"}, usage(100, -1, -1, -1, 10))
	require.True(t, ok)
	require.Equal(t, int64(100*150+10*600), off)
	peak, ok := table.Cost(Subject{Vendor: "deepseek", Model: "deepseek-flash", ServiceTier: TierPeak}, usage(100, -1, -1, -1, 10))
	require.True(t, ok)
	require.Equal(t, 2*off, peak)
	// An operator's own price holds around the clock.
	own := New([]Price{priced(1, Price{Model: "deepseek-flash"})})
	require.Equal(t, int64(1), found(own, Subject{Vendor: "deepseek", Model: "deepseek-flash", ServiceTier: TierPeak}))
}
