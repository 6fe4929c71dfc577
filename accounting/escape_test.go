package accounting

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

func FuzzEscapeRoundTrip(f *testing.F) {
	f.Add([]byte("a\"b\\c\n\x00é"))
	f.Fuzz(func(t *testing.T, b []byte) {
		escaped := appendEscaped(nil, string(b))
		require.True(t, jsonview.WellFormed([]byte(`"`+string(escaped)+`"`)))
		require.Equal(t, string(b), string(appendUnescaped(nil, escaped)))
	})
}
