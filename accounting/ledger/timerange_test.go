package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMomentsThatPeopleWrite(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.FixedZone("east", 2*60*60))
	f := func(s, want string) {
		t.Helper()
		got, err := ParseMoment(s, now)
		require.NoError(t, err)
		require.Equal(t, want, got.Format(time.RFC3339Nano))
		require.Equal(t, time.UTC, got.Location())
	}
	f("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z")
	f("2026-01-02T03:04:05.25+01:00", "2026-01-02T02:04:05.25Z")
	f("2026-01-02", "2026-01-02T00:00:00Z")
	f("24h", "2026-03-30T10:00:00Z")
	f("90m", "2026-03-31T08:30:00Z")
	f("7d", "2026-03-24T10:00:00Z")
	f("1d12h", "2026-03-29T22:00:00Z")
	f("0", "2026-03-31T10:00:00Z")
	f("0d", "2026-03-31T10:00:00Z")
	f("1500ms", "2026-03-31T09:59:58.5Z")
}

func TestMomentsThatAreNone(t *testing.T) {
	for _, s := range []string{
		"", "d", "7", "-7d", "+7d", "-1h", "+1h", "1d-1h", "1d+1h", "7days", "yesterday", "2026-13-01", "2026-02-30",
		"2026-01-02T03:04:05", "65536d", "36501d", "9999999999h", "1h1d", "1d1d",
	} {
		_, err := ParseMoment(s, time.Now())
		require.ErrorIs(t, err, errMoment, s)
	}
}
