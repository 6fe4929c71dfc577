package prices

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// usage makes a usage of input, cached, written, audio, output, reasoning and output
// audio; less than 0 is absent.
func usage(counts ...int64) tokens.Usage {
	var u tokens.Usage
	for i, to := range []*tokens.Count{
		&u.Input, &u.InputCached, &u.InputCacheWrite, &u.InputAudio, &u.Output, &u.OutputReasoning, &u.OutputAudio,
	} {
		if i < len(counts) && counts[i] >= 0 {
			to.Set(counts[i])
		}
	}
	return u
}

func TestCostOfTheBuiltInModels(t *testing.T) {
	table := New(Builtin())
	f := func(s Subject, u tokens.Usage, want int64) {
		t.Helper()
		nano, ok := table.Cost(s, u)
		require.True(t, ok)
		require.Equal(t, want, nano)
	}
	openAI := func(model, tier string) Subject {
		return Subject{Provider: "p", Vendor: "openai", Model: model, ServiceTier: tier}
	}
	// gpt-4o-mini: 1,000 in at 0.15 USD/M = 1000 * 150 nano = 150,000;
	// 500 out at 0.60 USD/M = 500 * 600 = 300,000.
	f(openAI("gpt-4o-mini", ""), usage(1000, -1, -1, -1, 500), 450_000)
	f(openAI("gpt-4o-mini-2024-07-18", "default"), usage(1000, -1, -1, -1, 500), 450_000)
	// Of 1,000 in 400 cached at 0.075: 600 * 150 + 400 * 75 = 120,000; and 500 * 600.
	f(openAI("gpt-4o-mini", ""), usage(1000, 400, -1, -1, 500), 420_000)
	// Reasoning is charged as output: 10 out, 8 of them thoughts, at 8 USD/M = 10 * 8,000.
	f(openAI("o3", ""), usage(0, -1, -1, -1, 10, 8), 80_000)
	// o3 flex is half: 100 * 1,000 + 10 * 4,000.
	f(openAI("o3-2025-04-16", "flex"), usage(100, -1, -1, -1, 10), 140_000)
	// gpt-5-mini priority: 100 * 450 + 10 * 3,600.
	f(openAI("gpt-5-mini", "priority"), usage(100, -1, -1, -1, 10), 81_000)
	f(openAI("gpt-5-mini", "fast"), usage(100, -1, -1, -1, 10), 81_000)
	// gpt-audio: 40 text at 2.5 and 60 audio at 32; 5 text at 10 and 15 audio at 64:
	// 40 * 2,500 + 60 * 32,000 + 5 * 10,000 + 15 * 64,000 = 100,000 + 1,920,000 + 50,000 + 960,000.
	f(openAI("gpt-audio", ""), usage(100, -1, -1, 60, 20, -1, 15), 3_030_000)
	// Embeddings have no output: 7 * 20.
	f(openAI("text-embedding-3-small", ""), usage(7), 140)

	claude := Subject{Provider: "p", Vendor: "anthropic", Model: "claude-sonnet-4-5-20250929", ServiceTier: "standard"}
	// 1,000 in: 100 plain at 3, 600 cached at 0.30, 300 written at 3.75; 50 out at 15:
	// 100 * 3,000 + 600 * 300 + 300 * 3,750 + 50 * 15,000 = 300,000 + 180,000 + 1,125,000 + 750,000.
	f(claude, usage(1000, 600, 300, -1, 50), 2_355_000)
	// Of the 300 written 200 for an hour, at 6: 200 * 6,000 + 100 * 3,750 instead of 300 * 3,750.
	claude.LongCacheWrites = 200
	f(claude, usage(1000, 600, 300, -1, 50), 2_355_000+200*(6_000-3_750))
	// Fast mode of Opus 5.5 is twice 4 and 20: 10 * 8,000 + 10 * 40,000.
	f(Subject{Vendor: "anthropic", Model: "claude-opus-5-5", ServiceTier: "fast"}, usage(10, -1, -1, -1, 10), 480_000)

	// The simulator: 1,000 * 1,000 + 1,000 * 2,000.
	f(Subject{Vendor: "sim", Model: "whatever"}, usage(1000, -1, -1, -1, 1000), 3_000_000)
}

func TestLongRequestsHaveAPriceOfTheirOwn(t *testing.T) {
	table := New(Builtin())
	f := func(vendor, model string, u tokens.Usage, want int64) {
		t.Helper()
		nano, ok := table.Cost(Subject{Vendor: vendor, Model: model}, u)
		require.True(t, ok)
		require.Equal(t, want, nano)
	}
	// gemini-2.5-pro up to 200,000: 200,000 * 1,250 + 10 * 10,000.
	f("google", "gemini-2.5-pro", usage(200_000, -1, -1, -1, 10), 250_100_000)
	// Above, all of it: 200,001 * 2,500 + 10 * 15,000.
	f("google", "models/gemini-2.5-pro", usage(200_001, -1, -1, -1, 10), 500_152_500)
	// Cached tokens count for the size: 1 * 2,500 + 200,000 * 250 + 10 * 15,000.
	f("google", "gemini-2.5-pro", usage(200_001, 200_000, -1, -1, 10), 50_152_500)
	// Of an input that is not known it is not known that it was long: 10 * 10,000.
	f("google", "gemini-2.5-pro", usage(-1, -1, -1, -1, 10), 100_000)
	// Haiku 5.5 above 100,000: 100,001 * 500 + 10 * 2,500.
	f("anthropic", "claude-haiku-5-5", usage(100_001, -1, -1, -1, 10), 50_025_500)
	// gpt-6-sol above 272,000: 272,001 * 4,000 + 10 * 15,000.
	f("openai", "gpt-6-sol", usage(272_001, -1, -1, -1, 10), 1_088_154_000)
}

func TestPartsAreNeverMoreThanTheirWhole(t *testing.T) {
	cheap, dear := usd/10, 10*usd
	table := New([]Price{{
		Model: "m", Input: usd, Output: 2 * usd, InputCached: &cheap, InputCacheWrite: &dear, InputAudio: &dear,
		OutputReasoning: &dear, OutputAudio: &cheap,
	}})
	f := func(u tokens.Usage, want int64) {
		t.Helper()
		nano, ok := table.Cost(Subject{Model: "m"}, u)
		require.True(t, ok)
		require.Equal(t, want, nano)
	}
	f(usage(10, 20), 10*100)                           // cut to the 10 there are
	f(usage(10, 6, 6, 6), 6*100+4*10_000)              // written is cut to 4, audio to none
	f(usage(-1, 6, 1), 6*100+10_000)                   // no whole: as much as its parts
	f(usage(-1, -1, -1, -1, 10, 8, 8), 8*10_000+2*100) // audio is cut to 2
	f(usage(-1, -1, -1, -1, -1, 3), 3*10_000)
	f(usage(5), 5*1_000) // no output: that of the input
}

func TestNoPriceAndNoCount(t *testing.T) {
	table := New(Builtin())
	_, ok := table.Cost(Subject{Vendor: "openai", Model: "gpt-4o"}, tokens.Usage{})
	require.False(t, ok)
	_, ok = table.Cost(Subject{Vendor: "openai", Model: "gpt-99"}, usage(1))
	require.False(t, ok)
	_, ok = table.Cost(Subject{Vendor: "", Model: "gpt-4o"}, usage(1))
	require.False(t, ok)
	nano, ok := table.Cost(Subject{Vendor: "openai", Model: "gpt-4o"}, usage(0))
	require.True(t, ok)
	require.Zero(t, nano)
}

func TestRoundingIsDoneOnceAndToTheNearest(t *testing.T) {
	f := func(input, output Rate, u tokens.Usage, want int64) {
		t.Helper()
		nano, ok := New([]Price{{Model: "m", Input: input, Output: output}}).Cost(Subject{Model: "m"}, u)
		require.True(t, ok)
		require.Equal(t, want, nano)
	}
	f(499_999, 0, usage(1), 0)
	f(500_000, 0, usage(1), 1)
	f(499_999, 1, usage(1, -1, -1, -1, 1), 1) // 0.499999 + 0.000001
	f(1, 0, usage(1_499_999), 1)
}

func TestWhatDoesNotFitIsTheLargestNumber(t *testing.T) {
	most := Rate(math.MaxInt64)
	table := New([]Price{{
		Model: "m", Input: most, Output: most, InputCached: &most, OutputAudio: &most, OutputReasoning: &most,
	}})
	const many = math.MaxInt64
	for _, u := range []tokens.Usage{
		usage(many), usage(many, many/2, -1, -1, many, many/3, many/3), usage(many, -1, -1, -1, many), usage(-1, many, many, many),
	} {
		nano, ok := table.Cost(Subject{Model: "m", LongCacheWrites: many}, u)
		require.True(t, ok)
		require.Equal(t, int64(math.MaxInt64), nano)
	}
	nano, ok := table.Cost(Subject{Model: "m", LongCacheWrites: -5}, usage(-1, -1, -1, -1, 0))
	require.True(t, ok)
	require.Zero(t, nano)
	u := usage(5)
	u.Input.N, u.Output = -5, tokens.Known(math.MinInt64)
	nano, ok = table.Cost(Subject{Model: "m"}, u)
	require.True(t, ok)
	require.Zero(t, nano)
}

// TestCostIsExact compares with arithmetic that cannot round or overflow.
func TestCostIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rate := func() Rate { return Rate(random.Int64N(int64(1000 * usd))) }
	for range 2000 {
		cached, written, audio, reasoning, spoken := rate(), rate(), rate(), rate(), rate()
		p := Price{
			Model: "m", Input: rate(), Output: rate(), InputCached: &cached, InputCacheWrite: &written,
			InputAudio: &audio, OutputReasoning: &reasoning, OutputAudio: &spoken,
		}
		var c [7]int64
		for _, i := range []int{1, 2, 3, 5, 6} {
			c[i] = random.Int64N(1 << random.IntN(39))
		}
		c[0], c[4] = c[1]+c[2]+c[3]+random.Int64N(1<<38), c[5]+c[6]+random.Int64N(1<<38)
		sum := new(big.Int)
		for _, part := range []struct {
			n int64
			r Rate
		}{
			{c[1], cached},
			{c[2], written},
			{c[3], audio},
			{c[0] - c[1] - c[2] - c[3], p.Input},
			{c[5], reasoning},
			{c[6], spoken},
			{c[4] - c[5] - c[6], p.Output},
		} {
			sum.Add(sum, new(big.Int).Mul(big.NewInt(part.n), big.NewInt(int64(part.r))))
		}
		want := sum.Add(sum, big.NewInt(million/2)).Quo(sum, big.NewInt(million))
		got, ok := New([]Price{p}).Cost(Subject{Model: "m"}, usage(c[:]...))
		require.True(t, ok)
		require.Equal(t, want.String(), big.NewInt(got).String())
	}
}

// TestCostGrowsWithTheCounts: more of a whole never costs less, more of a part no less if
// the part is dearer than its whole and no more if it is cheaper, and nothing below 0.
func TestCostGrowsWithTheCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	cheap, dear, dearest := usd/7, 9*usd, 90*usd
	for _, parts := range []struct {
		rate  *Rate
		grows bool
	}{{&cheap, false}, {&dear, true}} {
		table := New([]Price{
			{Model: "m", Input: usd, Output: 2 * usd, InputCached: parts.rate, InputCacheWrite: parts.rate, InputAudio: parts.rate, OutputReasoning: parts.rate, OutputAudio: parts.rate},
			{Model: "m", AboveInput: 1 << 20, Input: 10 * usd, Output: 20 * usd, InputCached: &dearest, InputCacheWrite: &dearest, InputAudio: &dearest, OutputReasoning: &dearest, OutputAudio: &dearest},
		})
		cost := func(c []int64) int64 {
			nano, ok := table.Cost(Subject{Model: "m"}, usage(c...))
			require.True(t, ok)
			require.GreaterOrEqual(t, nano, int64(0))
			return nano
		}
		for range 4000 {
			c := make([]int64, 7)
			for i := range c {
				c[i] = random.Int64N(1 << (1 + random.IntN(40)))
			}
			before := cost(c)
			i := random.IntN(7)
			c[i] += random.Int64N(1 << (1 + random.IntN(40)))
			after := cost(c)
			whole := i == 0 || i == 4
			switch {
			case whole, parts.grows:
				require.GreaterOrEqual(t, after, before, "%v %d", c, i)
			case c[0] <= 1<<20:
				require.LessOrEqual(t, after, before, "%v %d", c, i)
			}
		}
	}
}

func TestRatesAreWrittenAsDollars(t *testing.T) {
	f := func(r Rate, want string) {
		t.Helper()
		require.Equal(t, want, r.String())
		b, err := json.Marshal(r)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	f(0, "0")
	f(usd, "1")
	f(150_000_000, "0.15")
	f(37_500_000, "0.0375")
	f(1, "0.000000001")
	f(12*usd+usd/2, "12.5")
}

func BenchmarkCost(b *testing.B) {
	table := New(nil, Builtin())
	s := Subject{Provider: "openai", Vendor: "openai", Model: "gpt-4o-mini-2024-07-18", ServiceTier: "default"}
	u := usage(1200, 1024, -1, -1, 300, 64)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := table.Cost(s, u); !ok {
				b.Fatal("no price")
			}
		}
	})
	b.Run("first time", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.look(question{s.Provider, s.Vendor, s.Model, s.ServiceTier})
		}
	})
}
