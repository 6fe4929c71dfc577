package fakeprovider

import (
	"fmt"
	"net/http"
	"strings"
)

// Framing says how the end of a body is told.
type Framing int

// The three framings of an HTTP/1.1 answer.
const (
	Chunked Framing = iota
	ContentLength
	CloseDelimited
)

// SSE joins data payloads into the text of an event stream whose lines end with
// eol ("\n", "\r\n" or "\r").
func SSE(payloads []string, eol string) []byte {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + eol + eol)
	}
	return []byte(b.String())
}

// Frame returns p as one HTTP chunk.
func Frame(p []byte) []byte {
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(p), p)
}

// ChunkedBody returns a complete chunked body, one chunk for every piece.
func ChunkedBody(pieces ...[]byte) []byte {
	var b []byte
	for _, p := range pieces {
		if len(p) > 0 {
			b = append(b, Frame(p)...)
		}
	}
	return append(b, "0\r\n\r\n"...)
}

// Response returns a complete answer, head and body, as bytes for Raw or Split: the
// pieces of the body are chunks where the framing has any. A CloseDelimited answer
// is complete only once the connection is closed.
func Response(status int, contentType string, framing Framing, pieces ...[]byte) []byte {
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", status, http.StatusText(status), contentType)
	var body []byte
	if framing == Chunked {
		head += "Transfer-Encoding: chunked\r\n"
		body = ChunkedBody(pieces...)
	} else {
		for _, p := range pieces {
			body = append(body, p...)
		}
	}
	if framing == ContentLength {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return append([]byte(head+"\r\n"), body...)
}

// Events returns each payload as the bytes of one event, to be used as the pieces
// of a body.
func Events(payloads []string) [][]byte {
	pieces := make([][]byte, len(payloads))
	for i, p := range payloads {
		pieces[i] = SSE([]string{p}, "\n")
	}
	return pieces
}
