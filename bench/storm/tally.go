//go:build linux

package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ending is how a request ended for its client.
type ending int

const (
	endWhole   ending = iota // the last byte came
	endBroken                // it did not
	endAborted               // the client left
	endRefused               // by a limit, or because the ledger cannot be written
	endFailed                // another error
)

// tally counts what clients saw.
type tally struct {
	requests atomic.Int64

	mu      sync.Mutex
	ends    [endFailed + 1]int
	whole   []string        // ids whose end a client saw
	cancels []time.Duration // until a cancel was answered
}

func (t *tally) note(id string, end ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[end]++
	if end == endWhole {
		t.whole = append(t.whole, id)
	}
}

func (t *tally) cancelled(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancels = append(t.cancels, took)
}

// quantile of a list of durations, in milliseconds; 0 of none.
func quantile(of []time.Duration, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Clone(of)
	slices.Sort(sorted)
	at := min(int(float64(len(sorted))*q), len(sorted)-1)
	return float64(sorted[at].Microseconds()) / 1000
}
