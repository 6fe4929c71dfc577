package fakeprovider

import (
	"net/http"
	"time"
)

// Silent takes the request and never answers.
func Silent(e *Exchange) { e.Hold() }

// Stalled streams so many events of an answer, the first of which has no text, and then
// says no more. 0 is a head alone.
func Stalled(events int) Script {
	return func(e *Exchange) {
		e.begin(events)
		e.Hold()
	}
}

// Failing streams so many events of an answer, the first of which has no text, then an
// error event, and ends the body well.
func Failing(events int) Script {
	return func(e *Exchange) {
		e.begin(events)
		e.Event(ErrorBody("the model fell over", "server_error", "server_error"))
		e.EndChunks()
	}
}

// begin streams the head and the first events of an answer.
func (e *Exchange) begin(events int) {
	payloads := ChatStream(ChatOptions{Model: e.Asked().Model})
	e.StreamHead()
	for _, p := range payloads[:min(events, len(payloads))] {
		e.Event(p)
	}
}

// Page answers with a web page and status 200, as a portal in between does.
func Page(e *Exchange) {
	e.Whole(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Sign in</title>"))
}

// WrongJSON answers with status 200, the right type and length, and half an object.
func WrongJSON(e *Exchange) { e.JSON(http.StatusOK, `{"id":"chatcmpl-fake","choices":[{"index":0,`) }

// NoHTTP answers with something that is no HTTP.
func NoHTTP(e *Exchange) { e.Raw([]byte("220 mail.invalid ESMTP ready\r\n")) }

// End is how a connection ends before its time.
type End int

// The ends of a connection.
const (
	EndClosed End = iota // FIN
	EndReset             // RST
	EndSilent            // stays open without a word
)

// Cut sends only the first bytes of what DefaultScript would answer to a chat request,
// head included, and ends the connection. With 0 nothing is sent; a count of at least the
// length of the answer sends all of it.
func Cut(bytes int, end End) Script {
	return func(e *Exchange) {
		answer := e.healthy()
		e.Raw(answer[:min(bytes, len(answer))])
		switch end {
		case EndReset:
			e.Reset()
		case EndSilent:
			e.Hold()
		case EndClosed:
		}
	}
}

// healthy is a whole answer to a chat request, head included.
func (e *Exchange) healthy() []byte {
	asked := e.Asked()
	o := ChatOptions{Model: asked.Model, IncludeUsage: asked.StreamOptions.IncludeUsage}
	if !asked.Stream {
		return Response(http.StatusOK, "application/json", ContentLength, []byte(ChatAnswer(o)))
	}
	return Response(http.StatusOK, "text/event-stream", Chunked, Events(ChatStream(o))...)
}

// Unsolicited answers well and adds bytes that nobody has asked for in the same write, so
// that they lie on the connection when the answer ends. The connection stays open.
func Unsolicited(bytes []byte) Script {
	return func(e *Exchange) {
		e.Raw(append(e.healthy(), bytes...))
		e.KeepAlive()
	}
}

// Late waits before it does what script does, unless the peer leaves meanwhile.
func Late(by time.Duration, script Script) Script {
	return func(e *Exchange) {
		if e.Pause(by) {
			script(e)
		}
	}
}
