package balance

import "container/list"

// queue lets its owners have their turns one after the other, so that one with many
// waiters delays another by one turn at most. Waiters of one owner go in the order in
// which they came.
type queue struct {
	owners map[string]*line
	order  *list.List // of *line: those with waiters, the next one in front
	length int
}

// line holds the waiters of one owner, at least one.
type line struct {
	owner   string
	waiters *list.List // of *waiter
	place   *list.Element
}

// waiter is one that waits for a turn.
type waiter struct {
	line  *line
	place *list.Element // nil once it has its turn
	ready chan struct{} // closed then
}

func (q *queue) init() {
	q.owners = make(map[string]*line)
	q.order = list.New()
}

// push puts a waiter behind those of its owner.
func (q *queue) push(owner string) *waiter {
	l := q.owners[owner]
	if l == nil {
		l = &line{owner: owner, waiters: list.New()}
		l.place = q.order.PushBack(l)
		q.owners[owner] = l
	}
	w := &waiter{line: l, ready: make(chan struct{})}
	w.place = l.waiters.PushBack(w)
	q.length++
	return w
}

// pop gives the turn to the next waiter. There must be one.
func (q *queue) pop() {
	l := q.order.Front().Value.(*line)
	w := l.waiters.Front().Value.(*waiter)
	q.order.MoveToBack(l.place)
	q.remove(w)
	close(w.ready)
}

// remove takes a waiter out, wherever it stands. It must still be waiting.
func (q *queue) remove(w *waiter) {
	l := w.line
	l.waiters.Remove(w.place)
	w.place = nil
	q.length--
	if l.waiters.Len() == 0 {
		q.order.Remove(l.place)
		delete(q.owners, l.owner)
	}
}

// position is the place that a new waiter of the owner would have, counted from 1, if
// nobody came after it.
func (q *queue) position(owner string) int {
	own := 0
	if l := q.owners[owner]; l != nil {
		own = l.waiters.Len()
	}
	place := own + 1
	for e := q.order.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*line); l.owner != owner {
			place += min(l.waiters.Len(), own+1)
		}
	}
	return place
}
