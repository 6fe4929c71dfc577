package fakeprovider

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Exchange is one request and the answer a script gives to it.
//
// The writing methods report whether the kernel took all the bytes: false means
// that the peer has gone. Head decides how Chunk, Event and Done frame the body:
// as HTTP chunks if a Transfer-Encoding was given, as plain bytes otherwise.
//
// After the script the connection serves on if the head came from Head and the
// body is complete (EndChunks was called, or Content-Length bytes were written,
// or the status has no body), or if KeepAlive was called. Otherwise it is closed
// with FIN.
type Exchange struct {
	*Conn
	Request *Request
	N       int // count of the request on its connection, from 1
	Seq     int // count of the request on its provider, from 1

	order    int64 // among the requests of all providers
	bodyHeld bool
	ended    chan struct{}

	mu        sync.Mutex
	headed    bool
	chunked   bool
	bodiless  bool
	length    int // declared Content-Length, -1 without
	written   int
	chunkEnd  bool
	closeSoon bool
	keep      bool
}

// ConnID is the number of the connection the request came on.
func (e *Exchange) ConnID() int { return e.ID }

// Ended is closed when the script has returned.
func (e *Exchange) Ended() <-chan struct{} { return e.ended }

// Head writes a status line and header fields, each given as "Name: value" and
// written as it is, in one write. A 1xx status may be followed by another Head.
func (e *Exchange) Head(status int, fields ...string) bool {
	var b strings.Builder
	b.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	if status >= 200 {
		e.declare(status, fields)
	}
	return e.Raw([]byte(b.String()))
}

// declare remembers the framing a head promised.
func (e *Exchange) declare(status int, fields []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.headed, e.length = true, -1
	e.bodiless = status == http.StatusNoContent || status == http.StatusNotModified || e.Request.Method == http.MethodHead
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "transfer-encoding":
			e.chunked = true
		case "content-length":
			if n, err := strconv.Atoi(value); err == nil {
				e.length = n
			}
		case "connection":
			e.closeSoon = e.closeSoon || strings.EqualFold(value, "close")
		}
	}
}

// StreamHead writes the head of an event stream in chunks, with further fields.
func (e *Exchange) StreamHead(fields ...string) bool {
	return e.Head(http.StatusOK, append([]string{
		"Content-Type: text/event-stream; charset=utf-8", "Cache-Control: no-cache", "Transfer-Encoding: chunked",
	}, fields...)...)
}

// JSON answers with a whole JSON body in one write.
func (e *Exchange) JSON(status int, body string, fields ...string) bool {
	return e.Whole(status, "application/json", []byte(body), fields...)
}

// Whole answers with a body of any type and a Content-Length.
func (e *Exchange) Whole(status int, contentType string, body []byte, fields ...string) bool {
	return e.Head(status, append([]string{
		"Content-Type: " + contentType, "Content-Length: " + strconv.Itoa(len(body)),
	}, fields...)...) && e.Body(body)
}

// Body writes p without chunk framing and counts it towards Content-Length.
func (e *Exchange) Body(p []byte) bool {
	e.mu.Lock()
	e.written += len(p)
	e.mu.Unlock()
	return e.Raw(p)
}

// Chunk writes p as one HTTP chunk in one write, or as it is if the head named no
// Transfer-Encoding. Without a head it writes StreamHead first.
func (e *Exchange) Chunk(p []byte) bool {
	e.mu.Lock()
	headed := e.headed
	e.mu.Unlock()
	if !headed && !e.StreamHead() {
		return false
	}
	e.mu.Lock()
	chunked := e.chunked
	e.mu.Unlock()
	if !chunked {
		return e.Body(p)
	}
	return e.Raw(Frame(p))
}

// Event writes one server-sent event with the given data as one chunk.
func (e *Exchange) Event(data string) bool { return e.Chunk([]byte("data: " + data + "\n\n")) }

// Comment writes an SSE comment line as one chunk.
func (e *Exchange) Comment(text string) bool { return e.Chunk([]byte(": " + text + "\n\n")) }

// Done writes the end sentinel of an OpenAI stream as one chunk.
func (e *Exchange) Done() bool { return e.Event("[DONE]") }

// EndChunks writes the last chunk. Without chunk framing it writes nothing.
func (e *Exchange) EndChunks() bool {
	e.mu.Lock()
	chunked := e.chunked
	e.chunkEnd = true
	e.mu.Unlock()
	return !chunked || e.Raw([]byte("0\r\n\r\n"))
}

// Play writes the payloads as events, each its own chunk, and the last chunk.
func (e *Exchange) Play(payloads []string) bool {
	for _, p := range payloads {
		if !e.Event(p) {
			return false
		}
	}
	return e.EndChunks()
}

// KeepAlive says that the bytes written with Raw were a complete answer, so that
// the connection serves on after the script.
func (e *Exchange) KeepAlive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep = true
}

// Split writes p as it is, cut at random places that follow from seed, each piece
// in a write of its own. Short pauses between some pieces keep the receiving
// kernel from joining them all.
func (e *Exchange) Split(seed int64, p []byte) bool {
	rng := rand.New(rand.NewPCG(uint64(seed), 0x5eed))
	for len(p) > 0 {
		n := 1 + rng.IntN(min(len(p), 1+rng.IntN(97)))
		if !e.Raw(p[:n]) {
			return false
		}
		p = p[n:]
		if rng.IntN(4) == 0 && !e.pauseWrite(time.Duration(rng.IntN(100))*time.Microsecond) {
			return false
		}
	}
	return true
}

// pauseWrite reports false when the connection was closed by the test meanwhile.
func (e *Exchange) pauseWrite(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.closed:
		return false
	}
}

// Pause waits for d and reports whether the peer is still there.
func (e *Exchange) Pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !e.IsGone()
	case <-e.left.done:
		return false
	}
}

// ReadBody reads a body that HoldBody left in the kernel. If the peer left before
// sending all of it, the error is io.ErrUnexpectedEOF and the bytes are what came.
func (e *Exchange) ReadBody() ([]byte, error) {
	if !e.bodyHeld {
		return e.Request.Body, nil
	}
	e.bodyHeld = false
	if e.Request.wantsContinue() && !e.Raw([]byte("HTTP/1.1 100 Continue\r\n\r\n")) {
		return nil, io.ErrUnexpectedEOF
	}
	e.release()
	body, err := readBody(e.in, e.Request)
	e.Request.Body = body
	return body, err
}

// reusable reports whether the connection may serve another request.
func (e *Exchange) reusable() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bodyHeld || e.closeSoon || e.Request.wantsClose() {
		return false
	}
	switch {
	case e.keep:
		return true
	case !e.headed:
		return false
	case e.bodiless:
		return true
	case e.chunked:
		return e.chunkEnd
	}
	return e.length >= 0 && e.written == e.length
}
