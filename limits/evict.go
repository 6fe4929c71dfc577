package limits

import (
	"time"
)

const (
	// evictEvery is how often idle subjects are looked for.
	evictEvery = 10 * time.Second
	// askAgain is how long a subject must be idle before what it has spent is left to
	// the books, which the next request will ask.
	askAgain = time.Hour
	// evictAtOnce is how many subjects are looked at with the mutex held.
	evictAtOnce = 500
)

// evict forgets the subjects that look as if they had never been there, and those whose
// spending can be asked for again.
func (m *memory) evict() {
	m.mu.Lock()
	defer m.mu.Unlock()
	looked := 0
	for key, e := range m.entries {
		if m.idle(e) {
			delete(m.entries, key)
		}
		if looked++; looked%evictAtOnce == 0 {
			m.mu.Unlock()
			m.mu.Lock()
		}
	}
}

func (m *memory) idle(e *entry) bool {
	if e.reservations > 0 {
		return false
	}
	now := m.now()
	at := m.microseconds(now)
	e.requests.advance(at)
	e.tokens.advance(at)
	if e.requests.level > 0 || e.tokens.level > 0 {
		return false
	}
	day := max(e.day, m.calendar.advance(now))
	known := (m.seeded || m.shared) && at-e.touched > float64(askAgain.Microseconds())
	for s, w := range e.windows {
		if w == nil || w.spent() == 0 && !m.seeded && !m.shared {
			continue
		}
		if w.pending != 0 || w.id == slot(s).window(day) && !known {
			return false
		}
	}
	return true
}

// seed tells what was spent in a window before the time when had was counted in it.
func (m *memory) seed(key name, s slot, window string, spent, had int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil {
		return // gone in the meantime; who comes next asks again
	}
	w := e.window(s, window, false)
	if !w.seeded {
		w.known = max(w.known, spent+w.known-had)
		w.seeded = true
	}
}

// learn takes over what the shared counters say was spent. Call it with the mutex held.
func (m *memory) learn(w *window, spent int64) {
	w.known = max(w.known, spent)
	w.seeded = true
}

// knows is what a window has, without what is pending, and whether that is all.
func (m *memory) knows(key name, s slot, window string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil || e.windows[s] == nil || e.windows[s].id != window {
		return 0, false
	}
	return e.windows[s].known, e.windows[s].seeded
}

// confirm moves what the shared counters have been told from pending to known. Call it
// with the mutex held.
func (m *memory) confirm(key name, s slot, window string, spent int64) {
	e := m.entries[key]
	if e == nil || e.windows[s] == nil || e.windows[s].id != window {
		return
	}
	told := min(spent, e.windows[s].pending)
	e.windows[s].known += told
	e.windows[s].pending -= told
}
