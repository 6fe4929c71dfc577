//go:build linux

package child

import (
	"bytes"
	"strings"
	"sync"
)

const keptOutput = 8 << 10

// lastWords keeps the end of what a process prints, and whether it was in trouble.
type lastWords struct {
	mu   sync.Mutex
	text []byte
	bad  string
}

// Write keeps the last bytes of text.
func (w *lastWords) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, trouble := range []string{"DATA RACE", "panic:", "[running]:"} {
		if w.bad == "" && bytes.Contains(text, []byte(trouble)) {
			w.bad = trouble
		}
	}
	w.text = append(w.text, text...)
	if extra := len(w.text) - keptOutput; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(text), nil
}

// trouble is what tells that the process was in trouble, or empty.
func (w *lastWords) trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.text))
}
