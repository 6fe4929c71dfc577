package pricer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/modeldata"
)

const providers = `
providers:
  - {name: main, dialect: openai, base_url: "https://api.openai.com/v1", api_key: k}
  - {name: claude, dialect: anthropic, api_key: k}
  - {name: gemini, dialect: gemini, api_key: k}
  - {name: seek, dialect: openai, base_url: "https://api.deepseek.com", api_key: k}
  - {name: own, dialect: openai, base_url: "http://127.0.0.1:8000/v1"}
  - {name: sim, dialect: sim}
`

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(text), "config.yaml", func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return cfg
}

func newPricer(t testing.TB, text string) *Pricer {
	t.Helper()
	p, err := New(parse(t, text), nil)
	require.NoError(t, err)
	return p
}

// record is one of 1,000 tokens in and 100 out.
func record(provider, model string) *accounting.Record {
	return &accounting.Record{
		Start:    time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Provider: provider, ModelServed: model, Outcome: accounting.OutcomeCompleted, UsageSource: accounting.SourceReported,
		MayBill: accounting.MayBillFull, Usage: tokens.Usage{Input: tokens.Known(1000), Output: tokens.Known(100)},
	}
}

// costs are the cost of a record and its bounds; -1 is absent.
func costs(r *accounting.Record) [3]int64 {
	all := [3]int64{-1, -1, -1}
	for i, n := range []*int64{r.CostNanoUSD, r.CostLowNanoUSD, r.CostHighNanoUSD} {
		if n != nil {
			all[i] = *n
		}
	}
	return all
}

func TestARecordGetsItsCost(t *testing.T) {
	p := newPricer(t, providers)
	f := func(r *accounting.Record, want ...int64) {
		t.Helper()
		p.Price(r)
		if len(want) == 1 {
			want = []int64{want[0], want[0], want[0]}
		}
		require.Equal(t, want, func() []int64 { c := costs(r); return c[:] }())
	}
	// gpt-4o-mini: 1,000 * 150 + 100 * 600.
	f(record("main", "gpt-4o-mini"), 210_000)
	f(record("main", "gpt-4o-mini-2024-07-18"), 210_000)
	f(record("claude", "claude-sonnet-4-6"), 4_500_000) // 1,000 * 3,000 + 100 * 15,000
	f(record("sim", "fast"), 1_200_000)
	f(record("main", "gpt-99"), -1)
	f(record("own", "gpt-4o-mini"), -1)
	f(record("gone", "gpt-4o-mini"), -1)

	flex := record("main", "o3")
	flex.ServiceTier = "flex"
	f(flex, 1_400_000) // 1,000 * 1,000 + 100 * 4,000
	flex.ServiceTier = "scale"
	f(flex, -1)

	peak := record("seek", "deepseek-flash")
	f(peak, 210_000) // a Saturday: 1,000 * 150 + 100 * 600
	peak.Start = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	f(peak, 420_000)

	later := record("gemini", "gemini-3.8-flash")
	f(later, 1000*750+100*3750)
	later.Start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	f(later, 1000*1500+100*7500)

	// What could not run costs nothing, whatever its price is.
	none := record("main", "gpt-99")
	none.Outcome, none.UsageSource, none.MayBill = accounting.OutcomeUpstreamError, accounting.SourceNone, accounting.MayBillNone
	none.Usage = tokens.Usage{}
	f(none, 0)
	// Nothing is known of it, and it may have run.
	none.MayBill = accounting.MayBillUnknown
	f(none, -1)
}

func TestACutAnswerHasARange(t *testing.T) {
	p := newPricer(t, providers)
	f := func(model, mayBill string, maxOutput int64, low, high int64) {
		t.Helper()
		r := record("main", model)
		r.Outcome, r.UsageSource, r.MayBill = accounting.OutcomeClientGone, accounting.SourceEstimated, mayBill
		r.OutputLimit = maxOutput
		p.Price(r)
		require.Equal(t, [3]int64{210_000, low, high}, costs(r))
	}
	f("gpt-4o-mini", accounting.MayBillNone, 0, 0, 0)
	f("gpt-4o-mini", accounting.MayBillPartial, 0, 210_000, 210_000)
	f("gpt-4o-mini", accounting.MayBillFull, 500, 210_000, 450_000) // 1,000 * 150 + 500 * 600
	f("gpt-4o-mini", accounting.MayBillUnknown, 500, 0, 450_000)
	// The model's maximum is 16,384: 1,000 * 150 + 16,384 * 600.
	f("gpt-4o-mini", accounting.MayBillFull, 0, 210_000, 9_980_400)

	settled := record("main", "gpt-4o-mini")
	settled.Outcome, settled.MayBill = accounting.OutcomeClientGone, accounting.MayBillUnknown
	settled.OutputLimit = 500
	p.Price(settled)
	require.Equal(t, [3]int64{210_000, 210_000, 210_000}, costs(settled), "the provider has said what it was")

	p.known = nil
	unbounded := record("main", "gpt-4o-mini")
	unbounded.Outcome, unbounded.UsageSource = accounting.OutcomeCrash, accounting.SourceRunning
	p.Price(unbounded)
	require.Equal(t, [3]int64{210_000, 210_000, -1}, costs(unbounded))
}

func TestWhatOnlyTheProvidersUsageSays(t *testing.T) {
	p := newPricer(t, providers)
	f := func(provider, raw string, want int64) {
		t.Helper()
		r := record(provider, "claude-opus-5-5")
		r.Usage.InputCacheWrite = tokens.Known(400)
		r.RawUsage = json.RawMessage(raw)
		p.Price(r)
		require.Equal(t, [3]int64{want, want, want}, costs(r))
	}
	// 600 * 4,000 + 400 * 5,000 + 100 * 20,000.
	const plain = 6_400_000
	f("claude", ``, plain)
	f("claude", `{"service_tier": "standard", "inference_geo": "global", "speed": "standard"}`, plain)
	f("claude", `{"cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 300}}`, plain+300*(8_000-5_000))
	f("claude", `{"cache_creation": {"ephemeral_1h_input_tokens": 9000}}`, plain+400*(8_000-5_000))
	f("claude", `{"cache_creation": {"ephemeral_1h_input_tokens": -1}}`, plain)
	f("claude", `{"speed": "fast"}`, 2*plain)
	f("claude", `{"inference_geo": "us"}`, plain+plain/10)
	f("claude", `{"speed": "fast", "inference_geo": "us"}`, 2*(plain+plain/10))
	f("claude", `{"speed": "fas`, plain)
	f("claude", `{"speed": 1, "inference_geo": null, "cache_creation": "x"}`, plain)
	f("claude", `{"speed": "warp"}`, -1)
	f("main", `{"speed": "fast"}`, -1)
}

func TestOverridesGoBeforeTheFileAndThatBeforeTheBuiltInPrices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prices.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"openai": {"models": {
		"gpt-4o-mini": {"cost": {"input": 5, "output": 6}}, "gpt-99": {"cost": {"input": 7, "output": 8}}}}}`), 0o600))
	p := newPricer(t, providers+`
prices:
  file: `+file+`
  overrides:
    - {model: gpt-4o-mini, provider: main, input: 1, output: 2, input_cached: 0.5, input_cache_write: 3, input_audio: 4, output_reasoning: 5, output_audio: 6}
    - {model: gpt-4o-mini, provider: main, service_tier: flex, above_input: 500, input: 0.001, output: 0.002}
    - {model: "llama*", input: 0.05, output: 0.05}
`)
	f := func(provider, model, tier, layer string, input int64) {
		t.Helper()
		found := p.Find(provider, model, tier)
		require.NotEmpty(t, found)
		require.Equal(t, layer, p.Layers()[found[0].Layer].Name)
		require.Equal(t, input, int64(found[0].Input))
	}
	f("main", "gpt-4o-mini", "", LayerOverrides, 1_000_000_000)
	f("main", "gpt-4o-mini", "flex", LayerOverrides, 1_000_000)
	f("main", "gpt-4o-mini", "priority", LayerBuiltin, 250_000_000)
	f("main", "gpt-99", "", LayerFile, 7_000_000_000)
	f("main", "gpt-4o", "", LayerBuiltin, 2_500_000_000)
	f("own", "llama-3.3-70b", "", LayerOverrides, 50_000_000)
	require.Empty(t, p.Find("own", "gpt-4o-mini", ""))

	// All parts of an override: 100 * 1 + 200 * 0.5 + 300 * 3 + 400 * 4 and 100 * 2 + 200 * 5 + 300 * 6.
	r := record("main", "gpt-4o-mini")
	r.Usage = tokens.Usage{
		Input: tokens.Known(1000), InputCached: tokens.Known(200), InputCacheWrite: tokens.Known(300), InputAudio: tokens.Known(400),
		Output: tokens.Known(600), OutputReasoning: tokens.Known(200), OutputAudio: tokens.Known(300),
	}
	p.Price(r)
	require.Equal(t, int64((100+100+900+1600+200+1000+1800)*1000), *r.CostNanoUSD)
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		cfg := parse(t, providers)
		cfg.Prices.File = filepath.Join(t.TempDir(), "prices.json")
		require.NoError(t, os.WriteFile(cfg.Prices.File, []byte(content), 0o600))
		_, err := New(cfg, nil)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, cfg.Prices.File)
	}
	f(`{}`, "neither in the form")
	f(`{"a": {"models": {"m": {"cost": {"input": -1, "output": 1}}}}}`, `"a/m": "cost.input" is negative`)
	f(strings.Repeat(" ", maxFile+1), "is larger than")

	cfg := parse(t, providers)
	cfg.Prices.File = filepath.Join(t.TempDir(), "absent.json")
	_, err := New(cfg, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	cfg.Prices.File = t.TempDir()
	_, err = New(cfg, nil)
	require.Error(t, err)
	cfg = parse(t, providers)
	cfg.ModelData = filepath.Join(t.TempDir(), "absent.json")
	_, err = New(cfg, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPricesForWhatIsNotCountedYet(t *testing.T) {
	p := newPricer(t, providers)
	input, output, ok := p.PerToken("claude", "claude-haiku-5-5")
	require.True(t, ok)
	require.Equal(t, [2]int64{100_000_000, 500_000_000}, [2]int64{input, output}, "not those for long prompts")
	_, _, ok = p.PerToken("claude", "claude-99")
	require.False(t, ok)
	_, _, ok = p.PerToken("gone", "claude-haiku-5-5")
	require.False(t, ok)

	u := tokens.Usage{Input: tokens.Known(200_000), Output: tokens.Known(10)}
	nano, ok := p.Cost("claude", "claude-haiku-5-5", "", u)
	require.True(t, ok)
	require.Equal(t, int64(200_000*500+10*2500), nano)
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Cost("claude", "claude-haiku-5-5", "", u) }))

	require.Equal(t, "anthropic", p.Vendor("claude"))
	require.Empty(t, p.Vendor("own"))
	require.True(t, p.Has("own"))
	require.False(t, p.Has("gone"))
}

func TestRepricingComesToTheSame(t *testing.T) {
	p := newPricer(t, providers)
	for _, provider := range []string{"main", "claude", "sim", "own", "gone"} {
		for _, model := range []string{"gpt-4o-mini", "claude-sonnet-4-6", "claude-haiku-5-5", "unknown"} {
			for _, mayBill := range []string{accounting.MayBillNone, accounting.MayBillPartial, accounting.MayBillFull, accounting.MayBillUnknown} {
				for _, outcome := range accounting.Outcomes() {
					r := record(provider, model)
					r.Outcome, r.MayBill, r.UsageSource = outcome, mayBill, accounting.SourceRunning
					r.OutputLimit = 300
					p.Price(r)
					before := costs(r)
					require.False(t, p.Reprice(r))
					require.Equal(t, before, costs(r))
				}
			}
		}
	}
}

func TestRepricingWithOtherPrices(t *testing.T) {
	cut := func() *accounting.Record {
		r := record("main", "gpt-4o-mini")
		r.Outcome, r.UsageSource, r.MayBill = accounting.OutcomeClientGone, accounting.SourceEstimated, accounting.MayBillUnknown
		return r
	}
	before, after := newPricer(t, providers), newPricer(t, providers+"prices: {overrides: [{model: gpt-4o-mini, input: 1, output: 2}]}")
	r := cut()
	r.OutputLimit = 500
	before.Price(r)
	require.True(t, after.Reprice(r))
	// 1,000 * 1,000 + 100 * 2,000, and at the most 500 * 2,000.
	require.Equal(t, [3]int64{1_200_000, 0, 2_000_000}, costs(r))
	require.True(t, before.Reprice(r))
	require.Equal(t, int64(210_000), *r.CostNanoUSD)

	unpriced := record("own", "llama-4")
	before.Price(unpriced)
	require.Equal(t, [3]int64{-1, -1, -1}, costs(unpriced))
	require.True(t, newPricer(t, providers+"prices: {overrides: [{model: llama-4, input: 1, output: 1}]}").Reprice(unpriced))
	require.Equal(t, [3]int64{1_100_000, 1_100_000, 1_100_000}, costs(unpriced))

	// The price of a provider that is gone cannot be known.
	gone := record("main", "gpt-4o-mini")
	before.Price(gone)
	require.False(t, newPricer(t, "providers: [{name: sim, dialect: sim}]").Reprice(gone))
	require.Equal(t, int64(210_000), *gone.CostNanoUSD)
}

// attempt is a cut one of 1,000 tokens in and 100 out.
func attempt(provider, model, mayBill string) accounting.Attempt {
	r := record(provider, model)
	return accounting.Attempt{
		Provider: provider, Model: model, Outcome: accounting.OutcomeUpstreamTimeout, Start: r.Start,
		Usage: r.Usage, UsageSource: accounting.SourceEstimated, MayBill: mayBill,
	}
}

// attemptCosts are the cost of an attempt and its bounds; -1 is absent.
func attemptCosts(a accounting.Attempt) [3]int64 {
	return costs(&accounting.Record{CostNanoUSD: a.CostNanoUSD, CostLowNanoUSD: a.CostLowNanoUSD, CostHighNanoUSD: a.CostHighNanoUSD})
}

func TestAbandonedAttemptsHaveThePricesOfTheirOwnProviders(t *testing.T) {
	p := newPricer(t, providers)
	r := record("claude", "claude-sonnet-4-6")
	r.OutputLimit = 500
	f := func(a accounting.Attempt, want ...int64) {
		t.Helper()
		if len(want) == 1 {
			want = []int64{want[0], want[0], want[0]}
		}
		r.Attempts = []accounting.Attempt{a, {Provider: "claude", Final: true}}
		p.Price(r)
		got := attemptCosts(r.Attempts[0])
		require.Equal(t, want, got[:])
		require.Equal(t, [3]int64{4_500_000, 4_500_000, 4_500_000}, costs(r), "the record has what its final attempt costs")
		require.Equal(t, [3]int64{-1, -1, -1}, attemptCosts(r.Attempts[1]))
	}
	f(attempt("main", "gpt-4o-mini", accounting.MayBillPartial), 210_000)
	f(attempt("main", "gpt-4o-mini", accounting.MayBillFull), 210_000, 210_000, 450_000)
	f(attempt("main", "gpt-4o-mini", accounting.MayBillUnknown), 210_000, 0, 450_000)
	f(attempt("main", "gpt-4o-mini", accounting.MayBillNone), 210_000, 0, 0)
	f(attempt("sim", "fast", accounting.MayBillPartial), 1_200_000)
	f(attempt("own", "llama", accounting.MayBillPartial), -1)
	f(attempt("gone", "gpt-4o-mini", accounting.MayBillPartial), -1)

	reported := attempt("main", "gpt-4o-mini", accounting.MayBillUnknown)
	reported.UsageSource = accounting.SourceReported
	f(reported, 210_000)
	flex := attempt("main", "o3", accounting.MayBillPartial)
	flex.ServiceTier = "flex"
	f(flex, 1_400_000)
	peak := attempt("seek", "deepseek-flash", accounting.MayBillPartial)
	f(peak, 210_000)
	peak.Start = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	f(peak, 420_000)
	peak.Start = time.Time{}
	f(peak, 210_000)

	// Nothing is known of one that may have run, and one that cannot have run has no cost.
	blind := attempt("main", "gpt-4o-mini", accounting.MayBillUnknown)
	blind.Usage = tokens.Usage{}
	f(blind, -1)
	blind.MayBill = accounting.MayBillNone
	f(blind, -1)
}

func TestRepricingChangesAbandonedAttempts(t *testing.T) {
	before, after := newPricer(t, providers), newPricer(t, providers+"prices: {overrides: [{model: gpt-4o-mini, input: 1, output: 2}]}")
	r := record("claude", "claude-sonnet-4-6")
	r.Attempts = []accounting.Attempt{
		attempt("main", "gpt-4o-mini", accounting.MayBillPartial), attempt("gone", "gpt-4o-mini", accounting.MayBillPartial),
	}
	kept := int64(77)
	before.Price(r)
	r.Attempts[1].CostNanoUSD = &kept
	require.False(t, before.Reprice(r))
	require.True(t, after.Reprice(r), "the record itself costs what it did")
	require.Equal(t, [3]int64{1_200_000, 1_200_000, 1_200_000}, attemptCosts(r.Attempts[0]))
	require.EqualValues(t, 77, *r.Attempts[1].CostNanoUSD, "the price of a provider that is gone cannot be known")
	require.False(t, after.Reprice(r))

	gone := record("gone", "x")
	gone.Attempts = []accounting.Attempt{attempt("main", "gpt-4o-mini", accounting.MayBillPartial)}
	require.True(t, after.Reprice(gone))
	require.Nil(t, gone.CostNanoUSD)
}

func TestModelDataComesFromTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"models": [{"match": "gpt-4o-mini", "max_output": 200}]}`), 0o600))
	cfg := parse(t, providers+"model_data: "+path)
	fromFile, err := New(cfg, nil)
	require.NoError(t, err)
	builtIn, err := New(cfg, modeldata.Builtin())
	require.NoError(t, err)
	f := func(p *Pricer, high int64) {
		t.Helper()
		r := record("main", "gpt-4o-mini")
		r.Outcome, r.UsageSource = accounting.OutcomeClientGone, accounting.SourceRunning
		p.Price(r)
		require.Equal(t, high, *r.CostHighNanoUSD)
	}
	f(fromFile, 1000*150+200*600)
	f(builtIn, 1000*150+16_384*600)
}

func BenchmarkPrice(b *testing.B) {
	p := newPricer(b, providers)
	r := record("claude", "claude-sonnet-4-6")
	r.RawUsage = json.RawMessage(`{"input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":100,"service_tier":"standard"}`)
	b.ReportAllocs()
	for b.Loop() {
		r.OutputLimit = 4096
		p.Price(r)
	}
}
