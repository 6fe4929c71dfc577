//go:build linux

package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// tally counts what the streams of one measurement did. Chunks and latencies are
// counted while the window is open; streams, and what broke, all the time.
type tally struct {
	window  atomic.Bool
	chunks  atomic.Int64
	latency histogram

	mu      sync.Mutex
	streams int
	broken  map[string]int
	example string
}

// delta counts one delta that was sent and read at these times.
func (t *tally) delta(sent, read int64) {
	if t.window.Load() {
		t.chunks.Add(1)
		t.latency.add(time.Duration(read - sent))
	}
}

// stream counts one stream; err says how it broke, if it did.
func (t *tally) stream(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams++
	if err == nil {
		return
	}
	if t.broken == nil {
		t.broken = map[string]int{}
	}
	t.broken[kindOf(err)]++
	if t.example == "" {
		t.example = err.Error()
	}
}

// kindOf names the way in which a stream broke.
func kindOf(err error) string {
	for _, kind := range []error{errConnect, errStatus, errTimeout, errOrder, errMissing, errMalformed} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return errCut.Error()
}

// report returns the counts together with the figures of the measurement.
func (t *tally) report(figures map[string]float64) report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return report{Figures: figures, Streams: t.streams, Broken: t.broken, Example: t.example}
}

// report is what the client subcommand prints.
type report struct {
	// Figures are keyed as in figuresOf.
	Figures map[string]float64 `json:"figures"`
	// Streams is the number of streams that were checked.
	Streams int `json:"streams"`
	// Broken counts streams by the way in which they broke.
	Broken map[string]int `json:"broken,omitempty"`
	// Example is the text of the first failure.
	Example string `json:"example,omitempty"`
}

// breaks is the number of broken streams.
func (r report) breaks() (n int) {
	for _, count := range r.Broken {
		n += count
	}
	return n
}
