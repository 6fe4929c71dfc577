package spool

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRecovery reads 100 MB of entries that a dead process has left, each of the size of a
// record.
func BenchmarkRecovery(b *testing.B) {
	const size, all = 2 << 10, 100_000_000
	dir := b.TempDir()
	s := New(dir, "dead")
	entry := bytes.Repeat([]byte("x"), size)
	batch := make([][]byte, 64)
	for i := range batch {
		batch[i] = entry
	}
	for written := 0; written < all; written += size * len(batch) {
		require.NoError(b, s.Append(1, batch))
	}
	require.NoError(b, s.Close())
	b.SetBytes(all)
	for b.Loop() {
		left, err := Abandoned(dir)
		require.NoError(b, err)
		for _, one := range left {
			for _, segment := range one.Segments() {
				readThrough(b, segment)
			}
			require.NoError(b, one.Close())
		}
	}
}

func readThrough(b *testing.B, segment *Segment) {
	b.Helper()
	r, err := segment.Open()
	require.NoError(b, err)
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
	require.NoError(b, r.Close())
}
