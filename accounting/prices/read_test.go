package prices

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nano makes a rate of units of 1e-9 USD.
func nano(n int64) *Rate { return (*Rate)(&n) }

func readFile(t testing.TB, name string) []Price {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	prices, err := Read(data)
	require.NoError(t, err)
	return prices
}

func TestLiteLLMsTable(t *testing.T) {
	const their = "LiteLLM's table"
	large := Price{Vendor: "openai", Model: "acme-large", Source: "https://acme.example/pricing"}
	large.Input, large.Output = 2_500_000_000, 10_000_000_000
	large.InputCached, large.InputAudio, large.OutputAudio = nano(1_250_000_000), nano(40_000_000_000), nano(80_000_000_000)
	batch := large.scaled(500, 500)
	batch.ServiceTier = "batch"
	priority := large.scaled(1700, 1700)
	priority.ServiceTier = "priority"

	long := Price{Vendor: "google", Model: "acme-long", Source: their, Input: 1_250_000_000, Output: 10_000_000_000, InputCached: nano(125_000_000)}
	flex := long.scaled(500, 500)
	flex.ServiceTier = "flex"
	above := long.scaled(2000, 1500)
	above.AboveInput = 200_000
	// Its output is not stated: that of flex.
	flexAbove := flex.scaled(2000, 1000)
	flexAbove.AboveInput = 200_000

	opus := Price{
		Vendor: "anthropic", Model: "acme-opus", Source: their, Input: 4_000_000_000, Output: 20_000_000_000,
		InputCacheWrite: nano(5_000_000_000), InputCacheWriteLong: nano(8_000_000_000), InputCached: nano(200_000_000),
	}
	opusThere := opus.scaled(1100, 1100)
	opusThere.Vendor = "anthropic-regional"
	opusFast := opus.scaled(2000, 2000)
	opusFast.ServiceTier = "fast"

	vertex := Price{Vendor: "vertex", Model: "acme-opus@20260101", Source: their, Input: 4_000_000_000, Output: 20_000_000_000}
	vertexThere := vertex.scaled(1100, 1100)
	vertexThere.Vendor = "vertex-regional"

	require.Equal(t, []Price{
		large, batch, priority, long, flex, above, flexAbove, opus, opusThere, opusFast, vertex, vertexThere,
		{Vendor: "bedrock", Model: "us.anthropic.acme-opus-v1:0", Source: their, Input: 4_400_000_000, Output: 22_000_000_000},
		{Vendor: "groq", Model: "openai/acme-oss", Source: their, Input: 150_000_000, Output: 600_000_000},
		{Vendor: "cohere", Model: "acme-embed", Source: their, Input: 120_000_000},
	}, readFile(t, "litellm.json"))
}

func TestModelsDevsTable(t *testing.T) {
	const their = "models.dev"
	long := Price{
		Vendor: "openai", Model: "acme-long", Source: their, Input: 10 * usd, Output: 50 * usd,
		InputCached: nano(int64(usd)), InputCacheWrite: nano(12_500_000_000),
	}
	fast := long.scaled(2000, 2000)
	fast.ServiceTier = "priority"
	above := long.scaled(2000, 1500)
	above.AboveInput = 272_000
	bedrock := Price{Vendor: "bedrock", Model: "us.anthropic.acme-opus-v1:0", Source: their, Input: 4_400_000_000, Output: 22 * usd}
	bedrockLong := bedrock.scaled(2000, 1500)
	bedrockLong.AboveInput = 200_000

	require.Equal(t, []Price{
		{
			Vendor: "openai", Model: "acme-large", Source: their, Date: "2026-05-01", Input: 2_500_000_000, Output: 10 * usd,
			InputCached: nano(1_250_000_000), OutputReasoning: nano(12_000_000_000),
			InputAudio: nano(40_000_000_000), OutputAudio: nano(80_000_000_000),
		},
		long, fast, above, bedrock, bedrockLong,
	}, readFile(t, "models.dev.json"))
}

func TestATableThatWasReadPrices(t *testing.T) {
	table := New(readFile(t, "litellm.json"), Builtin())
	f := func(s Subject, want int64) {
		t.Helper()
		cost, ok := table.Cost(s, usage(1_000_000, -1, -1, -1, 1_000_000))
		require.True(t, ok)
		require.Equal(t, want, cost)
	}
	f(Subject{Vendor: "azure", Model: "acme-large"}, 12_500_000_000)
	f(Subject{Vendor: "google", Model: "acme-long", ServiceTier: "flex"}, 1_250_000_000+5_000_000_000)
	f(Subject{Vendor: "vertex-regional", Model: "acme-opus@20260101"}, 26_400_000_000)
	f(Subject{Vendor: "bedrock", Model: "us.anthropic.acme-opus-v1:0"}, 26_400_000_000)
	f(Subject{Vendor: "bedrock", Model: "eu.anthropic.acme-opus-v1:0"}, 26_400_000_000)
	f(Subject{Vendor: "bedrock", Model: "global.anthropic.acme-opus-v1:0"}, 24_000_000_000)
	f(Subject{Vendor: "anthropic", Model: "acme-opus-20260101", ServiceTier: "fast"}, 48_000_000_000)
	f(Subject{Vendor: "groq", Model: "openai/acme-oss"}, 750_000_000)
}

func TestBadTablesAreRefusedByEntry(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		prices, err := Read([]byte(text))
		require.Nil(t, prices)
		require.EqualError(t, err, "reading prices: "+want, text)
	}
	const neither = "neither in the form of LiteLLM's table nor in that of models.dev"
	f(``, "not valid JSON")
	f(`{`, "not valid JSON")
	f(strings.Repeat(`[`, 1<<20), "not valid JSON")
	f(`[]`, neither)
	f(`{}`, neither)
	f(`"x"`, neither)
	f(`{"gpt-4o": 2.5}`, neither)
	f(`{"gpt-4o": {"input": 2.5}}`, neither)
	f(`{"a": {"litellm_provider": "openai"}}`, "no model in it has a price")
	f(`{"a": {"models": {}}}`, "no model in it has a price")

	one := func(member string) string {
		return `{"a": {"litellm_provider": "openai", "output_cost_per_token": 1e-06, ` + member + `}}`
	}
	f(one(`"input_cost_per_token": "2.5"`), `"a": "input_cost_per_token" must be a number, not a string`)
	f(one(`"input_cost_per_token": true`), `"a": "input_cost_per_token" must be a number, not a boolean`)
	f(one(`"input_cost_per_token": []`), `"a": "input_cost_per_token" must be a number, not an array`)
	f(one(`"input_cost_per_token": {}`), `"a": "input_cost_per_token" must be a number, not an object`)
	f(one(`"input_cost_per_token": -1`), `"a": "input_cost_per_token" is negative`)
	f(one(`"input_cost_per_token": 1.5`), `"a": "input_cost_per_token" is more than a dollar a token`)
	f(one(`"input_cost_per_token": 1e999`), `"a": "input_cost_per_token" is more than a dollar a token`)
	f(one(`"input_cost_per_token": 1e-6, "input_cost_per_token_above_200k_tokens": -1`),
		`"a": "input_cost_per_token_above_200k_tokens" is negative`)
	f(one(`"input_cost_per_token": 1e-6, "regional_endpoint_uplift_multiplier": "1.1"`),
		`"a": "regional_endpoint_uplift_multiplier" must be a factor from 0 to 100`)
	f(`{"acme": {"models": {"x": {"cost": {"input": "1", "output": -2}}}}}`,
		`"acme/x": "cost.input" must be a number, not a string; "acme/x": "cost.output" is negative`)

	var many strings.Builder
	many.WriteString(`{"acme": {"models": {"x": {}`)
	for i := range 12 {
		many.WriteString(`, "` + strings.Repeat("y", i+1) + `": {"cost": {"input": -1, "output": 1}}`)
	}
	_, err := Read([]byte(many.String() + `}}}`))
	require.ErrorContains(t, err, `"acme/yyyyyyyyyy": "cost.input" is negative; and 2 more`)
	_, err = Read([]byte(one(`"input_cost_per_token": -1`)[:1] + `"` + strings.Repeat("ä", 500) + one(`"input_cost_per_token": -1`)[2:]))
	require.ErrorContains(t, err, "ä...")
	require.Less(t, len(err.Error()), 200)
}

func TestPricesAreReadDigitByDigit(t *testing.T) {
	f := func(perToken string, want int64) {
		t.Helper()
		prices, err := Read([]byte(`{"a": {"litellm_provider": "openai", "input_cost_per_token": ` + perToken + `, "output_cost_per_token": 1e-6}}`))
		require.NoError(t, err)
		require.Equal(t, want, int64(prices[0].Input))
	}
	f("0.0000025", 2_500_000_000)
	f("2.5e-06", 2_500_000_000)
	f("3.4999999999999996e-07", 350_000_000)
	f("3.75e-08", 37_500_000)
	f("1.38e-7", 138_000_000)
	f("1e-15", 1)
	f("4e-16", 0)
	f("6e-16", 1)
	f("0.123456789012345", 123_456_789_012_345)
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"litellm.json", "models.dev.json"} {
		data, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"a": {"litellm_provider": "x", "input_cost_per_token": 1e-6, "output_cost_per_token": 0, "regional_endpoint_uplift_multiplier": 1e2}}`))
	f.Add([]byte(`{"": {"litellm_provider": "x", "input_cost_per_token": 0, "output_cost_per_token": 1}, "y/": {"litellm_provider": "y", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		prices, err := Read(data)
		if err != nil {
			require.Nil(t, prices)
			return
		}
		require.NotEmpty(t, prices)
		table := New(prices)
		for _, p := range prices[:min(len(prices), 20)] {
			require.NotEmpty(t, p.Vendor)
			require.NotEmpty(t, p.Model)
			require.GreaterOrEqual(t, p.AboveInput, int64(0))
			for _, rate := range []*Rate{&p.Input, &p.Output, p.InputCached, p.InputCacheWrite, p.InputCacheWriteLong, p.InputAudio, p.OutputReasoning, p.OutputAudio} {
				require.True(t, rate == nil || *rate >= 0)
			}
			s := Subject{Vendor: p.Vendor, Model: p.Model, ServiceTier: p.ServiceTier}
			cost, ok := table.Cost(s, usage(p.AboveInput+1, 1, 1, 1, 10, 1, 1))
			require.True(t, ok, "%+v", p)
			require.GreaterOrEqual(t, cost, int64(0))
		}
	})
}
