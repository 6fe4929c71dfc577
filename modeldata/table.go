package modeldata

import (
	"slices"
	"strings"
	"sync"
)

// Table tells what is known of which model. It is safe for concurrent use.
type Table struct {
	entries []entry

	mu    sync.RWMutex
	found map[question]Model // answers given before, at most maxFound
}

// entry is what models of certain names have in common.
type entry struct {
	patterns []string // in lower case
	dialects []string // none for all
	facts    facts
}

// question is what Find was asked.
type question struct{ dialect, model string }

const (
	// maxFound bounds the answers that are remembered, and maxRemembered the length of
	// the names that they are remembered for: clients make names up.
	maxFound      = 1024
	maxRemembered = 256
)

// Find returns what is known of a model, by the name that its provider gives it, when
// it is spoken to in the given dialect. Of entries that match, each overrides those
// before it, member by member. Nothing is known of most models.
func (t *Table) Find(dialect, model string) Model {
	if t == nil {
		return Model{}
	}
	asked := question{dialect, model}
	t.mu.RLock()
	known, ok := t.found[asked]
	t.mu.RUnlock()
	if ok {
		return known
	}
	known = t.look(dialect, model)
	if len(dialect)+len(model) <= maxRemembered {
		t.remember(question{strings.Clone(dialect), strings.Clone(model)}, known)
	}
	return known
}

func (t *Table) look(dialect, model string) Model {
	var m Model
	full := strings.ToLower(model)
	plain := plainName(full)
	for _, e := range t.entries {
		if e.applies(dialect, full, plain) {
			e.facts.apply(&m)
		}
	}
	return m
}

func (t *Table) remember(asked question, m Model) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found == nil || len(t.found) >= maxFound {
		t.found = make(map[question]Model)
	}
	t.found[asked] = m
}

func (e *entry) applies(dialect, full, plain string) bool {
	if len(e.dialects) > 0 && !slices.Contains(e.dialects, dialect) {
		return false
	}
	for _, pattern := range e.patterns {
		if matches(pattern, plain) || matches(pattern, full) {
			return true
		}
	}
	return false
}
