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
	byID     map[string]int // slot of the latest record of an id
	byUID    map[UID]int    // slot of each record
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
		byID:     make(map[string]int),
		byUID:    make(map[UID]int),
	}
}

// Begin implements Ledger. Nothing is kept of an intent: it would be lost with the
// process all the same.
func (m *Memory) Begin(intent Intent) *Receipt {
	if intent.UID.IsZero() {
		return Settled(ErrNoID)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Settled(ErrLedgerClosed)
	}
	return Settled(nil)
}

// Checkpoint implements Ledger.
func (m *Memory) Checkpoint([]Checkpoint) {}

// Finish implements Ledger.
func (m *Memory) Finish(r *Record) *Receipt {
	if r == nil || r.UID.IsZero() {
		return Settled(ErrNoID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Settled(ErrLedgerClosed)
	}
	if _, finished := m.byUID[r.UID]; finished {
		return Settled(ErrAlreadyFinished)
	}
	compact(r)
	m.push(r)
	return Settled(nil)
}

// Amend implements Ledger. A record that has been forgotten is not missed.
func (m *Memory) Amend(r *Record) *Receipt {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slot, known := m.byUID[r.UID]; known {
		compact(r)
		*m.at(slot) = r
	}
	return Settled(nil)
}

// at is the place of a record; its block is made when it is needed.
func (m *Memory) at(slot int) **Record {
	block := &m.blocks[slot/memoryBlock]
	if *block == nil {
		*block = make([]*Record, min(memoryBlock, m.capacity-slot/memoryBlock*memoryBlock))
	}
	return &(*block)[slot%memoryBlock]
}

// push stores r in the next slot and forgets the record that was there.
func (m *Memory) push(r *Record) {
	place := m.at(m.next)
	if old := *place; old != nil {
		delete(m.byUID, old.UID)
		if m.byID[old.ID] == m.next {
			delete(m.byID, old.ID)
		}
	}
	*place = r
	m.byID[r.ID], m.byUID[r.UID] = m.next, m.next
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

// Get implements Ledger. It does not wait, so it does not watch the context.
func (m *Memory) Get(_ context.Context, id string) (*Record, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	slot, ok := m.byID[id]
	if !ok {
		return nil, false
	}
	return *m.at(slot), true
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
		recent = append(recent, *m.at(at))
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
