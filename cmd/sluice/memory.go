package main

import (
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/config"
)

// heapShare is the part of a control group's memory that Go may use, in percent. The rest is
// for what its runtime does not count, as buffers of the kernel and the pages of SQLite's file.
const heapShare = 90

// limitMemory lets Go's garbage collector keep to the memory of the control group, as a
// container's, unless GOMEMLIMIT says otherwise.
func limitMemory(getenv func(string) (string, bool)) {
	fasthttp.SetBodySizePoolLimit(pooledBody, pooledBody)
	if _, set := getenv("GOMEMLIMIT"); set {
		return
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && limit < math.MaxInt64 {
		debug.SetMemoryLimit(heapLimit(int64(limit)))
	}
}

// pooledBody bounds the bodies whose memory fasthttp keeps for the next ones, in bytes. What
// a large one needed is wanted for other things sooner.
const pooledBody = 1 << 20

func heapLimit(group int64) int64 { return group / 100 * heapShare }

// bodyMemoryWithoutLimit is the memory for bodies of requests where nothing limits that of the
// process.
const bodyMemoryWithoutLimit = 1 << 30

// bodyMemory is the memory for the bodies of requests where the configuration says nothing:
// half of what the process may have.
func bodyMemory(limit int64) int64 {
	if limit <= 0 || limit == math.MaxInt64 {
		return bodyMemoryWithoutLimit
	}
	return limit / 2
}

// memoryLimit is that of Go's runtime, math.MaxInt64 for none.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// logProcessLimits says what the process may have, for whoever wonders later why it had no more.
func logProcessLimits(logger *slog.Logger, cfg *config.Config) {
	memory := "none"
	if limit := memoryLimit(); limit != math.MaxInt64 {
		memory = config.Size(limit).String()
	}
	bodies := cfg.Limits.Bodies
	if bodies == 0 {
		bodies = config.Size(bodyMemory(memoryLimit()))
	}
	attrs := []any{"memory", memory, "bodies", bodies.String()}
	if files := openFiles(); files > 0 {
		attrs = append(attrs, "open_files", files)
	}
	if n := cfg.Limits.Connections; n > 0 {
		attrs = append(attrs, "connections", n)
	}
	logger.Info("limits of this process", attrs...)
}
