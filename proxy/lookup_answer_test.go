package proxy

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

func TestParseGeneration(t *testing.T) {
	t.Parallel()
	f := func(body, wantRaw string, wantInput, wantOutput tokens.Count, wantSettled bool) {
		t.Helper()
		g := parseGeneration([]byte(body), "gen-1")
		require.Equal(t, wantRaw, string(g.raw))
		require.Equal(t, wantInput, g.usage.Input)
		require.Equal(t, wantOutput, g.usage.Output)
		require.Equal(t, wantSettled, g.settled())
	}
	var absent tokens.Count
	one, two := tokens.Known(1), tokens.Known(2)
	f(`{"data":{"id":"gen-1","native_tokens_prompt":1,"native_tokens_completion":2}}`, `{"native_tokens_prompt":1,"native_tokens_completion":2}`, one, two, true)
	f(`{"data":{"native_tokens_prompt": 1 ,"native_tokens_completion": 2}}`, `{"native_tokens_prompt":1,"native_tokens_completion":2}`, one, two, true)
	f(`{"data":{"native_tokens_prompt":1,"native_tokens_completion":null}}`, `{"native_tokens_prompt":1}`, one, absent, false)
	f(`{"data":{"native_tokens_prompt":1,"native_tokens_completion":2.5}}`, `{"native_tokens_prompt":1,"native_tokens_completion":2.5}`, one, absent, false)
	f(`{"data":{"native_tokens_prompt":1,"native_tokens_completion":-2}}`, `{"native_tokens_prompt":1,"native_tokens_completion":-2}`, one, absent, false)
	f(`{"data":{"native_tokens_prompt":1,"native_tokens_completion":9999999999999}}`, `{"native_tokens_prompt":1,"native_tokens_completion":9999999999999}`, one, absent, false)
	f(`{"data":{"native_tokens_prompt":1,"native_tokens_prompt":9}}`, `{"native_tokens_prompt":1}`, one, absent, false)
	f(`{"data":{"total_cost":"secret","usage":{"a":1},"model":"secret","is_byok":true}}`, `{"is_byok":true}`, absent, absent, false)
	f(`{"data":{"usage":1`+strings.Repeat("0", 100)+`}}`, ``, absent, absent, false)
	f(`{"data":{"id":"gen-2","native_tokens_prompt":1,"native_tokens_completion":2}}`, ``, absent, absent, false)
	f(`{"data":{"id":7,"native_tokens_prompt":1,"native_tokens_completion":2}}`, ``, absent, absent, false)
	f(`{"data":[1]}`, ``, absent, absent, false)
	f(`{"native_tokens_prompt":1}`, ``, absent, absent, false)
	f(`[]`, ``, absent, absent, false)
	f(``, ``, absent, absent, false)
}

func TestNanoUSD(t *testing.T) {
	t.Parallel()
	f := func(number string, want int64, wantOK bool) {
		t.Helper()
		got, ok := nanoUSD(number)
		require.Equal(t, wantOK, ok, number)
		require.Equal(t, want, got, number)
	}
	f("0", 0, true)
	f("0.0", 0, true)
	f("0.0015", 1_500_000, true)
	f("1.96e-06", 1_960, true)
	f("1.96E-6", 1_960, true)
	f("12", 12_000_000_000, true)
	f("12e2", 1_200_000_000_000, true)
	f("0.123456789", 123_456_789, true)
	f("0.1234567894", 123_456_789, true)
	f("0.1234567895", 123_456_790, true)
	f("0.0000000005", 1, true)
	f("5e-10", 1, true)
	f("4.9e-10", 0, true)
	f("9e-30", 0, true)
	f("0.1e1", 1_000_000_000, true)
	f("999999.999999999", 999_999_999_999_999, true)
	f("1000000", 0, false)
	f("1e30", 0, false)
	f("1e31", 0, false)
	f("1e-31", 0, false)
	f("-1", 0, false)
	f("-0.5", 0, false)
	f("", 0, false)
	f("0."+strings.Repeat("1", 70), 0, false)
}

// What is read digit by digit is what exact arithmetic says.
func FuzzNanoUSD(f *testing.F) {
	for _, seed := range []string{"0.0015", "1.96e-06", "123.4567890125", "5e-10", "7E+3", "0.00e9", "99e-30"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		var n json.Number
		if json.Unmarshal([]byte(number), &n) != nil || strings.TrimSpace(number) != n.String() || strings.Contains(number, `"`) {
			return // no JSON number
		}
		got, ok := nanoUSD(n.String())
		if !ok {
			return
		}
		exact, fine := new(big.Rat).SetString(n.String())
		require.True(t, fine)
		exact.Mul(exact, big.NewRat(1e9, 1)).Add(exact, big.NewRat(1, 2))
		require.Equal(t, new(big.Int).Div(exact.Num(), exact.Denom()).Int64(), got, number)
	})
}
