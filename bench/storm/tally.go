//go:build linux

package main

import (
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
