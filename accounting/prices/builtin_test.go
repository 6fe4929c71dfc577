package prices

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBuiltInPricesAreComplete(t *testing.T) {
	prices := Builtin()
	seen := map[Price]bool{}
	vendors := map[string]bool{}
	for _, p := range prices {
		date, err := time.Parse(time.DateOnly, p.Date)
		require.NoError(t, err, p.Model)
		require.GreaterOrEqual(t, date.Year(), 2026)
		if p.From != "" {
			_, err := time.Parse(time.DateOnly, p.From)
			require.NoError(t, err, p.Model)
		}
		for source := range strings.FieldsSeq(p.Source) {
			require.True(t, strings.HasPrefix(source, "https://") || p.Vendor == "sim", "%s: %s", p.Model, source)
		}
		require.Equal(t, strings.ToLower(p.Model), p.Model)
		require.Positive(t, p.Input, p.Model)
		if p.InputCached != nil {
			require.LessOrEqual(t, *p.InputCached, p.Input, p.Model)
		}
		if p.InputCacheWrite != nil {
			require.Greater(t, *p.InputCacheWrite, p.Input, p.Model)
			require.Greater(t, *p.InputCacheWriteLong, *p.InputCacheWrite, p.Model)
		}
		key := Price{Vendor: p.Vendor, Model: p.Model, ServiceTier: p.ServiceTier, AboveInput: p.AboveInput, From: p.From}
		require.False(t, seen[key], "%s %s twice", p.Vendor, p.Model)
		seen[key], vendors[p.Vendor] = true, true
	}
	for _, vendor := range []string{"openai", "anthropic", "google", "deepseek", "mistral", "xai", "cohere", "groq", "sim"} {
		require.True(t, vendors[vendor], vendor)
	}
	prices[0].Model = "changed"
	require.NotEqual(t, prices[0], Builtin()[0], "the caller owns the slice")
}

func TestBadListsAreRefused(t *testing.T) {
	const whole = `[{"vendor": "v", "models": ["m"], "input": 1, "output": 2, "source": "s", "date": "d"`
	prices, err := readListing([]byte(whole + `, "tiers": {"flex": 0.5, "fast": {"input": 3, "output": 4}}, "long": {"above_input": 9, "input": 2, "output": 3}, "regional": 1.1}]`))
	require.NoError(t, err)
	require.Len(t, prices, 2*(2+2+1))
	for _, text := range []string{
		``, `{}`, whole, whole + `}] x`, whole + `, "extra": 1}]`, whole + `, "tiers": {"flex": {"inptu": 1}}}]`, whole + `, "tiers": {"flex": 0}}]`,
		whole + `, "regional": -1}]`, whole + `, "input_cached": "1"}]`, `[{"models": ["m"]}]`,
	} {
		_, err := readListing([]byte(text))
		require.Error(t, err, text)
	}
}
