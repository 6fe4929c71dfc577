package upstream

import (
	"errors"
	"io"
)

// Reader reads one response from a connection. The zero value is to be Reset before
// use. It belongs to one goroutine, and allocates nothing while a body is read.
type Reader struct {
	conn *Conn

	// The block in hand: block[pos:end] has been received and not been looked at,
	// block[start:] begins with what ReadBody returned last.
	block           *block
	pos, end, start int

	// The head, while it arrives.
	head    []byte
	scan    headScan
	interim int

	kind    bodyKind
	left    int64 // of a body of known length
	chunks  chunks
	done    bool  // the framed end has been read
	extra   bool  // bytes came behind the framed end
	closing bool  // the head forbids another exchange
	lent    bool  // a function given to Each has the last piece
	err     error // what every further call returns
}

// Reset makes r ready for the next response on c and gives back the buffer of the
// last one.
func (r *Reader) Reset(c *Conn) {
	r.Release()
	*r = Reader{conn: c}
}

// Release gives the buffer back, and what ReadBody returned last is invalid from then
// on. ReadBody does so itself before it waits. Bytes that have arrived behind the head
// and were never asked for are dropped, after which the body cannot be read.
func (r *Reader) Release() {
	if r.block == nil {
		return
	}
	if r.pos < r.end {
		r.extra = true
		r.err = errReleased
	}
	r.drop()
}

func (r *Reader) drop() {
	if r.block != nil {
		giveBlock(r.block)
		r.block = nil
	}
	r.pos, r.end, r.start = 0, 0, 0
}

// fill waits for more bytes, without holding a buffer.
func (r *Reader) fill() error {
	r.drop()
	b, n, err := r.conn.receive()
	if err != nil {
		return err
	}
	r.block, r.pos, r.end = b, Headroom, Headroom+n
	return nil
}

// ReadHead reads the head of the answer to a request of the given method into h. It
// passes over up to five interim responses (1xx). Errors are ErrInterrupted, after
// which ReadHead may be called again, or an *Error: upstream_bad_response,
// upstream_closed for an end before the head was complete, upstream_reset,
// upstream_tls.
func (r *Reader) ReadHead(h *Head, method string) error {
	if r.err != nil {
		return r.err
	}
	err := r.readAnswer(h, method)
	switch {
	case err == nil || errors.Is(err, ErrInterrupted):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errNoAnswer
	}
	r.drop()
	r.err = err
	return err
}

func (r *Reader) readAnswer(h *Head, method string) error {
	for {
		head, err := r.nextHead()
		if err != nil {
			return err
		}
		if err := h.parse(head); err != nil {
			return err
		}
		if h.Status >= 200 {
			r.begin(h, method)
			return nil
		}
		if h.Status == 101 {
			return badResponse("it switched protocols")
		}
		if r.interim++; r.interim > maxInterim {
			return badResponse("it sent too many interim responses")
		}
	}
}

// nextHead returns the next head with its empty line. A head that arrives in pieces is
// collected in memory of its own, so that no block is held while the rest is awaited.
func (r *Reader) nextHead() (string, error) {
	for {
		if r.pos < r.end {
			arrived := r.block[r.pos:r.end]
			if len(r.head) > 0 {
				r.head = append(r.head, arrived...)
				arrived = r.head
			}
			n, err := r.scan.next(arrived)
			if err != nil {
				return "", err
			}
			if n > 0 {
				head := string(arrived[:n])
				r.pos = r.end - (len(arrived) - n)
				r.head, r.scan = nil, headScan{}
				return head, nil
			}
			if len(r.head) == 0 {
				r.head = append(r.head, arrived...)
			}
			r.pos = r.end
		}
		if err := r.fill(); err != nil {
			return "", err
		}
	}
}

// begin prepares for the body that h announces.
func (r *Reader) begin(h *Head, method string) {
	r.kind = h.bodyKind(method)
	r.closing = h.Close
	if r.kind == bodyLength {
		r.left = h.ContentLength
	}
	if r.kind == bodyNone {
		r.finish()
	}
	if r.pos == r.end {
		r.drop()
	}
}

// finish notes the framed end of the body; what has been received behind it is extra.
func (r *Reader) finish() {
	r.done = true
	if r.pos < r.end {
		r.extra = true
		r.pos = r.end
	}
}

// ReadBody returns the next bytes of the body, without their framing, as soon as
// there are any. They are valid until the next call of ReadBody, Release or Reset and
// may be changed; see Frame for the room around them. Chunks that arrive together are
// returned as one slice.
//
// The error is io.EOF after the complete framed end, and only then: the last chunk,
// its trailer and the final CRLF; the last byte of a known length; the end of the
// connection for a body that has no other. A body that ends before is ErrTruncated.
// ErrInterrupted passes, and ReadBody may be called again. Anything else is an *Error,
// in front of which all bytes that came before it have been returned.
func (r *Reader) ReadBody() ([]byte, error) {
	if r.lent {
		return nil, errNested
	}
	for {
		if r.pos < r.end {
			if b := r.decode(); len(b) > 0 {
				return b, nil
			}
		}
		switch {
		case r.err != nil:
			r.drop()
			return nil, r.err
		case r.done:
			r.drop()
			return nil, io.EOF
		case r.kind == bodyUnknown:
			return nil, errNoHead
		}
		if err := r.fill(); err != nil {
			if err = r.ended(err); !errors.Is(err, ErrInterrupted) {
				continue
			}
			return nil, err
		}
	}
}

// ended takes the end of the connection or its failure.
func (r *Reader) ended(err error) error {
	switch {
	case errors.Is(err, ErrInterrupted):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.err = ErrTruncated
	case !errors.Is(err, io.EOF):
		r.err = err
	case r.kind == bodyUntilClose:
		r.done = true
	default:
		r.err = ErrTruncated
	}
	return nil
}

// decode takes the framing off everything received and returns the content.
func (r *Reader) decode() []byte {
	raw := r.block[r.pos:r.end]
	from, to, used := 0, len(raw), len(raw)
	switch r.kind {
	case bodyChunked:
		var err error
		from, to, used, err = r.chunks.decode(raw)
		if err != nil {
			r.err = err
			used = len(raw)
		}
	case bodyLength:
		if int64(len(raw)) > r.left {
			to, used = int(r.left), int(r.left)
		}
		r.left -= int64(used)
	}
	r.start = r.pos + from
	r.pos += used
	if r.kind == bodyChunked && r.chunks.done() || r.kind == bodyLength && r.left == 0 {
		r.finish()
	}
	return raw[from:to]
}

// Frame returns the memory that the last result of ReadBody lies in and where in it
// that begins: at least Headroom bytes in front of it and Tailroom bytes behind it are
// free for the caller to write to, for as long as the result is valid. It returns nil
// while there is no result.
func (r *Reader) Frame() (memory []byte, start int) {
	if r.block == nil {
		return nil, 0
	}
	return r.block[:], r.start
}

// AtEnd tells whether the framed end of the body has been read, be it together with
// the bytes returned last. The next ReadBody then returns io.EOF without waiting.
func (r *Reader) AtEnd() bool { return r.done }

// Reusable tells whether the connection may carry another exchange as far as the
// response is concerned: it ended where its framing says, nothing came behind it, and
// its head did not forbid it.
func (r *Reader) Reusable() bool {
	return r.done && r.err == nil && !r.extra && !r.closing && r.kind != bodyUntilClose && r.pos == r.end
}
