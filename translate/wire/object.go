// Package wire has what dialects share when they write a provider's request and read its
// errors.
package wire

import (
	"slices"
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Object writes a JSON object, compact, and knows which members it has. A member is
// begun by Name and consists of what is appended to Out then. Open begins an object or a
// list inside of it, to which everything is added until Close.
type Object struct {
	Out   []byte
	names []string
	depth int // of what is open
}

// NewObject begins an object in new memory of about size bytes.
func NewObject(size int) *Object {
	return &Object{Out: append(make([]byte, 0, size), '{')}
}

// Name begins a member.
func (o *Object) Name(name string) {
	o.Item()
	o.Out = append(translate.AppendQuoted(o.Out, name), ':')
	if o.depth == 0 {
		o.names = append(o.names, name)
	}
}

// Item begins an element of a list.
func (o *Object) Item() {
	switch o.Out[len(o.Out)-1] {
	case '{', '[', ':': // which end no value
	default:
		o.Out = append(o.Out, ',')
	}
}

// Open begins an object or a list, by its bracket: the value of the member that was begun,
// or an element.
func (o *Object) Open(bracket byte) {
	o.Item()
	o.Out = append(o.Out, bracket)
	o.depth++
}

// Close ends what Open began.
func (o *Object) Close(bracket byte) {
	o.Out = append(o.Out, bracket)
	o.depth--
}

// Has reports whether the object itself has a member.
func (o *Object) Has(name string) bool { return slices.Contains(o.names, name) }

// Raw adds a value of the client's as it stands, unless it does not exist.
func (o *Object) Raw(name string, v jsonview.Value) {
	if v.Exists() {
		o.Name(name)
		o.Out = jsonview.AppendCompact(o.Out, v.Raw)
	}
}

// Strings adds a list of the client's strings, unless it is empty.
func (o *Object) Strings(name string, all []jsonview.Value) {
	if len(all) == 0 {
		return
	}
	o.Name(name)
	o.Open('[')
	for _, v := range all {
		o.Item()
		o.Out = append(o.Out, v.Raw...)
	}
	o.Close(']')
}

// Text adds a string.
func (o *Object) Text(name, text string) {
	o.Name(name)
	o.Out = translate.AppendQuoted(o.Out, text)
}

// Literal adds a value that is JSON already.
func (o *Object) Literal(name, json string) {
	o.Name(name)
	o.Out = append(o.Out, json...)
}

// Bool adds a truth value.
func (o *Object) Bool(name string, b bool) {
	o.Name(name)
	o.Out = strconv.AppendBool(o.Out, b)
}

// Int adds a whole number.
func (o *Object) Int(name string, n int64) {
	o.Name(name)
	o.Out = strconv.AppendInt(o.Out, n, 10)
}

// Add adds members that the client meant for the provider. It refuses by name one that
// is there already; prefix is what stands in front of the name in the error.
func (o *Object) Add(prefix string, members []translate.Member) *translate.Error {
	for _, m := range members {
		if o.Has(m.Name) {
			return translate.Unsupported(prefix+m.Name,
				"other members of the request have said the same already in the words of the OpenAI API")
		}
		o.Raw(m.Name, m.Value)
	}
	return nil
}

// End ends the object and returns it.
func (o *Object) End() []byte { return append(o.Out, '}') }
