//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tidwall/gjson"
)

// The ways in which a stream breaks. A stream counts under the first that applies.
var (
	errConnect   = errors.New("no connection")
	errStatus    = errors.New("bad status")
	errCut       = errors.New("cut short")
	errTimeout   = errors.New("timed out")
	errMalformed = errors.New("malformed")
	errOrder     = errors.New("out of order")
	errMissing   = errors.New("parts missing")
)

// checker reads one event stream, in pieces of any size, and holds it against
// what the mock sent: every delta once and in order, then the finish chunk, the
// usage chunk and [DONE], and nothing after it.
type checker struct {
	// want is the number of deltas that were asked for; 0 takes the number that
	// the usage chunk states.
	want    int
	deltas  int
	usage   int64
	used    bool
	finish  bool
	done    bool
	pending []byte // an incomplete line
}

// reset prepares the checker for a stream of want deltas.
func (c *checker) reset(want int) {
	*c = checker{want: want, pending: c.pending[:0]}
}

// feed takes the next piece of the body, and calls onDelta with the send time of
// every delta that is complete with it.
func (c *checker) feed(piece []byte, onDelta func(sent int64)) error {
	for len(piece) > 0 {
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			c.pending = append(c.pending, piece...)
			return nil
		}
		line := piece[:end]
		if len(c.pending) > 0 {
			c.pending = append(c.pending, line...)
			line = c.pending
		}
		piece = piece[end+1:]
		err := c.line(bytes.TrimSuffix(line, []byte("\r")), onDelta)
		c.pending = c.pending[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// line takes one line of the stream. Blank lines, comments and fields other than
// data carry nothing that is checked.
func (c *checker) line(line []byte, onDelta func(sent int64)) error {
	data, found := bytes.CutPrefix(line, []byte("data:"))
	if !found {
		return nil
	}
	data = bytes.TrimPrefix(data, []byte(" "))
	if c.done {
		return fmt.Errorf("%w: an event after [DONE]", errMalformed)
	}
	if string(data) == "[DONE]" {
		c.done = true
		return nil
	}
	if !gjson.ValidBytes(data) {
		return fmt.Errorf("%w: an event that is not JSON after %d deltas", errMalformed, c.deltas)
	}
	if text := gjson.GetBytes(data, "choices.0.delta.content").Str; text != "" {
		return c.content(text, onDelta)
	}
	return c.other(data)
}

// content takes the text of one event, which may hold several deltas if a proxy
// joins them.
func (c *checker) content(text string, onDelta func(sent int64)) error {
	if c.finish {
		return fmt.Errorf("%w: content after the finish chunk", errOrder)
	}
	for len(text) > 0 {
		number, sent, ok := readStamp(text)
		if !ok {
			return fmt.Errorf("%w: foreign content after %d deltas", errMalformed, c.deltas)
		}
		if number != c.deltas {
			return fmt.Errorf("%w: delta %d in place of %d", errOrder, number, c.deltas)
		}
		c.deltas++
		onDelta(sent)
		text = text[stampLength:]
	}
	return nil
}

// other takes an event without content.
func (c *checker) other(data []byte) error {
	if gjson.GetBytes(data, "error").Exists() {
		return fmt.Errorf("%w: an error event after %d deltas", errCut, c.deltas)
	}
	if gjson.GetBytes(data, "choices.0.finish_reason").Str == "stop" {
		c.finish = true
	}
	if count := gjson.GetBytes(data, "usage.completion_tokens"); count.Type == gjson.Number {
		c.usage, c.used = count.Int(), true
	}
	return nil
}

// verdict judges a stream whose body has ended.
func (c *checker) verdict() error {
	want := c.want
	if want == 0 {
		want = int(c.usage)
	}
	switch {
	case !c.done:
		return fmt.Errorf("%w: no [DONE] after %d deltas", errCut, c.deltas)
	case c.deltas != want:
		return fmt.Errorf("%w: %d deltas of %d", errMissing, c.deltas, want)
	case !c.finish:
		return fmt.Errorf("%w: no finish chunk", errMissing)
	case !c.used:
		return fmt.Errorf("%w: no usage chunk", errMissing)
	case c.usage != int64(want):
		return fmt.Errorf("%w: a usage of %d for %d deltas", errMalformed, c.usage, want)
	}
	return nil
}
