//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// answer is what an upstream says in a call.
type answer struct {
	ctx   context.Context // of the upstream
	conn  *net.TCPConn
	in    *bufio.Reader
	story *story
	call  int // of this request, from 1
	usage bool
}

// give writes the answer with its fault, and reports whether it was a good end for the
// connection too.
func (a *answer) give(f fault) bool {
	if !child.Wait(a.ctx, a.story.head) {
		return false
	}
	switch f {
	case resetBeforeHead:
		return a.reset()
	case closeBeforeHead:
		return false
	case stallBeforeHead:
		return a.stall()
	case garbage:
		return a.last("220 mail.invalid ESMTP\r\n\r\n")
	case html:
		return a.whole(200, "text/html", "<html>"+a.story.nonce+"</html>")
	case wrongJSON:
		return a.whole(200, "application/json", wrongBody(a.story.nonce))
	case status429, status503, status529, status500:
		return a.status(f)
	}
	if a.story.stream {
		return a.stream(f)
	}
	return a.json(f)
}

func (a *answer) write(text string) bool {
	_, err := io.WriteString(a.conn, text)
	return err == nil
}

// last writes what the connection ends with.
func (a *answer) last(text string) bool {
	a.write(text)
	return false
}

func (a *answer) reset() bool {
	_ = a.conn.SetLinger(0)
	return false
}

// stall waits until sluice has had enough.
func (a *answer) stall() bool {
	_ = a.conn.SetReadDeadline(time.Now().Add(10 * patience))
	_, _ = a.in.Peek(1)
	return false
}

func (a *answer) whole(status int, contentType, body string, fields ...string) bool {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), contentType, len(body))
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return a.write(b.String() + "\r\n" + body)
}

// wrongBody is JSON that ends too early, though with the length that was announced.
func wrongBody(nonce string) string { return `{"id":"` + nonce + `","choices":[{` }

// status is an error of the provider, with a Retry-After of every form.
func (a *answer) status(f fault) bool {
	code := map[fault]int{status429: 429, status503: 503, status529: 529, status500: 500}[f]
	forms := []string{"Retry-After: 0", "retry-after-ms: 20", "Retry-After: soon", "X-Nothing: 1"}
	if a.story.model == "lone" { // elsewhere sluice would ask others for so long, and nothing would go wrong any more
		forms = append(forms, "Retry-After: 1", "Retry-After: 86400", "Retry-After: "+time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
	}
	field := forms[(a.story.pieces+a.call)%len(forms)]
	return a.whole(code, "application/json", fmt.Sprintf(`{"error":{"message":"%s","type":"server_error","param":null,"code":"injected"}}`, a.story.nonce), field)
}

// piece is a part of the text of the answer. No other answer has the same, and no other call.
func piece(nonce string, call, n int) string { return fmt.Sprintf("%s:%d:%d ", nonce, call, n) }

func (a *answer) chunk(members string) string {
	event := fmt.Sprintf(`data: {"id":"%s","object":"chat.completion.chunk","created":1,"model":"some",%s}`, a.story.nonce, members) + "\n\n"
	return httpChunk(event)
}

func httpChunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

func (a *answer) say(n int) string {
	return a.chunk(fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]`, piece(a.story.nonce, a.call, n)))
}

// errorEvent is how providers say that something went wrong after all.
func (a *answer) errorEvent() string {
	return httpChunk(`data: {"error":{"message":"` + a.story.nonce + `","type":"server_error","code":"injected"}}` + "\n\n")
}

// stream writes an answer in pieces; whatever goes wrong inside does so in the middle.
func (a *answer) stream(f fault) bool {
	if !a.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n") {
		return false
	}
	switch f {
	case resetAfterHead:
		return a.reset()
	case stallAfterHead:
		return a.stall()
	case errorEventFirst:
		return a.write(a.errorEvent() + "0\r\n\r\n")
	}
	for i := range a.story.pieces {
		if i > 0 && !child.Wait(a.ctx, a.story.every) {
			return false
		}
		if i == (a.story.pieces+1)/2 && f != faultNone && f != leftover {
			return a.breakOff(f)
		}
		if !a.write(a.say(i)) {
			return false
		}
	}
	return a.end(f)
}

// breakOff does what goes wrong in the middle of a stream.
func (a *answer) breakOff(f fault) bool {
	switch f {
	case resetInside:
		return a.reset()
	case closeInside:
		next := a.say((a.story.pieces + 1) / 2)
		return a.last(next[:a.story.pieces%len(next)])
	case stallInside:
		return a.stall()
	case errorEventInside:
		return a.write(a.errorEvent() + "0\r\n\r\n")
	case cleanCut:
		return a.write("0\r\n\r\n")
	case badChunk:
		return a.last("zz\r\nnothing\r\n")
	}
	return false
}

func (a *answer) end(f fault) bool {
	end := a.chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`)
	if a.usage {
		end += a.chunk(`"choices":[],` + a.usageMember())
	}
	end += httpChunk("data: [DONE]\n\n") + "0\r\n\r\n"
	if f == leftover {
		end += strayAnswer
	}
	return a.write(end)
}

// strayAnswer is for nobody. Whoever gets it has got foreign bytes.
const strayAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n" +
	`{"id":"soak-ffffffffffffffff","choices":[]` + "}"

func (a *answer) usageMember() string {
	return fmt.Sprintf(`"usage":{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}`, a.story.pieces, 7+a.story.pieces)
}

// json writes an answer in one piece.
func (a *answer) json(f fault) bool {
	if !child.Wait(a.ctx, time.Duration(a.story.pieces)*a.story.every) {
		return false
	}
	var text strings.Builder
	for i := range a.story.pieces {
		text.WriteString(piece(a.story.nonce, a.call, i))
	}
	body := fmt.Sprintf(`{"id":"%s","object":"chat.completion","created":1,"model":"some","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],%s}`,
		a.story.nonce, &text, a.usageMember())
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	switch f {
	case resetAfterHead:
		a.write(head)
		return a.reset()
	case resetInside:
		a.write(head + body[:len(body)/2])
		return a.reset()
	case closeInside:
		return a.last(head + body[:len(body)/2])
	case stallInside:
		a.write(head + body[:len(body)/2])
		return a.stall()
	case leftover:
		body += strayAnswer
	}
	return a.write(head + body)
}
