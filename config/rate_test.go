package config

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestParseRate(t *testing.T) {
	f := func(text string, want Rate, shown string) {
		t.Helper()
		got, err := ParseRate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		require.Equal(t, shown, got.String())
		again, err := ParseRate(got.String())
		require.NoError(t, err, text)
		require.Equal(t, want, again)
	}
	f("0", 0, "0")
	f("0.000", 0, "0")
	f("-0", 0, "0")
	f("0e99", 0, "0")
	f("5", 5*USD, "5")
	f("05", 5*USD, "5")
	f("0.15", 150_000_000, "0.15")
	f("1e-3", 1_000_000, "0.001")
	f("1E3", 1000*USD, "1000")
	f("1.5e+2", 150*USD, "150")
	f("2.50", 2*USD+500_000_000, "2.5")
	f("0.000000001", 1, "0.000000001")
	f("0.1000000000000", 100_000_000, "0.1")
	f("100e-11", 1, "0.000000001")
	f("0.3", 300_000_000, "0.3") // no binary fraction of it is near enough
	f("9223372036.854775807", math.MaxInt64, "9223372036.854775807")

	refused := func(text string, want error) {
		t.Helper()
		_, err := ParseRate(text)
		require.Equal(t, want, err, text)
	}
	for _, text := range []string{"", "-", ".", ".5", "5.", "1,5", "5 USD", "$5", "+5", "0x10", "1e", "1e1.5", "1e99999", "e5", "NaN", "Inf", "1_000", strings.Repeat("1", 101)} {
		refused(text, errRateForm)
	}
	refused("-1", errNegative)
	refused("-0.000000001", errNegative)
	refused("0.0000000001", errRateDecimals)
	refused("1e-10", errRateDecimals)
	refused("1.0000000001", errRateDecimals)
	refused("1e-32768", errRateDecimals)
	refused("9223372036.854775808", errRateLarge)
	refused("1e10", errRateLarge)
	refused("1e32767", errRateLarge)
	refused(strings.Repeat("9", 100), errRateLarge)
}

func TestRateIsWrittenAsANumber(t *testing.T) {
	value := struct {
		R Rate  `json:"r" yaml:"r"`
		P *Rate `json:"p,omitempty" yaml:"p,omitempty"`
	}{R: 150_000_000}
	five := 5 * USD
	value.P = &five
	asJSON, err := json.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, `{"r":0.15,"p":5}`, string(asJSON))
	asYAML, err := yaml.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, "r: 0.15\np: 5\n", string(asYAML))
	require.Equal(t, "-0.5", Rate(-500_000_000).String())
	require.Equal(t, "-9223372036.854775808", Rate(math.MinInt64).String())
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"0.15", "1e-3", "9223372036.854775807", "-1", "1e-10", ".5", "100e-11"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := ParseRate(text)
		if err != nil {
			return
		}
		again, err := ParseRate(rate.String())
		if err != nil || again != rate || rate < 0 {
			t.Fatalf("%q is %d, and %q is %d: %v", text, rate, rate.String(), again, err)
		}
	})
}
