package framing

import "github.com/sluicehq/sluice/sse"

// maxIdleBuffer is the largest buffer that is kept between two events: a quiet stream
// shall not hold the memory of its largest event.
const maxIdleBuffer = 4 << 10

// carry is what the splitters have in common: the bytes at hand, and the beginning of
// an event that was cut by the end of a Feed.
type carry struct {
	max int
	in  []byte // what the last Feed brought, borrowed
	pos int    // start of what Next has not looked at

	held     []byte // the bytes of the event from earlier Feeds
	size     int    // their number, even if they are not kept
	overflow bool   // the event is larger than max
	err      error
}

func (c *carry) Feed(p []byte) { c.in, c.pos = p, 0 }

func (c *carry) AtBoundary() bool { return c.pos >= len(c.in) && c.size == 0 }

func (c *carry) Err() error { return c.err }

// fail ends the body.
func (c *carry) fail(err error) bool {
	c.err = err
	c.held, c.size, c.overflow = nil, 0, false
	return false
}

// skipBlanks goes past the white space of JSON.
func (c *carry) skipBlanks() {
	for c.pos < len(c.in) && isBlank(c.in[c.pos]) {
		c.pos++
	}
}

func isBlank(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }

// hold keeps p, the next bytes of an event, for the next Feed.
func (c *carry) hold(p []byte) {
	c.size += len(p)
	if c.size > c.max {
		c.overflow = true
	}
	if c.overflow {
		c.held = nil
		return
	}
	c.held = append(c.held, p...)
}

// holdRest keeps everything from start on.
func (c *carry) holdRest(start int) {
	c.hold(c.in[start:])
	c.pos = len(c.in)
}

// take is the whole event, of which p are the last bytes; nil if it is too large. The
// event is over then.
func (c *carry) take(p []byte) (event []byte, fits bool) {
	event = p
	if c.size > 0 {
		c.hold(p)
		event = c.held
	} else if len(p) > c.max {
		c.overflow = true
	}
	fits = !c.overflow
	c.size, c.overflow = 0, false
	if !fits {
		return nil, false
	}
	return event[:len(event):len(event)], true
}

// set is the event that take returned.
func set(ev *sse.Event, end int, data []byte, fits bool) {
	*ev = sse.Event{Data: data, End: end, Overflow: !fits}
}

// release forgets the event before, and its memory if that is large.
func (c *carry) release() { c.held = emptied(c.held) }

func emptied(b []byte) []byte {
	if cap(b) > maxIdleBuffer {
		return nil
	}
	return b[:0]
}
