package downstream

import "sync/atomic"

const (
	// bytesPerBodyByte is what a byte of a request's body is taken to cost: once as
	// it was received, and once as what it is rewritten to for the upstream.
	bytesPerBodyByte = 2
	// memoryStep is how much of a body of unknown length is reserved at a time.
	memoryStep = 16 << 10
)

// Memory is a budget of bytes for the bodies of requests, which servers may share.
// A body is paid for before it is read, with two bytes for each of its own, so that
// a flood of large bodies is refused instead of taken in. It is safe for concurrent
// use.
type Memory struct {
	used  atomic.Int64
	limit atomic.Int64
}

// NewMemory makes a budget of limit bytes; below one there is no limit. A request
// needs twice its body at once, so a limit below twice the largest body accepted
// refuses the largest ones for ever.
func NewMemory(limit int64) *Memory {
	m := &Memory{}
	m.limit.Store(limit)
	return m
}

// Used returns the bytes that are reserved now.
func (m *Memory) Used() int64 { return m.used.Load() }

// Limit returns the bytes that may be reserved; below one there is no limit.
func (m *Memory) Limit() int64 { return m.limit.Load() }

// SetLimit changes the limit for what is reserved from now on. What is reserved
// already stays, even beyond it.
func (m *Memory) SetLimit(limit int64) { m.limit.Store(limit) }

func (m *Memory) reserve(n int64) bool {
	for {
		used := m.used.Load()
		if limit := m.limit.Load(); limit > 0 && n > limit-used {
			return false
		}
		if m.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (m *Memory) release(n int64) { m.used.Add(-n) }

// reserve pays for n more bytes of the present request's body.
func (c *Conn) reserve(n int64) bool {
	m := c.srv.cfg.Memory
	if m == nil || n <= 0 {
		return true
	}
	n *= bytesPerBodyByte
	if !m.reserve(n) {
		return false
	}
	c.reserved.Add(n)
	return true
}

// ReleaseMemory gives back what the present request's body has reserved of
// Config.Memory. It is called by an exchange that needs the body no longer, from any
// goroutine but not after Resume, Part or Close; those call it too. Repeated calls do
// nothing.
func (c *Conn) ReleaseMemory() {
	if c.reserved.Load() == 0 {
		return
	}
	if n := c.reserved.Swap(0); n != 0 {
		c.srv.cfg.Memory.release(n)
	}
}
