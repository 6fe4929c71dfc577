package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span of the configuration, written as "30s", "1m30s",
// "500ms" or "90d". A day is 24 hours. A number without unit is refused, except 0.
// It is never negative.
type Duration time.Duration

const day = 24 * time.Hour

// Std returns the span as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the span in the form it is written in: "90d", "10m", "1m30s", "0s".
func (d Duration) String() string {
	if days := d.Std() / day; days > 0 {
		text := strconv.FormatInt(int64(days), 10) + "d"
		if rest := d.Std() % day; rest > 0 {
			text += Duration(rest).String()
		}
		return text
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the span as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

var (
	errDurationUnit = errors.New(`needs a unit, as in 30s, 500ms, 1m30s or 90d`)
	errDurationForm = errors.New(`is not a duration; write it as 30s, 500ms, 1m30s or 90d`)
	errDurationLong = errors.New(`is longer than 106751d`)
	errNegative     = errors.New(`must not be negative`)
)

// ParseDuration reads a span as it is written in the configuration. Its errors
// complete a sentence that begins with the value.
func ParseDuration(s string) (Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case n == 0:
			return 0, nil
		case n < 0:
			return 0, errNegative
		case n > 0 && !math.IsInf(n, 0):
			return 0, errDurationUnit
		}
		return 0, errDurationForm
	}
	days, rest, err := cutDays(s)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil:
		return 0, errDurationForm
	case d < 0:
		return 0, errNegative
	case d > math.MaxInt64-days:
		return 0, errDurationLong
	}
	return Duration(days + d), nil
}

// cutDays takes the days off the front of a span; time.Duration knows none.
func cutDays(s string) (days time.Duration, rest string, err error) {
	number, rest, found := strings.Cut(s, "d")
	if !found {
		return 0, s, nil
	}
	if rest == "" {
		rest = "0s"
	}
	if strings.HasPrefix(number, "-") {
		return 0, "", errNegative
	}
	n, err := time.ParseDuration(number + "h")
	if err != nil || strings.Trim(number, "0123456789.") != "" || strings.ContainsAny(rest[:1], "+-") {
		return 0, "", errDurationForm
	}
	if n > math.MaxInt64/24 {
		return 0, "", errDurationLong
	}
	return 24 * n, rest, nil
}

// Size is a number of bytes, written as "4MiB", "64KiB", "10MB" or a plain
// number of bytes. It is never negative.
type Size int64

// The binary units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	suffix string
	bytes  Size
}{
	{"KiB", KiB},
	{"MiB", MiB},
	{"GiB", GiB},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"B", 1},
}

var (
	errSizeForm  = errors.New(`is not a size; write it as 4MiB, 64KiB, 10MB or a number of bytes`)
	errSizeLarge = errors.New(`is too large`)
)

// ParseSize reads a size as it is written in the configuration. Its errors
// complete a sentence that begins with the value.
func ParseSize(s string) (Size, error) {
	digits, unit := s, Size(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errSizeLarge
	case err != nil:
		return 0, errSizeForm
	case n < 0:
		return 0, errNegative
	case n > math.MaxInt64/int64(unit):
		return 0, errSizeLarge
	}
	return Size(n) * unit, nil
}

// String returns the size in the largest binary unit that divides it: "4MiB".
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		bytes  Size
	}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}} {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
