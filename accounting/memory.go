package accounting

import (
	"context"
	"slices"
	"sync"
)

// DefaultMemoryRecords is how many records a Memory keeps when not told otherwise.
const DefaultMemoryRecords = 10_000

// memoryBlock is the number of ring slots allocated at a time, so that an idle
// process does not pay for its capacity.
const memoryBlock = 256

// Memory is a Ledger without a disk: the last records in a ring, found by id
// or newest first. A record is forgotten only when the ring needs its place.
type Memory struct {
	mu       sync.RWMutex
	blocks   [][]*Record
	capacity int
	next     int // slot of the next record
	count    int
	byID     map[string]*Record
	open     map[string]struct{} // begun and not finished
	closed   bool
}

var _ Ledger = (*Memory)(nil)

// NewMemory returns a ledger of the last capacity records;
// DefaultMemoryRecords when capacity is zero or less.
func NewMemory(capacity int) *Memory {
	if capacity <= 0 {
		capacity = DefaultMemoryRecords
	}
	return &Memory{
		blocks:   make([][]*Record, (capacity+memoryBlock-1)/memoryBlock),
		capacity: capacity,
		byID:     make(map[string]*Record),
		open:     make(map[string]struct{}),
	}
}

// Begin implements Ledger. It never blocks, so it does not watch the context.
func (m *Memory) Begin(_ context.Context, intent Intent) error {
	if intent.ID == "" {
		return ErrNoID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrLedgerClosed
	}
	m.open[intent.ID] = struct{}{}
	return nil
}

// Finish implements Ledger. An exchange that never began may finish too, once.
func (m *Memory) Finish(r *Record) error {
	if r == nil || r.ID == "" {
		return ErrNoID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrLedgerClosed
	}
	if _, open := m.open[r.ID]; !open {
		if _, finished := m.byID[r.ID]; finished {
			return ErrAlreadyFinished
		}
	}
	delete(m.open, r.ID)
	compact(r)
	m.push(r)
	return nil
}

// push stores r in the next slot and forgets the record that was there.
func (m *Memory) push(r *Record) {
	block, slot := m.next/memoryBlock, m.next%memoryBlock
	if m.blocks[block] == nil {
		m.blocks[block] = make([]*Record, min(memoryBlock, m.capacity-block*memoryBlock))
	}
	if old := m.blocks[block][slot]; old != nil && m.byID[old.ID] == old {
		delete(m.byID, old.ID)
	}
	m.blocks[block][slot] = r
	m.byID[r.ID] = r
	m.next = (m.next + 1) % m.capacity
	m.count = min(m.count+1, m.capacity)
}

// compact lets go of slack that the record would hold for as long as it is
// kept, and of the buffer behind the raw usage.
func compact(r *Record) {
	r.RawUsage = slices.Clone(r.RawUsage)
	r.Attempts = shrink(r.Attempts)
	r.ToolCalls = shrink(r.ToolCalls)
	r.FinishReasons = shrink(r.FinishReasons)
	r.Warnings = shrink(r.Warnings)
}

// shrink returns s without spare capacity. It copies only when there is some.
func shrink[T any](s []T) []T {
	if len(s) == cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// Get implements Ledger.
func (m *Memory) Get(id string) (*Record, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.byID[id]
	return r, ok
}

// Recent implements Ledger.
func (m *Memory) Recent(limit int) []*Record {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if limit <= 0 || limit > m.count {
		limit = m.count
	}
	recent := make([]*Record, 0, limit)
	for i := 1; i <= limit; i++ {
		at := (m.next - i + m.capacity) % m.capacity
		recent = append(recent, m.blocks[at/memoryBlock][at%memoryBlock])
	}
	return recent
}

// Len returns the number of records kept.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.count
}

// Close implements Ledger. What is kept stays readable.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
