package gemini

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// writer appends compact JSON and puts the commas.
type writer struct{ b []byte }

// value prepares for a value: a comma, unless it is the first of its kind or has a name.
func (w *writer) value() {
	if n := len(w.b); n > 0 {
		switch w.b[n-1] {
		case '{', '[', ':':
		default:
			w.b = append(w.b, ',')
		}
	}
}

// key appends the name of a member, which must need no escapes.
func (w *writer) key(name string) {
	w.value()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, `":`...)
}

// anyKey appends a name that may be anything.
func (w *writer) anyKey(name string) {
	w.text(name)
	w.b = append(w.b, ':')
}

func (w *writer) open(bracket byte) {
	w.value()
	w.b = append(w.b, bracket)
}

func (w *writer) close(bracket byte) { w.b = append(w.b, bracket) }

// raw appends a JSON value without its white space.
func (w *writer) raw(value string) {
	w.value()
	w.b = jsonview.AppendCompact(w.b, value)
}

// text appends decoded text.
func (w *writer) text(s string) {
	w.value()
	w.b = translate.AppendQuoted(w.b, s)
}

func (w *writer) number(n int64) {
	w.value()
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) member(name, raw string) {
	w.key(name)
	w.raw(raw)
}

func (w *writer) textMember(name, s string) {
	w.key(name)
	w.text(s)
}

// optional appends a member if there is one.
func (w *writer) optional(name string, v jsonview.Value) {
	if v.Exists() {
		w.member(name, v.Raw)
	}
}
