package proxy

import (
	"runtime/debug"
	"sync"
)

// background is the work that belongs to no exchange any more, or never did. It ends with
// the life of the server.
type background struct {
	mu      sync.Mutex
	closed  bool
	waiting sync.WaitGroup
}

// start runs work in a goroutine of its own. It reports false, and does nothing, after
// close.
func (b *background) start(s *Server, what string, work func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.waiting.Go(func() {
		defer func() {
			if recover() != nil { // its value may quote what a provider has said
				s.log.Error("panic in the background", "while", what, "stack", string(debug.Stack()))
			}
		}()
		work()
	})
	return true
}

// close returns when everything has ended, which it does soon after the server's life.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.waiting.Wait()
}
