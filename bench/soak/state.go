//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// state is what a process holds at one moment.
type state struct {
	Goroutines  int     `json:"goroutines"`
	Descriptors int     `json:"descriptors"`
	MemoryMiB   float64 `json:"memory_mib"` // resident and its own: RssAnon of proc_pid_status(5)
	Inflight    int     `json:"inflight"`
	Held        int     `json:"held"` // slots, reservations and what they reserve
	Intents     int     `json:"intents"`
}

// take looks at everything.
func take(ctx context.Context, s *child.Sluice, b *books) (state, error) {
	metrics, err := s.Metrics(ctx)
	if err != nil {
		return state{}, err
	}
	now := state{
		Goroutines: int(metrics["go_goroutines"]), Inflight: int(metrics["sluice_streams_inflight"]),
		Held: int(metrics["sluice_limits_held"]),
	}
	if now.Descriptors, err = descriptors(s.PID()); err != nil {
		return state{}, err
	}
	if now.MemoryMiB, err = memory(s.PID()); err != nil {
		return state{}, err
	}
	now.Intents, err = b.intents(ctx)
	return now, err
}

// descriptors of a process, without those of the ledger's files: how many connections to a
// database are open is the affair of their pool, which is bounded.
func descriptors(pid int) (n int, err error) {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	all, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("counting descriptors: %w", err)
	}
	for _, one := range all {
		file, err := os.Readlink(filepath.Join(folder, one.Name()))
		if err == nil && !strings.HasPrefix(filepath.Base(file), ledgerFile) { // it may be closed by now
			n++
		}
	}
	return n, nil
}

var errNoMemory = errors.New("no RssAnon")

// memory of a process in MiB.
func memory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of sluice: %w", err)
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "RssAnon:" {
			kib, err := strconv.Atoi(string(fields[1]))
			if err != nil {
				return 0, fmt.Errorf("reading the memory of sluice: %w", err)
			}
			return float64(kib) / 1024, nil
		}
	}
	return 0, fmt.Errorf("reading the memory of sluice: %w", errNoMemory)
}

// quiet reports whether nothing runs and nothing is held.
func (s state) quiet() bool { return s.Inflight == 0 && s.Held == 0 && s.Intents == 0 }

// beyond tells what a process has more than before. Two goroutines or descriptors come and
// go with what looks at it; slack is the memory in MiB that Go may not have given back yet.
func (s state) beyond(before state, slack int) (more []string) {
	for _, of := range []struct {
		what          string
		before, after int
		slack         int
	}{
		{"goroutines", before.Goroutines, s.Goroutines, 2},
		{"descriptors", before.Descriptors, s.Descriptors, 2},
		{"MiB of memory", int(before.MemoryMiB), int(s.MemoryMiB), slack},
		{"requests in flight", 0, s.Inflight, 0},
		{"held by limits", 0, s.Held, 0},
		{"open intents", 0, s.Intents, 0},
	} {
		if of.after > of.before+of.slack {
			more = append(more, fmt.Sprintf("%s: %d after %d", of.what, of.after, of.before))
		}
	}
	return more
}

// rest waits until a process is as it is when nobody asks: nothing runs, and for some
// seconds it has had about the same goroutines and descriptors.
func rest(ctx context.Context, s *child.Sluice, b *books, limit time.Duration) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	calm, since := state{}, time.Now()
	for {
		now, err := take(ctx, s, b)
		if err != nil {
			return state{}, err
		}
		if !now.quiet() || len(calm.beyond(now, math.MaxInt32)) > 0 {
			calm, since = now, time.Now()
		}
		if time.Since(since) > 6*time.Second { // idle upstream connections last 4 s
			return now, nil
		}
		if !child.Wait(ctx, 200*time.Millisecond) {
			return state{}, fmt.Errorf("waiting for sluice to come to rest: %w (%+v)", ctx.Err(), now)
		}
	}
}
