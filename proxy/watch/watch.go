// Package watch tells when the other side of a connection closes it, at once and
// without reading from it.
package watch

// Event says what became of a connection.
type Event uint8

const (
	// HalfClosed means that the other side has ended its sending side, and nothing more is
	// known. What it sent before may still lie unread.
	HalfClosed Event = iota + 1
	// Lost means that the connection was reset, the kernel gave it up, or both sides have
	// ended.
	Lost
)
