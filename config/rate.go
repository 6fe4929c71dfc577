package config

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Rate is an amount of USD in units of 1e-9 USD, written as a decimal number: 0.15, 1e-3.
// More than nine decimals are refused rather than rounded. It is never negative.
type Rate int64

// USD is one dollar.
const USD Rate = 1_000_000_000

const (
	rateDecimals = 9   // of a Rate
	longestRate  = 100 // characters; longer ones are no amounts
)

var (
	errRateForm     = errors.New("is not an amount of USD; write it as 5, 0.15 or 1e-3")
	errRateDecimals = errors.New("has more than nine decimals; amounts are whole numbers of 0.000000001 USD")
	errRateLarge    = errors.New("is more than 9223372036 USD")
)

// ParseRate reads an amount as it is written in the configuration, digit by digit: no
// binary fraction is in between. Its errors complete a sentence that begins with the
// value.
func ParseRate(s string) (Rate, error) {
	number, exponent, shift := s, "", rateDecimals
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		number, exponent = s[:i], s[i+1:]
		e, err := strconv.ParseInt(exponent, 10, 16)
		if err != nil {
			return 0, errRateForm
		}
		shift += int(e)
	}
	unsigned, negative := strings.CutPrefix(number, "-")
	whole, decimals, dot := strings.Cut(unsigned, ".")
	if !allDigits(whole) || dot && !allDigits(decimals) || len(s) > longestRate {
		return 0, errRateForm
	}
	digits := strings.TrimLeft(whole+decimals, "0")
	for shift -= len(decimals); shift < 0 && strings.HasSuffix(digits, "0"); shift++ {
		digits = digits[:len(digits)-1]
	}
	switch {
	case digits == "":
		return 0, nil
	case negative:
		return 0, errNegative
	case shift < 0:
		return 0, errRateDecimals
	case len(digits)+shift > longestRate:
		return 0, errRateLarge
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, errRateLarge
	}
	return Rate(n), nil
}

func allDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// String returns the amount as a decimal number without an exponent: 0.15.
func (r Rate) String() string {
	sign, n := "", uint64(r)
	if r < 0 {
		sign, n = "-", -n
	}
	text := sign + strconv.FormatUint(n/uint64(USD), 10)
	if rest := n % uint64(USD); rest != 0 {
		digits := strconv.FormatUint(rest+uint64(USD), 10)[1:]
		text += "." + strings.TrimRight(digits, "0")
	}
	return text
}

// MarshalText writes the amount as String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalJSON writes the amount as a number.
func (r Rate) MarshalJSON() ([]byte, error) { return r.MarshalText() }

// MarshalYAML writes the amount as a number.
func (r Rate) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: r.String()}
	if strings.Contains(n.Value, ".") {
		n.Tag = "!!float"
	}
	return n, nil
}
