package openai

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// copier writes a JSON object anew, member by member, in the white space that it came
// with: if every member is kept, the copy equals the original in all bytes.
type copier struct {
	out   []byte
	raw   string // the object
	at    int    // its offset in the document
	from  int    // in raw, where the next member's lead begins
	first string // white space in front of the first member
	begun bool   // a member of raw has been met
	n     int    // members written
}

func copyObject(dst []byte, v jsonview.Value) copier {
	return copier{out: append(dst, '{'), raw: v.Raw, at: v.At, from: 1}
}

// lead takes what stands between the member before and this one's value: the white
// space and comma, and the name with its colon.
func (c *copier) lead(m jsonview.Value) (gap, name string) {
	start := m.At - c.at
	text := c.raw[c.from:start]
	quote := max(strings.IndexByte(text, '"'), 0)
	gap, name = text[:quote], text[quote:]
	if !c.begun {
		c.begun, c.first = true, gap
	}
	c.from = start + len(m.Raw)
	return gap, name
}

// open writes the name of a member; its value is to be appended to out next.
func (c *copier) open(m jsonview.Value) {
	gap, name := c.lead(m)
	c.separate(gap)
	c.out = append(c.out, name...)
}

// separate writes what stands in front of a member.
func (c *copier) separate(gap string) {
	comma := strings.IndexByte(gap, ',') >= 0
	switch {
	case c.n == 0 && comma: // those in front of it are gone
		c.out = append(c.out, c.first...)
	case c.n > 0 && !comma: // others were put in front of it
		c.out = append(append(c.out, ','), gap...)
	default:
		c.out = append(c.out, gap...)
	}
	c.n++
}

func (c *copier) keep(m jsonview.Value) {
	c.open(m)
	c.out = append(c.out, m.Raw...)
}

// put keeps the member with another value.
func (c *copier) put(m jsonview.Value, value string) {
	c.open(m)
	c.out = append(c.out, value...)
}

func (c *copier) drop(m jsonview.Value) { c.lead(m) }

// add writes a new member behind those written so far; value may be empty, and then has
// to be appended to out.
func (c *copier) add(name, value string) {
	if c.n > 0 {
		c.out = append(c.out, ',')
	}
	c.n++
	c.out = append(c.out, '"')
	c.out = append(c.out, name...)
	c.out = append(c.out, `":`...)
	c.out = append(c.out, value...)
}

// close ends the object and returns the output.
func (c *copier) close() []byte { return append(c.out, c.raw[c.from:]...) }

// isEmpty tells whether a value says nothing: absent, null or "".
func isEmpty(v jsonview.Value) bool {
	return !v.Exists() || v.IsNull() || v.Raw == `""`
}

// isNothing tells whether the member of a delta adds nothing to a message: null and
// everything that is empty.
func isNothing(v jsonview.Value) bool {
	return isEmpty(v) || (v.IsArray() || v.IsObject()) && v.Len() == 0
}
