// Package framing cuts the bodies of streamed answers into events, whatever the
// division of the bytes it is fed: server-sent events, JSON lines, JSON arrays and the
// binary frames of application/vnd.amazon.eventstream.
package framing

import (
	"errors"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// Splitter cuts one body into events. It is used as an sse.Scanner is:
//
//	s.Feed(p)
//	for s.Next(&ev) { ... }
//
// and Flush once the body has ended. Of the event, Name, Data, End and Overflow mean
// what they mean in sse; the framings other than SSE leave Raw nil and Joined unset.
//
// Feed borrows its argument until the next Feed, and the event's slices are borrowed
// until the next call of Next, Flush or Feed. An event that lies whole in what was fed
// is not copied.
type Splitter interface {
	// Feed hands over the next bytes of the body. Call Next until it returns false
	// before feeding more.
	Feed(p []byte)
	// Next reads the next complete event into ev and reports whether there was one.
	Next(ev *sse.Event) bool
	// Flush returns what the end of the body leaves as the last event. Arrays and
	// frames have none: what was cut there is dropped.
	Flush(ev *sse.Event) bool
	// AtBoundary reports whether everything fed so far ends between two events. It
	// tells the truth once Next has returned false.
	AtBoundary() bool
	// Err says why there will be no more events, whatever is fed: one of the errors of
	// this package, or nil. A body that was merely cut is no error here.
	Err() error
}

// The errors of a body that is not framed as it should be.
var (
	ErrNotArray  = errors.New("the body is neither a JSON array nor an object")
	ErrSeparator = errors.New("the elements of the JSON array are not separated by single commas")
	ErrTrailing  = errors.New("there is something after the end of the JSON value")
	ErrLength    = errors.New("a frame has an impossible length")
	ErrChecksum  = errors.New("a frame has a wrong checksum")
	ErrHeaders   = errors.New("the headers of a frame cannot be read")
)

// defaultMaxEvent is the bound of an event where none is given, that of sse.
const defaultMaxEvent = 1 << 20

// New returns a splitter for f, which must not be FramingNone. Events of more than
// maxEvent bytes are skipped in bounded memory and reported by Overflow; 0 means 1 MiB.
func New(f translate.Framing, maxEvent int) Splitter {
	if maxEvent <= 0 {
		maxEvent = defaultMaxEvent
	}
	switch f {
	case translate.FramingSSE:
		return &events{sse.Scanner{MaxEvent: maxEvent}}
	case translate.FramingLines:
		return &lines{carry{max: maxEvent}}
	case translate.FramingArray:
		return &array{carry: carry{max: maxEvent}}
	case translate.FramingAWS:
		return &frames{carry: carry{max: maxEvent}}
	}
	panic("framing: a body without framing is not split")
}

// events is server-sent events.
type events struct{ sse.Scanner }

func (*events) Err() error { return nil }
