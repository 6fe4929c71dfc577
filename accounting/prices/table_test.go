package prices

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// found is the input price that applies to a short request, in whole dollars; -1 if none.
func found(t *Table, s Subject) int64 {
	p := t.Price(s, usage(1).Input)
	if p == nil {
		return -1
	}
	return int64(p.Input / usd)
}

func priced(dollars Rate, p Price) Price {
	p.Input, p.Output = dollars*usd, dollars*usd
	return p
}

func TestTheMostSpecificPriceApplies(t *testing.T) {
	f := func(layers [][]Price, s Subject, want int64) {
		t.Helper()
		require.Equal(t, want, found(New(layers...), s))
	}
	s := Subject{Provider: "mine", Vendor: "azure", Model: "GPT-4o-2024-08-06"}
	one := func(prices ...Price) [][]Price { return [][]Price{prices} }

	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Model: "gpt-4o-2024-08-06"})), s, 2)
	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Model: "gpt-4o-2024-*"})), s, 2)
	f(one(priced(1, Price{Model: "gpt-4o-2024-08-06"}), priced(2, Price{Model: "gpt-4o-2024-08*"})), s, 1)
	f(one(priced(1, Price{Model: "gpt-*"}), priced(2, Price{Model: "gpt-4o*"}), priced(3, Price{Model: "*"})), s, 2)
	f(one(priced(1, Price{Model: "*-08-06"})), s, 1)
	f(one(priced(1, Price{Model: "*2024*"})), s, 1)
	f(one(priced(1, Price{Model: "*2025*"})), s, -1)
	f(one(priced(1, Price{Model: "gpt-4o"})), s, 1)

	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Vendor: "openai", Model: "gpt-4o"}), priced(3, Price{Vendor: "azure", Model: "gpt-4o"}), priced(4, Price{Provider: "mine", Model: "gpt-4o"})), s, 4)
	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Vendor: "openai", Model: "gpt-4o"}), priced(3, Price{Vendor: "azure", Model: "gpt-4o"}), priced(4, Price{Provider: "other", Model: "gpt-4o"})), s, 3)
	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Vendor: "openai", Model: "gpt-4o"})), s, 2)
	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Vendor: "groq", Model: "gpt-4o"})), s, 1)
	f(one(priced(1, Price{Vendor: "groq", Provider: "mine", Model: "gpt-4o"})), s, -1)
	f(one(priced(1, Price{Provider: "mine", Model: "*"}), priced(2, Price{Vendor: "openai", Model: "gpt-4o-2024-08-06"})), s, 2)
	f(one(priced(1, Price{Model: "gpt-4o"}), priced(2, Price{Model: "GPT-4O"})), s, 1) // the first

	// An earlier layer goes first, even with a pattern.
	f([][]Price{{priced(1, Price{Model: "*"})}, {priced(2, Price{Model: "gpt-4o-2024-08-06"})}}, s, 1)
	f([][]Price{{priced(1, Price{Provider: "other", Model: "*"})}, {priced(2, Price{Model: "gpt-4o"})}}, s, 2)
	f([][]Price{nil, {}, {priced(2, Price{Model: "gpt-4o"})}}, s, 2)
	f(nil, s, -1)
}

func TestAModelIsFoundUnderItsOtherNames(t *testing.T) {
	table := New(Builtin())
	f := func(vendor, model, want string) {
		t.Helper()
		found := table.Find(Subject{Vendor: vendor, Model: model})
		if want == "" {
			require.Empty(t, found, "%s at %s", model, vendor)
			return
		}
		require.NotEmpty(t, found, "%s at %s", model, vendor)
		require.Equal(t, want, found[0].Vendor+" "+found[0].Model)
	}
	f("openai", "gpt-4o-2024-08-06", "openai gpt-4o")
	f("openai", "gpt-4o-2024-05-13", "openai gpt-4o-2024-05-13")
	f("openai", "gpt-4o-latest", "openai gpt-4o")
	f("azure", "gpt-4o", "openai gpt-4o")
	f("openai-regional", "gpt-4o", "openai gpt-4o")
	f("openai-regional", "gpt-5.4", "openai-regional gpt-5.4")
	f("anthropic", "claude-sonnet-4-5-20250929", "anthropic claude-sonnet-4-5")
	f("vertex", "claude-haiku-4-5@20251001", "anthropic claude-haiku-4-5")
	f("vertex", "claude-opus-4-6@default", "anthropic claude-opus-4-6")
	f("vertex-regional", "claude-opus-4-6@default", "anthropic-regional claude-opus-4-6")
	f("vertex", "publishers/google/models/gemini-2.5-pro", "google gemini-2.5-pro")
	f("vertex-regional", "gemini-2.5-pro", "google gemini-2.5-pro")
	f("vertex-regional", "gemini-3.5-flash", "google-regional gemini-3.5-flash")
	f("google", "models/gemini-2.5-flash-001", "google gemini-2.5-flash")
	f("google", "gemini-embedding-001", "google gemini-embedding-001")
	f("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic claude-sonnet-4-5")
	f("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic claude-sonnet-4-5")
	f("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic-regional claude-sonnet-4-5")
	f("bedrock", "eu.anthropic.claude-opus-4-1-20250805-v1:0", "anthropic claude-opus-4-1")
	f("bedrock", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-5", "anthropic-regional claude-opus-5-5")
	f("bedrock", "us-gov.anthropic.claude-opus-5-5", "")
	f("groq", "openai/gpt-oss-120b", "groq openai/gpt-oss-120b")
	f("sim", "anything/at:all", "sim *")

	// Never another family or another seller.
	f("openai", "gpt-4", "openai gpt-4")
	f("openai", "gpt-4-0613", "openai gpt-4-0613")
	for _, model := range []string{
		"gpt-4-0125-preview", "gpt-4o-audio", "gpt-4o-mini-tts", "gpt-4o-search-preview", "gpt-4.5", "gpt-4-32k", "gpt-5.1-codex-mini",
		"ft:gpt-4o-2024-08-06:acme::abc", "gpt", "", "chatgpt-4o-latest", "o1-mini", "o1-pro",
	} {
		f("openai", model, "")
	}
	f("anthropic", "claude-sonnet-4-20250514", "")
	f("anthropic", "claude-opus-4", "")
	f("openrouter", "openai/gpt-4o", "")
	f("groq", "gpt-4o", "")
	f("", "gpt-4o", "")
	f("mistral", "mistral-large-2411", "")
	f("google", "gemini-2.5-flash-image", "")
}

func TestServiceTiersHaveTheirOwnPrices(t *testing.T) {
	table := New(
		[]Price{priced(9, Price{Provider: "mine", Model: "m", ServiceTier: "Fast"})},
		[]Price{
			priced(1, Price{Model: "m"}), priced(2, Price{Vendor: "openai", Model: "m", ServiceTier: "flex"}),
			priced(3, Price{Model: "m", ServiceTier: "batch"}),
		})
	f := func(provider, vendor, tier string, want int64) {
		t.Helper()
		require.Equal(t, want, found(table, Subject{Provider: provider, Vendor: vendor, Model: "m", ServiceTier: tier}))
	}
	for _, normal := range []string{"", "default", "standard", "auto", "on_demand", "Standard"} {
		f("p", "openai", normal, 1)
	}
	f("p", "openai", "flex", 2)
	f("p", "openai-regional", "flex", 2)
	f("p", "azure", "flex", 2)
	f("p", "openai", "batch", 3)
	f("p", "openai", "batches", 3)
	f("p", "openai", "priority", -1) // it has a price, and not this one
	f("p", "anthropic", "priority", -1)
	f("p", "vertex-regional", "flex", -1)
	f("p", "deepseek", "priority", 1) // no prices for tiers are known of it
	f("p", "", "flex", 1)
	f("mine", "openai", "priority", 9) // the same there
	f("mine", "anthropic", "fast", 9)
	f("mine", "anthropic", "priority", -1)
}

func TestThePriceForTheSizeOfTheRequestApplies(t *testing.T) {
	f := func(layers [][]Price, input, want int64) {
		t.Helper()
		p := New(layers...).Price(Subject{Model: "m"}, usage(input).Input)
		if want < 0 {
			require.Nil(t, p)
			return
		}
		require.NotNil(t, p)
		require.Equal(t, want, int64(p.Input/usd))
	}
	sizes := [][]Price{{
		priced(2, Price{Model: "m", AboveInput: 100}), priced(1, Price{Model: "m"}), priced(3, Price{Model: "m", AboveInput: 1000}),
	}}
	f(sizes, 100, 1)
	f(sizes, 101, 2)
	f(sizes, 1000, 2)
	f(sizes, 1001, 3)
	f(sizes, -1, 1)
	// A layer that has a price of its own for every size hides the sizes behind it.
	f([][]Price{{priced(9, Price{Model: "m"})}, sizes[0]}, 1001, 9)
	f([][]Price{{priced(9, Price{Model: "m", AboveInput: 500})}, sizes[0]}, 1001, 9)
	f([][]Price{{priced(9, Price{Model: "m", AboveInput: 500})}, sizes[0]}, 200, 2)
	f([][]Price{{priced(9, Price{Model: "m", AboveInput: 500})}}, 501, 9)
	f([][]Price{{priced(9, Price{Model: "m", AboveInput: 500})}}, 500, -1)
}

func TestPricesChangeOnADay(t *testing.T) {
	table := New([]Price{
		priced(2, Price{Model: "m", From: "2027-01-01"}), priced(1, Price{Model: "m"}), priced(4, Price{Model: "m", From: "2027-06-01"}),
		priced(3, Price{Model: "m", AboveInput: 100, From: "2027-01-01"}),
		priced(5, Price{Model: "soon", From: "2027-01-01"}),
	})
	f := func(model, at string, input, want int64) {
		t.Helper()
		s := Subject{Model: model}
		if at != "" {
			var err error
			s.At, err = time.Parse(time.RFC3339, at)
			require.NoError(t, err)
		}
		p := table.Price(s, usage(input).Input)
		if want < 0 {
			require.Nil(t, p)
			return
		}
		require.NotNil(t, p)
		require.Equal(t, want, int64(p.Input/usd))
	}
	f("m", "", 1, 1)
	f("m", "2020-01-01T00:00:00Z", 1, 1)
	f("m", "2026-12-31T23:59:59Z", 1, 1)
	f("m", "2027-01-01T00:59:59+01:00", 1, 1)
	f("m", "2027-01-01T00:00:00Z", 1, 2)
	f("m", "2027-05-31T23:59:59Z", 1, 2)
	f("m", "2027-06-01T00:00:00Z", 1, 4)
	f("m", "2026-12-31T23:59:59Z", 101, 1)
	f("m", "2027-01-01T00:00:00Z", 101, 3)
	f("soon", "2026-12-31T23:59:59Z", 1, -1)
	f("soon", "2027-01-01T00:00:00Z", 1, 5)

	// Gemini 3.8 Flash is dearer from 2027 on, in every way: 100 * 750 + 10 * 3,750 and
	// 100 * 1,500 + 10 * 7,500.
	builtIn := New(Builtin())
	for _, vendor := range []string{"google", "vertex"} {
		for tier, times := range map[string]int64{"": 10, "flex": 5, "priority": 18} {
			s := Subject{Vendor: vendor, Model: "gemini-3.8-flash", ServiceTier: tier, At: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}
			before, ok := builtIn.Cost(s, usage(100, -1, -1, -1, 10))
			require.True(t, ok)
			require.Equal(t, 112_500*times/10, before)
			s.At = s.At.Add(24 * time.Hour)
			after, ok := builtIn.Cost(s, usage(100, -1, -1, -1, 10))
			require.True(t, ok)
			require.Equal(t, 2*before, after)
		}
	}
}

func TestFindTellsTheLayer(t *testing.T) {
	table := New([]Price{priced(1, Price{Model: "a"})}, []Price{priced(2, Price{Model: "b"})})
	require.Equal(t, []Found{{Price: priced(1, Price{Model: "a"})}}, table.Find(Subject{Model: "a"}))
	require.Equal(t, []Found{{Price: priced(2, Price{Model: "b"}), Layer: 1}}, table.Find(Subject{Model: "b"}))
}

func TestAnswersAreRememberedWithinBounds(t *testing.T) {
	table := New(Builtin())
	for i := range 3 * maxFound {
		require.Empty(t, table.Find(Subject{Vendor: "openai", Model: "made-up-" + strconv.Itoa(i)}))
		require.LessOrEqual(t, len(table.found), maxFound)
	}
	table = New(Builtin())
	table.Find(Subject{Vendor: "openai", Model: "gpt-4o-" + strings.Repeat("x", maxRemembered)})
	require.Empty(t, table.found)
	s, u := Subject{Provider: "p", Vendor: "openai", Model: "gpt-4o"}, usage(1, -1, -1, -1, 1)
	_, ok := table.Cost(s, u)
	require.True(t, ok)
	require.Len(t, table.found, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Cost(s, u) }))
}

func TestATableIsSafeForConcurrentUse(t *testing.T) {
	table := New(Builtin())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				table.Find(Subject{Vendor: "openai", Model: "model-" + strconv.Itoa(i*j)})
				_, ok := table.Cost(Subject{Vendor: "openai", Model: "gpt-4o"}, usage(1))
				require.True(t, ok)
			}
		})
	}
	all.Wait()
}

func TestPatterns(t *testing.T) {
	f := func(pattern, name string, want bool) {
		t.Helper()
		require.Equal(t, want, matches(pattern, name), "%s %s", pattern, name)
	}
	f("a", "a", true)
	f("a", "ab", false)
	f("a*", "a", true)
	f("a*", "ab", true)
	f("*a", "ba", true)
	f("*a", "ab", false)
	f("a*b*c", "aXbYbZc", true)
	f("a*b*c", "aXbYbZ", false)
	f("a*b*c", "abc", true)
	f("a*a", "a", false)
	f("**", "", true)
	f("*", "anything", true)
	f("", "", true)
	f("*b*", "aac", false)
}
