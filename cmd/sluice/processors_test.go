package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneProcessorIsLeftWhereThereAreSeveral(t *testing.T) {
	require.Equal(t, 1, processors(1))
	require.Equal(t, 1, processors(2))
	require.Equal(t, 63, processors(64))
}

func TestProcessorsOfTheEnvironmentStand(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	spareProcessor(func(string) (string, bool) { return "4", true })
	require.Equal(t, before, runtime.GOMAXPROCS(0))
}
