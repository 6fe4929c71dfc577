package downstream

import (
	"bytes"
	"strconv"
)

// maxFields bounds the header fields of one request.
const maxFields = 128

// headScan finds a request's head in bytes that arrive in pieces. It refuses a
// line that ends with a bare LF as soon as it sees one, since such a head may
// never show the CR LF CR LF that would end it.
type headScan struct {
	start int // of the head: behind one empty line, if there is one
	pos   int // start of the first line not yet seen whole
	lines int
}

// scan looks at b, which grows from call to call, and returns the end of the
// complete head or 0 when more bytes are needed.
func (s *headScan) scan(b []byte) (end int, err *RequestError) {
	for {
		n := bytes.IndexByte(b[s.pos:], '\n')
		if n < 0 {
			return 0, nil
		}
		if n == 0 || b[s.pos+n-1] != '\r' {
			return 0, errLineEnd
		}
		s.pos += n + 1
		switch {
		case n > 1:
			if s.lines++; s.lines > maxFields+1 {
				return 0, errHeadTooLarge
			}
		case s.lines > 0:
			return s.pos, nil
		case s.start > 0:
			return 0, errRequestLine
		default: // RFC 9112, 2.2: an empty line in front of a request is ignored
			s.start = s.pos
		}
	}
}

// head is what the framing of a request needs to know of its first section.
type head struct {
	http11   bool
	close    bool // a Connection field lists close
	chunked  bool
	expects  bool  // Expect: 100-continue
	length   int64 // of the body, when not chunked
	expectAt span  // the whole Expect line
	expectOf span  // its value

	host         []byte
	hosts        int
	lengths      int
	codings      int
	absoluteForm []byte // the authority of an absolute-form target
}

type span struct{ from, to int }

// parseHead reads a complete head, CR LF CR LF included, the strict way of
// RFC 9112: whatever two parsers might understand differently is refused. own
// tells whether an authority names this server.
func parseHead(b []byte, own func(authority []byte) bool) (head, *RequestError) {
	var h head
	line, next := cutLine(b, 0)
	if err := h.requestLine(line); err != nil {
		return h, err
	}
	for at := next; ; at = next {
		line, next = cutLine(b, at)
		if len(line) == 0 {
			break
		}
		if err := h.field(line, span{at, next}); err != nil {
			return h, err
		}
	}
	return h, h.check(own)
}

// cutLine returns the line that starts at from without its CR LF, and the start
// of the one after it.
func cutLine(b []byte, from int) (line []byte, next int) {
	end := bytes.IndexByte(b[from:], '\n')
	if end < 1 {
		return nil, len(b)
	}
	return b[from : from+end-1], from + end + 1
}

func (h *head) requestLine(line []byte) *RequestError {
	if bytes.Count(line, []byte{' '}) != 2 {
		return errRequestLine
	}
	method, rest, _ := bytes.Cut(line, []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	switch string(version) {
	case "HTTP/1.1":
		h.http11 = true
	case "HTTP/1.0":
	default:
		return errVersion
	}
	if !isToken(method) {
		return errRequestLine
	}
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE":
		return h.target(target, false)
	case "OPTIONS":
		return h.target(target, true)
	default:
		return errMethod
	}
}

// target accepts the origin form, the absolute form, and * for OPTIONS.
func (h *head) target(target []byte, options bool) *RequestError {
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return errTarget
		}
	}
	switch {
	case len(target) == 0:
		return errTarget
	case target[0] == '/':
		return nil
	case target[0] == '*':
		if !options || len(target) != 1 {
			return errTarget
		}
		return nil
	}
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return errTarget
	}
	if end := bytes.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	if !isAuthority(rest) {
		return errTarget
	}
	h.absoluteForm = rest
	return nil
}

func (h *head) field(line []byte, at span) *RequestError {
	if line[0] == ' ' || line[0] == '\t' {
		return errFold
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !isToken(line[:colon]) {
		return errFieldName
	}
	name := line[:colon]
	for _, c := range line[colon+1:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errFieldValue
		}
	}
	value := bytes.Trim(line[colon+1:], " \t")
	switch len(name) {
	case len("Host"):
		if equalFold(name, "host") {
			h.host = value
			h.hosts++
		}
	case len("Expect"):
		if equalFold(name, "expect") {
			return h.expect(line, value, at)
		}
	case len("Connection"):
		if equalFold(name, "connection") {
			h.close = h.close || listHas(value, "close")
		}
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			return h.contentLength(value)
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			h.codings++
			h.chunked = equalFold(value, "chunked")
		}
	}
	return nil
}

func (h *head) expect(line, value []byte, at span) *RequestError {
	if h.expects || !equalFold(value, "100-continue") {
		return errExpectation
	}
	h.expects = true
	h.expectAt = at
	from := at.from + bytes.IndexByte(line, ':') + 1
	from += len(line) - (from - at.from) - len(bytes.TrimLeft(line[from-at.from:], " \t"))
	h.expectOf = span{from, from + len(value)}
	return nil
}

func (h *head) contentLength(value []byte) *RequestError {
	if h.lengths++; h.lengths > 1 || len(value) == 0 {
		return errContentLength
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return errContentLength
		}
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return errContentLength
	}
	h.length = n
	return nil
}

// check judges what only the whole head can tell.
func (h *head) check(own func(authority []byte) bool) *RequestError {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return errBothLengths
	case h.codings > 0 && !h.http11:
		return errChunkedOld
	case h.codings > 1, h.codings == 1 && !h.chunked:
		return errTransferCoding
	case h.hosts > 1, h.hosts == 0 && h.http11:
		return errHost
	case h.hosts == 1 && !isAuthority(h.host):
		return errHost
	case h.absoluteForm == nil:
		return nil
	case h.hosts == 1 && !bytes.EqualFold(h.host, h.absoluteForm), !own(h.absoluteForm):
		return errForeignHost
	}
	return nil
}

// hasBody tells whether bytes of a body follow the head.
func (h *head) hasBody() bool { return h.chunked || h.length > 0 }

// settleExpect makes the Expect field of b, a head that parseHead accepted, one
// that fasthttp understands as RFC 9110, 10.1.1 wants it: it compares the value
// byte for byte, and must not see the field in HTTP/1.0 or without a body. It
// returns how many bytes at the front of b are no longer part of the head.
func (h *head) settleExpect(b []byte) (skip int) {
	if !h.expects {
		return 0
	}
	if h.http11 && h.hasBody() {
		copy(b[h.expectOf.from:h.expectOf.to], "100-continue")
		return 0
	}
	skip = h.expectAt.to - h.expectAt.from
	copy(b[skip:h.expectAt.to], b[:h.expectAt.from])
	return skip
}
