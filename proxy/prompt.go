package proxy

import (
	"sync"

	"github.com/sluicehq/sluice/accounting"
)

// keptPrompt bounds the request body that is kept for an estimate of its tokens
// while the answer streams. Of a larger one a sketch is kept, and the rest let go.
const keptPrompt = 256 << 10

// prompt is the client's body as far as tokens are counted in it.
type prompt struct {
	mu   sync.Mutex
	body []byte
	// Of a large body that has been let go: its size, a sketch of it, and the most tokens
	// of output that it allows.
	length int
	sketch *accounting.Sketch
	limit  int64
}

func (p *prompt) set(body []byte) { p.body, p.length = body, len(body) }

// bytes is the body, nil once it has been let go.
func (p *prompt) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.body
}

// size is that of the body in bytes, also when it has been let go.
func (p *prompt) size() int { return p.length }

// release lets a large body go. Its sketch is made for the model of a.
func (p *prompt) release(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.body) <= keptPrompt {
		return
	}
	p.limit, _ = accounting.OutputLimit(p.body)
	p.sketch = a.srv.estimator.Sketch(a.target.model, string(a.endpoint), p.body)
	p.body = nil
}

// outputLimit is the most tokens of output that the request allows, 0 if it says nothing.
func (p *prompt) outputLimit() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sketch != nil {
		return p.limit
	}
	limit, _ := accounting.OutputLimit(p.body)
	return limit
}
