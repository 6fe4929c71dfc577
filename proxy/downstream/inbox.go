package downstream

import (
	"errors"
	"os"
	"time"
)

// smallInbox is the size an inbox starts with: enough for the head of nearly
// every request, and little enough that slow clients cost little.
const smallInbox = 4 << 10

// inbox holds the bytes of a request's head, and what arrived together with it.
type inbox struct {
	data []byte
	from int // start of the bytes not yet handed over
}

func (in *inbox) len() int { return len(in.data) - in.from }

// largeInbox holds the largest head, an empty line in front of it, and the byte
// that shows it to be too large.
func largeInbox(maxHeader int) int { return maxHeader + 4 }

func (s *Server) takeInbox() *inbox {
	if in, ok := s.smallInboxes.Get().(*inbox); ok {
		return in
	}
	return &inbox{data: make([]byte, 0, smallInbox)}
}

// growInbox makes room for at least one more byte, in at most one step: a head
// that outgrows the small size gets the largest.
func (s *Server) growInbox(in *inbox, maxHeader int) {
	if len(in.data) < cap(in.data) {
		return
	}
	large, ok := s.largeInboxes.Get().(*inbox)
	if size := largeInbox(maxHeader); !ok || cap(large.data) < size {
		large = &inbox{data: make([]byte, 0, size)}
	}
	large.data = append(large.data, in.data...)
	large.from = in.from
	*in, *large = *large, *in
	s.putInbox(large)
}

func (s *Server) putInbox(in *inbox) {
	in.data, in.from = in.data[:0], 0
	switch cap(in.data) {
	case smallInbox:
		s.smallInboxes.Put(in)
	case largeInbox(s.live.Load().MaxHeaderBytes):
		s.largeInboxes.Put(in)
	}
}

// bodyPace says until when a body may take to go on arriving.
type bodyPace struct {
	timeout  time.Duration
	start    time.Time
	received int64
}

// deadline grows by a second with each KiB received, the slowest pace allowed.
func (p *bodyPace) deadline() time.Time {
	if p.timeout < 0 {
		return time.Time{}
	}
	if p.start.IsZero() {
		p.start = time.Now()
	}
	return p.start.Add(p.timeout + time.Duration(p.received)*time.Second/1024)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
