//go:build linux

package child

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMetricsAreAddedUp(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# HELP a x 1\na{b=\"c d\"} 1\na 2.5e+00\nab 7\n\n"))
	}))
	t.Cleanup(admin.Close)
	s := &Sluice{Admin: admin.URL}
	sums, err := s.Metrics(t.Context())
	require.NoError(t, err)
	require.Equal(t, Metrics{"a": 3.5, "ab": 7}, sums)
	require.Zero(t, sums["none"])
}

func TestOutputKeepsItsEndAndRemembersTrouble(t *testing.T) {
	var w lastWords
	for range 2 {
		_, err := w.Write(make([]byte, keptOutput))
		require.NoError(t, err)
	}
	require.Empty(t, w.trouble())
	_, err := w.Write([]byte("panic: oh\n"))
	require.NoError(t, err)
	_, err = w.Write(make([]byte, keptOutput))
	require.NoError(t, err)
	require.Equal(t, "panic:", w.trouble())
	require.Len(t, w.String(), keptOutput)
}

func TestProcessThatEndsAtItsStartIsNoted(t *testing.T) {
	s := &Sluice{Name: "it", Program: "/bin/false", Admin: "http://127.0.0.1:1"}
	_, err := s.Start(t.Context())
	require.ErrorIs(t, err, ErrNotStarted)
	require.True(t, s.HasEnded())
	require.False(t, s.Up())
	require.ErrorIs(t, s.Kill(), errDied)
	require.ErrorContains(t, s.Terminate(), "exit code 1")
	s.Discard()
}

func TestFreeAddressesDiffer(t *testing.T) {
	a, err := FreeAddress()
	require.NoError(t, err)
	b, err := FreeAddress()
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestQuantiles(t *testing.T) {
	require.Zero(t, Quantile(nil, 0.5))
	of := []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}
	require.InDelta(t, 2, Quantile(of, 0.5), 0)
	require.InDelta(t, 3, Quantile(of, 1), 0)
}
