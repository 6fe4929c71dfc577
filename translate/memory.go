package translate

import (
	"container/list"
	"strings"
	"sync"
)

// Memory remembers for a while what must come back to providers and what chat clients
// drop, least recently used first to go. It is safe for concurrent use.
type Memory struct {
	most    int // bytes of all that is remembered
	largest int // bytes of one thing

	mu    sync.Mutex
	size  int
	byKey map[memoryKey]*list.Element
	order *list.List // of *memento, the one used last in front
}

type memoryKey struct{ scope, callID string }

type memento struct {
	key memoryKey
	raw string
}

const (
	// largestMemento bounds one thing that is remembered, signatures of thoughts being
	// of some kilobytes.
	largestMemento = 1 << 20
	// mementoOverhead is about what the bookkeeping for one thing takes.
	mementoOverhead = 256
)

// NewMemory makes a memory of at most maxBytes. It remembers nothing if that is 0.
func NewMemory(maxBytes int) *Memory {
	return &Memory{
		most: max(maxBytes, 0), largest: min(max(maxBytes, 0)/4, largestMemento),
		byKey: make(map[memoryKey]*list.Element), order: list.New(),
	}
}

// For is the part of the memory that belongs to a scope: the alias of a client's key
// and a provider. What is remembered in one scope cannot be found in another. It is nil
// if the memory remembers nothing.
func (m *Memory) For(scope string) Carried {
	if m == nil || m.most == 0 {
		return nil
	}
	return scoped{m, scope}
}

// scoped is a Memory for one scope.
type scoped struct {
	memory *Memory
	scope  string
}

// Keep implements Carried. What is too large is not remembered, and what was
// remembered before for the call is forgotten then too.
func (s scoped) Keep(callID, raw string) {
	s.memory.keep(memoryKey{s.scope, callID}, raw)
}

// Find implements Carried.
func (s scoped) Find(callID string) string {
	return s.memory.find(memoryKey{s.scope, callID})
}

func (m *Memory) keep(key memoryKey, raw string) {
	size := mementoSize(key, raw)
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.byKey[key]; ok {
		m.forget(known)
	}
	if raw == "" || key.callID == "" || size > m.largest {
		return
	}
	key = memoryKey{strings.Clone(key.scope), strings.Clone(key.callID)}
	m.byKey[key] = m.order.PushFront(&memento{key, strings.Clone(raw)})
	for m.size += size; m.size > m.most; {
		m.forget(m.order.Back())
	}
}

func (m *Memory) find(key memoryKey) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.byKey[key]
	if !ok {
		return ""
	}
	m.order.MoveToFront(known)
	return known.Value.(*memento).raw
}

func (m *Memory) forget(known *list.Element) {
	thing := m.order.Remove(known).(*memento)
	delete(m.byKey, thing.key)
	m.size -= mementoSize(thing.key, thing.raw)
}

func mementoSize(key memoryKey, raw string) int {
	return len(key.scope) + len(key.callID) + len(raw) + mementoOverhead
}
