package proxy

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// writeEnding writes what a client gets for an ending that is not a completed
// answer: nothing when it left; a well-formed end when the cut was wanted; and in
// all other cases an error, which before the head is a whole response and after it
// an event followed by the end of the connection without the last chunk, so that
// nothing takes a cut answer for a whole one.
func (x *exchange) writeEnding(e ending) {
	switch e.outcome {
	case accounting.OutcomeClientGone, accounting.OutcomeClientStalled:
		return
	case accounting.OutcomeCancelled, accounting.OutcomeLimit:
		if x.streams() && x.speaksSSE() {
			x.writeCut(e)
			return
		}
	}
	if x.client.headSent {
		x.account(last{})
		if !x.relay.failed && x.speaksSSE() { // what is no stream has no place for an event
			_ = x.client.body(x.errorEvent(e), false)
		}
		return
	}
	err := x.endingError(e)
	body := err.AppendJSON(nil)
	x.account(last{status: err.Status, bytes: len(body), whole: true})
	_ = x.client.answer(err.Status, x.id, x.appendWarnings(errorFields(err)), body)
}

// speaksSSE tells whether the client has, or can still be given, an event stream.
func (x *exchange) speaksSSE() bool {
	return !x.client.headSent || x.answerKind() == answerStream || x.foreign != nil && x.foreign.writer != nil
}

// writeCut ends a stream that was cut on purpose so that SDKs accept it as whole,
// unless a tool call is open: then an error keeps half a call from being executed.
func (x *exchange) writeCut(e ending) {
	if x.client.headSent {
		x.account(last{whole: true})
	} else {
		x.account(last{status: fasthttp.StatusOK, whole: true})
		fields := appendField(nil, "Content-Type", "text/event-stream; charset=utf-8")
		fields = x.appendWarnings(appendField(fields, "Cache-Control", "no-cache"))
		if x.client.stream(200, x.id, fields) != nil {
			return
		}
	}
	if x.shape != accounting.ShapeChat && x.shape != accounting.ShapeCompletion {
		_ = x.client.body(x.errorEvent(e), true)
		return
	}
	if x.relay.broken || x.meter.OpenToolCall() {
		_ = x.client.body(translate.AppendErrorEvent(x.freshEvent(), x.endingError(e), true), true)
		return
	}
	object := translate.ChatChunk
	if x.shape == accounting.ShapeCompletion {
		object = translate.CompletionChunk
	}
	usage, source := x.cutUsage()
	open := x.meter.OpenChoices(x.request.N)
	var out []byte
	if len(open) == 0 {
		out = translate.AppendStreamTail(out, x.chunkHead(), object, usage, string(e.outcome), string(source))
	} else {
		out = translate.AppendCancelEnding(out, x.chunkHead(), object, open, usage, string(e.outcome), string(source))
	}
	_ = x.client.body(out, true)
}

// cutUsage is the usage for the client of a cut stream, nil if it did not ask.
func (x *exchange) cutUsage() (*tokens.Usage, accounting.Source) {
	if !x.request.IncludeUsage {
		return nil, x.usageSource()
	}
	u, source := x.finalUsage()
	return &u, source
}

// chunkHead is what every chunk of this stream has in common, so that SDKs take
// ours for one of the provider's.
func (x *exchange) chunkHead() translate.Head {
	id, created, model := x.meter.Head()
	h := translate.Head{ID: id, Created: created, Model: model}
	if h.ID == "" {
		h.ID = "chatcmpl-" + x.id
	}
	if h.Created == 0 {
		h.Created = x.start.Unix()
	}
	if h.Model == "" || x.relay.public != "" {
		h.Model = x.asked
	}
	return h
}

// errorEvent is an error as an event of the stream, on a line of its own even when
// part of an oversized event has already gone out.
func (x *exchange) errorEvent(e ending) []byte {
	err := x.endingError(e)
	if x.shape == accounting.ShapeResponses {
		return translate.AppendResponsesError(x.freshEvent(), err)
	}
	return translate.AppendErrorEvent(x.freshEvent(), err, false)
}

func (x *exchange) freshEvent() []byte {
	if x.relay.broken {
		return []byte("\n\n")
	}
	return nil
}

// endingError is the error that tells a client about an ending.
func (x *exchange) endingError(e ending) *translate.Error {
	code := e.code
	switch e.outcome {
	case accounting.OutcomeCancelled:
		code = translate.CodeCancelled
	case accounting.OutcomeShutdown:
		code = translate.CodeShuttingDown
	}
	return translate.UpstreamError(code, x.mayHaveRun())
}

// mayHaveRun tells whether the provider may have begun to work on the request.
func (x *exchange) mayHaveRun() bool {
	return accounting.Phase(x.decidedIn.Load()) >= accounting.PhaseAwaitHeaders
}

// retrySeconds is the value of a Retry-After field, in whole seconds (RFC 9110, 10.2.3).
func retrySeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// errorFields are the header lines of an error response.
func errorFields(e *translate.Error) []byte {
	fields := appendField(nil, "Content-Type", "application/json")
	if e.RetryAfter > 0 {
		fields = appendField(fields, "Retry-After", retrySeconds(e.RetryAfter))
	}
	if e.NoRetry {
		fields = appendField(fields, "X-Should-Retry", "false")
	}
	return fields
}
