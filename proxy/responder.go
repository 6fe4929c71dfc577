package proxy

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/downstream"
)

// responder writes the HTTP response of one exchange to its client. Only the
// goroutine that pumps the exchange uses it.
type responder struct {
	conn   *downstream.Conn
	http11 bool
	rates  []byte // header lines that tell the client its limits
	tap    *tap   // of what reaches the client; nil where nothing is to be kept

	// withholds: nothing leaves yet, because another attempt may still take over.
	withholds bool
	withheld  []byte
	payload   int    // how much of it is of the body
	untapped  []byte // the body in it, for the tap

	headSent bool
	chunked  bool
	// whole tells that the client got the last byte of a well-formed response,
	// so that its connection can serve the next request.
	whole  bool
	failed bool
	status int
	bytes  int64
}

// statusLine and fixed fields, up to the fields of the particular answer.
func appendHead(dst []byte, status int, id string) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(status)...)
	dst = append(dst, "\r\n"...)
	return appendField(dst, "X-Request-Id", id)
}

func statusText(status int) string {
	if status == statusClientClosedRequest {
		return "Client Closed Request"
	}
	return fasthttp.StatusMessage(status)
}

// stream sends the head of an answer whose length is not known. fields are the
// header lines of this answer, complete with their line ends.
func (r *responder) stream(status int, id string, fields []byte) error {
	r.status = status
	head := appendHead(make([]byte, 0, 512), status, id)
	head = append(append(head, r.rates...), fields...)
	r.chunked = r.http11
	if r.chunked {
		head = appendField(head, "Transfer-Encoding", "chunked")
	}
	if !r.keepAlive() {
		head = appendField(head, "Connection", "close")
	}
	head = append(head, "\r\n"...)
	r.headSent = true
	return r.write(head, len(head), 0)
}

// answer sends a whole answer at once.
func (r *responder) answer(status int, id string, fields, body []byte) error {
	r.status = status
	head := appendHead(make([]byte, 0, 512+len(body)), status, id)
	head = append(append(head, r.rates...), fields...)
	head = appendField(head, "Content-Length", strconv.Itoa(len(body)))
	if !r.keepAlive() {
		head = appendField(head, "Connection", "close")
	}
	head = append(head, "\r\n"...)
	r.headSent = true
	r.tapped(body)
	err := r.write(append(head, body...), len(head), len(body))
	r.whole = err == nil
	return err
}

// keepAlive tells whether the connection will serve another request. A client
// of HTTP/1.0 gets its answer delimited by the end of the connection.
func (r *responder) keepAlive() bool { return r.http11 && r.conn.KeepAlive() }

var lastChunk = []byte("0\r\n\r\n")

// maxChunkHead bounds the bytes that framed needs in front of a payload, and
// chunkTail is what it needs behind it.
const (
	maxChunkHead = 10
	chunkTail    = 2
)

// body sends p as one chunk. p is copied; frame in place with bodyInPlace where
// the buffer has room around it.
func (r *responder) body(p []byte, last bool) error {
	r.tapped(p)
	out := make([]byte, 0, len(p)+maxChunkHead+chunkTail+len(lastChunk))
	if r.chunked && len(p) > 0 {
		out = appendChunkHead(out, len(p))
	}
	before := len(out)
	out = append(out, p...)
	if r.chunked && len(p) > 0 {
		out = append(out, "\r\n"...)
	}
	if last && r.chunked {
		out = append(out, lastChunk...)
	}
	if len(out) > 0 {
		if err := r.write(out, before, len(p)); err != nil {
			return err
		}
	}
	r.whole = last
	return nil
}

// bodyInPlace sends buf[start:end] as one chunk in one write, without copying
// it: the chunk's head is written into the bytes in front of start, which must
// be at least maxChunkHead and are lost, and its end into the two bytes behind
// end, which are put back afterwards.
func (r *responder) bodyInPlace(buf []byte, start, end int) error {
	if start == end {
		return nil
	}
	r.tapped(buf[start:end])
	if !r.chunked {
		return r.write(buf[start:end], 0, end-start)
	}
	var head [maxChunkHead]byte
	h := appendChunkHead(head[:0], end-start)
	from := start - len(h)
	copy(buf[from:], h)
	save0, save1 := buf[end], buf[end+1]
	buf[end], buf[end+1] = '\r', '\n'
	err := r.write(buf[from:end+chunkTail], len(h), end-start)
	buf[end], buf[end+1] = save0, save1
	return err
}

func appendChunkHead(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// write sends p, which has payload bytes of the body behind its first before bytes.
// What the kernel took of them counts as delivered, also of a write that failed.
func (r *responder) write(p []byte, before, payload int) error {
	if r.withholds {
		r.withheld = append(r.withheld, p...)
		r.payload += payload
		return nil
	}
	n, err := r.conn.Write(p)
	r.bytes += int64(min(max(n-before, 0), payload))
	if err != nil {
		r.failed = true
	}
	return err
}

// tapped has the tap keep a piece of the body, once it leaves.
func (r *responder) tapped(p []byte) {
	switch {
	case r.tap == nil:
	case r.withholds:
		r.untapped = append(r.untapped, p...)
	default:
		r.tap.add(p)
	}
}

// release sends what was withheld.
func (r *responder) release() error {
	if !r.withholds {
		return nil
	}
	r.withholds = false
	all, payload := r.withheld, r.payload
	r.tap.add(r.untapped)
	r.withheld, r.payload, r.untapped = nil, 0, nil
	if len(all) == 0 {
		return nil
	}
	return r.write(all, len(all)-payload, payload)
}

// drop forgets what was withheld, so that another response may be sent. It reports false
// where nothing was.
func (r *responder) drop() bool {
	if !r.withholds {
		return false
	}
	r.withholds, r.withheld, r.payload, r.untapped = false, nil, 0, nil
	r.headSent, r.chunked, r.whole, r.status = false, false, false, 0
	return true
}
