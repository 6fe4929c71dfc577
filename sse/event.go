// Package sse reads and writes the text/event-stream format of WHATWG HTML,
// section 9.2, without ever holding back, changing or losing a byte of it.
package sse

import "bytes"

// Event is one block of an event stream: the lines up to and including a blank
// one. A block without a data field is no event to a client (WHATWG HTML 9.2.6,
// dispatch, step 2), but it is returned all the same, since a relay has to
// pass it on.
//
// The slices are borrowed: they are valid until the next call of Next, Flush or Feed.
type Event struct {
	// Name is the value of the last event field, nil if there is none.
	Name []byte
	// Data holds the values of the data fields joined by LF, nil if there is none.
	Data []byte
	// Joined says that Data is put together from several fields. It then lies in
	// the scanner's memory and not where the block does.
	Joined bool
	// Raw is the block as it was received, blank line included; nil when Overflow is set.
	Raw []byte
	// End is the offset just past this block in the slice given to the last Feed.
	End int
	// Overflow says that the block was larger than the scanner keeps.
	// Name, Data and Raw are nil then.
	Overflow bool
}

// IsDone reports whether data is the sentinel that ends OpenAI streams:
// exactly [DONE], blanks around it aside.
func IsDone(data []byte) bool {
	return string(bytes.Trim(data, " \t")) == "[DONE]"
}
