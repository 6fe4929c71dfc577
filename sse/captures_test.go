package sse_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecordedStreamsReadTheSameForEveryDivision(t *testing.T) {
	files, err := filepath.Glob("../../shared/captures/*/*/response.sse")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the collection of recordings is absent")
	}
	for _, file := range files {
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, size := range []int{1, 2, 97, 4096} {
			requireSameForAnyDivision(t, 0, stream, pieces(stream, size))
		}
		if len(stream) > 1<<10 {
			continue
		}
		for i := range stream {
			requireSameForAnyDivision(t, 0, stream, [][]byte{stream[:i], stream[i:]})
		}
	}
}
