package credential

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysAreSentAsTheyAre(t *testing.T) {
	f := func(s Source, want ...Field) {
		t.Helper()
		got, err := s.Fields(t.Context(), Request{})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(Bearer("k"), Field{"Authorization", "Bearer k"})
	f(Header("X-Api-Key", "k"), Field{"X-Api-Key", "k"})
}

func BenchmarkKey(b *testing.B) {
	s := Bearer("sk-0123456789")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Fields(b.Context(), Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
