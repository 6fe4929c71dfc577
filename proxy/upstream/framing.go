package upstream

import (
	"strconv"
	"strings"
)

// framing collects what the fields of a head say about the end of the body and the
// connection (RFC 9112, sections 6 and 9).
type framing struct {
	oldVersion bool // HTTP/1.0
	length     int64
	chunked    bool
	closing    bool
	keepAlive  bool
}

// noteLength reads a Content-Length. Several are one if they say the same.
func (f *framing) noteLength(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		n, err := parseLength(strings.Trim(part, " \t"))
		if err != nil {
			return err
		}
		if f.length >= 0 && f.length != n {
			return badResponse("the head has two lengths of content")
		}
		f.length = n
	}
	return nil
}

func parseLength(s string) (int64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' { // a sign is a number to strconv, not here
			return 0, badResponse("the length of content is not a number")
		}
	}
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil {
		return 0, badResponse("the length of content is not a number")
	}
	return n, nil
}

// noteCoding reads a Transfer-Encoding. Only chunked, once, is understood: sluice
// asks for no other coding.
func (f *framing) noteCoding(value string) error {
	if f.chunked || !strings.EqualFold(value, "chunked") {
		return badResponse("the transfer coding is not supported")
	}
	f.chunked = true
	return nil
}

func (f *framing) noteConnection(value string) {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		f.closing = f.closing || strings.EqualFold(option, "close")
		f.keepAlive = f.keepAlive || strings.EqualFold(option, "keep-alive")
	}
}

func (f *framing) apply(h *Head) {
	h.Chunked = f.chunked
	h.ContentLength = f.length
	h.Close = f.closing || f.oldVersion && !f.keepAlive
	if f.chunked && (f.length >= 0 || f.oldVersion) {
		// The coding counts, and the sender is not to be trusted with another
		// exchange (RFC 9112, section 6.3).
		h.ContentLength = -1
		h.Close = true
	}
	if h.Status == 204 && (f.chunked || f.length > 0) {
		h.Close = true // it announces a body that must not be there
	}
}

// bodyKind is how the end of a body is found.
type bodyKind uint8

const (
	bodyUnknown bodyKind = iota // no head has been read
	bodyNone
	bodyChunked
	bodyLength
	bodyUntilClose
)

func (h *Head) bodyKind(method string) bodyKind {
	switch {
	case method == "HEAD", h.Status < 200, h.Status == 204, h.Status == 304,
		method == "CONNECT" && h.Status < 300:
		return bodyNone
	case h.Chunked:
		return bodyChunked
	case h.ContentLength == 0:
		return bodyNone
	case h.ContentLength > 0:
		return bodyLength
	default:
		return bodyUntilClose
	}
}
