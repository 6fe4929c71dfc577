package config

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseDuration(t *testing.T) {
	f := func(text string, want time.Duration, shown string) {
		t.Helper()
		got, err := ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.Std())
		require.Equal(t, shown, got.String())
	}
	f("0", 0, "0s")
	f("0s", 0, "0s")
	f("30s", 30*time.Second, "30s")
	f("500ms", 500*time.Millisecond, "500ms")
	f("1m30s", 90*time.Second, "1m30s")
	f("600s", 10*time.Minute, "10m")
	f("1h", time.Hour, "1h")
	f("1h30m", 90*time.Minute, "1h30m")
	f("10h", 10*time.Hour, "10h")
	f("1h0m5s", time.Hour+5*time.Second, "1h0m5s")
	f("1.5s", 1500*time.Millisecond, "1.5s")
	f("90d", 90*day, "90d")
	f("24h", day, "1d")
	f("1d12h", 36*time.Hour, "1d12h")
	f("36h30m", 36*time.Hour+30*time.Minute, "1d12h30m")
	f("1d0s", day, "1d")
	f("0d", 0, "0s")
	f("0.5d", 12*time.Hour, "12h")
	f("1d1ms", day+time.Millisecond, "1d1ms")
	f("106751d", 106751*day, "106751d")

	refused := func(text string, want error) {
		t.Helper()
		_, err := ParseDuration(text)
		require.Equal(t, want, err, text)
	}
	refused("30", errDurationUnit)
	refused("1e3", errDurationUnit)
	refused("NaN", errDurationForm)
	refused("Inf", errDurationForm)
	refused("-5", errNegative)
	refused("-5s", errNegative)
	refused("", errDurationForm)
	refused("s", errDurationForm)
	refused("5 s", errDurationForm)
	refused("99999999h", errDurationForm)
	refused("1w", errDurationForm)
	refused("d", errDurationForm)
	refused("12h1d", errDurationForm)
	refused("1d2d", errDurationForm)
	refused("1d5", errDurationForm)
	refused("1d-5s", errDurationForm)
	refused("1d+5s", errDurationForm)
	refused("1 d", errDurationForm)
	refused("1e3d", errDurationForm)
	refused("-1d", errNegative)
	refused("106752d", errDurationLong)
	refused("106751d24h", errDurationLong)
	refused("9999999999d", errDurationForm)
}

func TestParseSize(t *testing.T) {
	f := func(text string, want Size, shown string) {
		t.Helper()
		got, err := ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		require.Equal(t, shown, got.String())
	}
	f("0", 0, "0B")
	f("100", 100, "100B")
	f("512B", 512, "512B")
	f("64KiB", 64<<10, "64KiB")
	f("4MiB", 4<<20, "4MiB")
	f("4 MiB", 4<<20, "4MiB")
	f("1GiB", 1<<30, "1GiB")
	f("1024KiB", 1<<20, "1MiB")
	f("10kB", 10_000, "10000B")
	f("10MB", 10_000_000, "10000000B")
	f("1GB", 1_000_000_000, "1000000000B")
	f("9223372036854775807", math.MaxInt64, "9223372036854775807B")

	refused := func(text string, want error) {
		t.Helper()
		_, err := ParseSize(text)
		require.Equal(t, want, err, text)
	}
	refused("", errSizeForm)
	refused("MiB", errSizeForm)
	refused("4M", errSizeForm)
	refused("4mib", errSizeForm)
	refused("1.5MiB", errSizeForm)
	refused("-1MiB", errNegative)
	refused("9223372036854775808", errSizeLarge)
	refused("9007199254740992GiB", errSizeLarge)
}
