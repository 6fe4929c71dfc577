package proxy

import (
	"sync"

	"github.com/sluicehq/sluice/sse"
)

// batch is what one read brought: whole events, forwarded in one write and counted
// after it.
type batch struct {
	data, name [][]byte
	// out holds what cannot leave in place, behind room for a chunk's head: an
	// event that began in an earlier read, or events that were edited.
	out []byte
}

var batches = sync.Pool{New: func() any { return &batch{out: make([]byte, maxChunkHead, 1<<10)} }}

func takeBatch() *batch { return batches.Get().(*batch) }

func (w *batch) release() {
	clear(w.data[:cap(w.data)])
	clear(w.name[:cap(w.name)])
	w.data, w.name, w.out = w.data[:0], w.name[:0], w.out[:maxChunkHead]
	if cap(w.out) <= maxHeld/4 {
		batches.Put(w)
	}
}

// add notes an event for counting.
func (w *batch) add(ev *sse.Event) {
	if ev.Data != nil {
		w.data = append(w.data, ev.Data)
		w.name = append(w.name, ev.Name)
	}
}
