//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// sight is what a client has seen of its request, in one word.
type sight int

const (
	sawNothing   sight = iota // it left, or its connection ended without an answer
	sawWhole                  // a whole answer
	sawCancelled              // an answer that ended well because it was cancelled
	sawStatus                 // an error status
	sawError                  // an error in the stream
	sawCut                    // an answer that ended without a word
	sawWrong                  // the wrong JSON of an upstream, passed on as it is
)

var sights = [...]string{"nothing", "a whole answer", "a cancelled answer", "an error", "an error in the stream", "a cut answer", "wrong JSON"}

func (s sight) String() string { return sights[s] }

// view is what a client has seen.
type view struct {
	saw    sight
	status int
	code   string // of an error
	left   bool   // the client left before the end
	// What no answer may have, in words: parts of others, and other things.
	foreign, wrong string
}

// statusCancelled is that of a request without a stream that was cancelled.
const statusCancelled = 499

// read makes a view of an answer that came as far as body; whole says that its framing
// ended well.
func read(p *plan, response *http.Response, body string, whole bool) view {
	v := view{status: response.StatusCode}
	v.foreign = foreign(p, response, body)
	switch {
	case response.StatusCode != http.StatusOK:
		v.readStatus(body, whole)
	case p.stream:
		v.readStream(p, body, whole)
	default:
		v.readWhole(p, body, whole)
	}
	return v
}

// foreign finds what belongs to another request.
func foreign(p *plan, response *http.Response, body string) string {
	if id := response.Header.Get("X-Request-Id"); id != p.nonce {
		return fmt.Sprintf("the answer has the id %q", id)
	}
	for _, values := range response.Header {
		body += " " + strings.Join(values, " ")
	}
	for _, found := range anyNonce.FindAllString(body, -1) {
		if found != p.nonce {
			return "the answer has a part of that of " + found
		}
	}
	return ""
}

func (v *view) fault(format string, args ...any) {
	if v.wrong == "" {
		v.wrong = fmt.Sprintf(format, args...)
	}
}

func (v *view) readStatus(body string, whole bool) {
	v.saw = sawStatus
	var e struct {
		Error struct {
			Code    any    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if !whole {
		v.saw = sawCut
		return
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Message == "" {
		v.fault("an error %d without the form of one", v.status)
	}
	v.code, _ = e.Error.Code.(string)
	if v.status == statusCancelled {
		v.saw = sawCancelled
	}
}

// chunk is a chunk of a stream, or a whole answer.
type chunk struct {
	ID      string `json:"id"`
	Choices []struct {
		Delta   struct{ Content string }
		Message struct{ Content string }
		Finish  *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *json.RawMessage `json:"usage"`
	Error *struct {
		Code string `json:"code"`
	} `json:"error"`
	Sluice *struct {
		Outcome string `json:"outcome"`
	} `json:"sluice"`
}

func (v *view) readWhole(p *plan, body string, whole bool) {
	v.saw = sawCut
	if !whole {
		return
	}
	if body == wrongBody(p.nonce) {
		v.saw = sawWrong
		return
	}
	var c chunk
	if err := json.Unmarshal([]byte(body), &c); err != nil || c.ID != p.nonce || len(c.Choices) != 1 {
		v.fault("a whole answer that is none")
		return
	}
	v.saw = sawWhole
	if n := pieces(p, c.Choices[0].Message.Content); n != p.pieces {
		v.fault("a whole answer of %d of %d pieces", n, p.pieces)
	}
}

// pieces counts the pieces in a text; -1 if they are not those of one call, in their order.
func pieces(p *plan, text string) int {
	if text == "" {
		return 0
	}
	for call := 1; call <= 2*plannedCalls; call++ {
		if !strings.HasPrefix(text, piece(p.nonce, call, 0)) {
			continue
		}
		for n := 0; ; n++ {
			if text == "" {
				return n
			}
			rest, ok := strings.CutPrefix(text, piece(p.nonce, call, n))
			if !ok {
				return -1
			}
			text = rest
		}
	}
	return -1
}

// stream is what is read of one.
type stream struct {
	text                    string
	finished, done, usage   bool
	failed, cancelled, late bool
	code                    string
}

func (v *view) readStream(p *plan, body string, whole bool) {
	var s stream
	events := strings.Split(body, "\n\n")
	for i, event := range events {
		if i == len(events)-1 { // behind the last blank line: nothing, or a cut event
			if event != "" && whole {
				v.fault("a stream that ends inside an event")
			}
			break
		}
		s.take(v, p, event)
	}
	n := pieces(p, s.text)
	switch {
	case n < 0 || n > p.pieces:
		v.fault("pieces in another order")
	case s.late:
		v.fault("something behind the end")
	case s.done != whole:
		v.fault("[DONE]: %t, and the last chunk: %t", s.done, whole)
	case s.usage && !p.usage && !s.cancelled:
		v.fault("usage that nobody has asked for")
	}
	v.code = s.code
	switch {
	case s.failed:
		v.saw = sawError
		if s.done || s.finished {
			v.fault("an error in a stream that ends well")
		}
	case !whole:
		v.saw = sawCut
	case s.cancelled:
		v.saw = sawCancelled
	default:
		v.saw = sawWhole
		if n != p.pieces || !s.finished || s.usage != p.usage {
			v.fault("a whole stream of %d of %d pieces, finished: %t, usage: %t", n, p.pieces, s.finished, s.usage)
		}
	}
}

func (s *stream) take(v *view, p *plan, event string) {
	if strings.HasPrefix(event, ":") {
		return
	}
	data, ok := strings.CutPrefix(event, "data: ")
	switch {
	case !ok:
		v.fault("no event")
		return
	case s.done || s.failed:
		s.late = true
		return
	case data == "[DONE]":
		s.done = true
		return
	}
	var c chunk
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		v.fault("an event that is no JSON")
		return
	}
	if c.Error != nil {
		s.failed, s.code = true, c.Error.Code
		return
	}
	s.usage = s.usage || c.Usage != nil && string(*c.Usage) != "null"
	s.cancelled = s.cancelled || c.Sluice != nil && c.Sluice.Outcome == outcomeCancelled
	if c.ID != p.nonce && !s.cancelled { // what ends a cancelled stream may have no id to go by
		v.fault("a chunk with the id %q", c.ID)
	}
	for _, choice := range c.Choices {
		s.text += choice.Delta.Content
		s.finished = s.finished || choice.Finish != nil
	}
}
