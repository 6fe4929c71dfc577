package main

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestBodiesHaveHalfOfTheMemory(t *testing.T) {
	require.EqualValues(t, 128<<20, bodyMemory(256<<20))
	require.EqualValues(t, 1<<30, bodyMemory(math.MaxInt64))
	require.EqualValues(t, 1<<30, bodyMemory(0))
	require.EqualValues(t, 900, heapLimit(1000))
	require.Positive(t, heapLimit(math.MaxInt64-1), "it does not overflow")
}

func TestMemoryLimitOfTheEnvironmentGoesFirst(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	limitMemory(command{env: map[string]string{"GOMEMLIMIT": "1TiB"}}.getenv)
	require.EqualValues(t, 1<<40, memoryLimit())
}

func TestLimitsOfTheProcessAreLogged(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	cfg := config.Default()
	logProcessLimits(logger, cfg)
	require.Contains(t, out.String(), "memory=1024GiB bodies=512GiB")
	cfg.Limits.Bodies, cfg.Limits.Connections = config.GiB, 77
	debug.SetMemoryLimit(math.MaxInt64)
	logProcessLimits(logger, cfg)
	require.Regexp(t, `memory=none bodies=1GiB .*connections=77`, out.String())
}
