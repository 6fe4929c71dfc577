package balance_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/balance"
)

func TestThePauseDoublesAndIsJittered(t *testing.T) {
	for _, c := range []struct {
		name        string
		n           int
		base        time.Duration
		least, most time.Duration
	}{
		{"first", 1, 200 * time.Millisecond, 100 * time.Millisecond, 301 * time.Millisecond},
		{"second", 2, 200 * time.Millisecond, 200 * time.Millisecond, 601 * time.Millisecond},
		{"fourth", 4, 200 * time.Millisecond, 800 * time.Millisecond, 2401 * time.Millisecond},
		{"not counted from 1", 0, 200 * time.Millisecond, 100 * time.Millisecond, 301 * time.Millisecond},
		{"negative", math.MinInt, 200 * time.Millisecond, 100 * time.Millisecond, 301 * time.Millisecond},
		{"so many that doubling ends", math.MaxInt, 200 * time.Millisecond, 30 * time.Second, 91 * time.Second},
		{"no base", 3, 0, 0, 0},
		{"negative base", 3, -time.Second, 0, 0},
		{"endless base", 1, math.MaxInt64, 30 * time.Second, 91 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 100 {
				d, ok := balance.Delay(c.n, c.base, 0, time.Second)
				require.True(t, ok)
				require.GreaterOrEqual(t, d, c.least)
				require.LessOrEqual(t, d, c.most)
				seen[d] = true
			}
			require.Equal(t, c.most > 0, len(seen) > 1)
		})
	}
}

func TestALongerRetryAfterIsHonouredUpToABound(t *testing.T) {
	for _, c := range []struct {
		name             string
		retryAfter, most time.Duration
		ok               bool
	}{
		{"longer than the back-off", 5 * time.Second, 10 * time.Second, true},
		{"at the bound", 10 * time.Second, 10 * time.Second, true},
		{"over the bound", 10*time.Second + 1, 10 * time.Second, false},
		{"nothing is waited for", time.Second, 0, false},
		{"a day", 24 * time.Hour, 10 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, ok := balance.Delay(1, 200*time.Millisecond, c.retryAfter, c.most)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.retryAfter, d)
			}
		})
	}
	d, ok := balance.Delay(1, 200*time.Millisecond, time.Millisecond, time.Second)
	require.True(t, ok)
	require.GreaterOrEqual(t, d, 100*time.Millisecond, "shorter than the back-off")
}

var now = time.Date(2025, time.March, 4, 12, 0, 0, 0, time.UTC)

func readRetryAfter(milliseconds, value string) (time.Duration, bool) {
	return balance.RetryAfter(func(name string) string {
		return map[string]string{"retry-after-ms": milliseconds, "retry-after": value}[name]
	}, now)
}

// row B16
func TestFormsOfRetryAfter(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		milliseconds, value string
		wait                time.Duration
		ok                  bool
	}{
		{"", "", 0, false},
		{"", "0", 0, true},
		{"", "7", 7 * time.Second, true},
		{"", " 7 ", 7 * time.Second, true},
		{"", "007", 7 * time.Second, true},
		{"", "1.5", 1500 * time.Millisecond, true},
		{"", ".5", 500 * time.Millisecond, true},
		{"", "2.", 2 * time.Second, true},
		{"250", "", 250 * time.Millisecond, true},
		{"250.5", "7", 250500 * time.Microsecond, true},
		{"soon", "7", 7 * time.Second, true},
		{"-1", "7", 7 * time.Second, true},
		// RFC 9110 section 5.6.7: one form is sent, three are understood.
		{"", "Tue, 04 Mar 2025 12:00:30 GMT", 30 * time.Second, true},
		{"", "Tuesday, 04-Mar-25 12:00:30 GMT", 30 * time.Second, true},
		{"", "Tue Mar  4 12:00:30 2025", 30 * time.Second, true},
		{"", "Tue, 04 Mar 2025 11:00:00 GMT", 0, true},
		{"", "Thu, 01 Jan 1970 00:00:00 GMT", 0, true},
		{"", "Fri, 31 Dec 9999 23:59:59 GMT", day, true},
		{"", "86400", day, true},
		{"", "31536000", day, true},
		{"", "9223372036854775807", day, true},
		{"", "9223372037", day, true},
		{"", strings.Repeat("9", 64), day, true},
		{"99999999999999999999", "", day, true},
		{"", strings.Repeat("9", 1000), 0, false},
		{"", "-1", 0, false},
		{"", "+1", 0, false},
		{"", "1e9", 0, false},
		{"", "0x10", 0, false},
		{"", "1_000", 0, false},
		{"", "NaN", 0, false},
		{"", "Inf", 0, false},
		{"", "infinity", 0, false},
		{"", "1.2.3", 0, false},
		{"", ".", 0, false},
		{"", "5, 10", 0, false},
		{"", "10s", 0, false},
		{"", "in a while", 0, false},
		{"", "2025-03-04T12:00:30Z", 0, false},
		{"", "Tue, 04 Mar 2025", 0, false},
		{"", "5\r\nx: y", 0, false},
	} {
		t.Run(c.milliseconds+"|"+c.value, func(t *testing.T) {
			wait, ok := readRetryAfter(c.milliseconds, c.value)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.wait, wait)
		})
	}
}

func FuzzRetryAfterIsNeverAbsurd(f *testing.F) {
	for _, seed := range []string{"", "1", "1.5", "-1", "NaN", "1e400", "99999999999999999999", "Tue, 04 Mar 2025 12:00:30 GMT", "Tue Mar  4 12:00:30 2025", "\x00"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, milliseconds, value string) {
		wait, ok := readRetryAfter(milliseconds, value)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, 24*time.Hour)
		if !ok {
			require.Zero(t, wait)
		}
		d, ok := balance.Delay(1, time.Second, wait, time.Minute)
		require.Equal(t, wait <= time.Minute, ok)
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, time.Minute)
	})
}
