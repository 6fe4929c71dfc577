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
func (a *attempt) writeEnding(e ending) {
	switch e.outcome {
	case accounting.OutcomeClientGone, accounting.OutcomeClientStalled:
		return
	case accounting.OutcomeCancelled, accounting.OutcomeLimit:
		if a.streams() && a.speaksSSE() {
			a.writeCut(e)
			return
		}
	}
	if a.client.headSent {
		a.account(last{})
		if !a.relay.failed && a.speaksSSE() { // what is no stream has no place for an event
			_ = a.client.body(a.errorEvent(e), false)
		}
		return
	}
	err := a.endingError(e)
	body := err.AppendJSON(nil)
	a.account(last{status: err.Status, bytes: len(body), whole: true})
	_ = a.client.answer(err.Status, a.id, a.appendWarnings(errorFields(err)), body)
}

// speaksSSE tells whether the client has, or can still be given, an event stream.
func (a *attempt) speaksSSE() bool {
	return !a.client.headSent || a.answerKind() == answerStream || a.foreign != nil && a.foreign.writer != nil
}

// writeCut ends a stream that was cut on purpose so that SDKs accept it as whole,
// unless a tool call is open: then an error keeps half a call from being executed.
func (a *attempt) writeCut(e ending) {
	if a.client.headSent {
		a.account(last{whole: true})
	} else {
		a.account(last{status: fasthttp.StatusOK, whole: true})
		fields := appendField(nil, "Content-Type", "text/event-stream; charset=utf-8")
		fields = a.appendWarnings(appendField(fields, "Cache-Control", "no-cache"))
		if a.client.stream(200, a.id, fields) != nil {
			return
		}
	}
	if a.shape != accounting.ShapeChat && a.shape != accounting.ShapeCompletion {
		_ = a.client.body(a.errorEvent(e), true)
		return
	}
	if a.relay.broken || a.meter.OpenToolCall() {
		_ = a.client.body(translate.AppendErrorEvent(a.freshEvent(), a.endingError(e), true), true)
		return
	}
	object := translate.ChatChunk
	if a.shape == accounting.ShapeCompletion {
		object = translate.CompletionChunk
	}
	usage, source := a.cutUsage()
	open := a.meter.OpenChoices(a.request.N)
	var out []byte
	if len(open) == 0 {
		out = translate.AppendStreamTail(out, a.chunkHead(), object, usage, string(e.outcome), string(source))
	} else {
		out = translate.AppendCancelEnding(out, a.chunkHead(), object, open, usage, string(e.outcome), string(source))
	}
	_ = a.client.body(out, true)
}

// cutUsage is the usage for the client of a cut stream, nil if it did not ask.
func (a *attempt) cutUsage() (*tokens.Usage, accounting.Source) {
	if !a.request.IncludeUsage {
		return nil, a.usageSource()
	}
	u, source := a.finalUsage()
	return &u, source
}

// chunkHead is what every chunk of this stream has in common, so that SDKs take
// ours for one of the provider's.
func (a *attempt) chunkHead() translate.Head {
	id, created, model := a.meter.Head()
	h := translate.Head{ID: id, Created: created, Model: model}
	if h.ID == "" {
		h.ID = "chatcmpl-" + a.id
	}
	if h.Created == 0 {
		h.Created = a.start.Unix()
	}
	if h.Model == "" || a.relay.public != "" {
		h.Model = a.asked
	}
	return h
}

// errorEvent is an error as an event of the stream, on a line of its own even when
// part of an oversized event has already gone out.
func (a *attempt) errorEvent(e ending) []byte {
	err := a.endingError(e)
	if a.shape == accounting.ShapeResponses {
		return translate.AppendResponsesError(a.freshEvent(), err)
	}
	return translate.AppendErrorEvent(a.freshEvent(), err, false)
}

func (a *attempt) freshEvent() []byte {
	if a.relay.broken {
		return []byte("\n\n")
	}
	return nil
}

// endingError is the error that tells a client about an ending.
func (a *attempt) endingError(e ending) *translate.Error {
	if a.refusal != nil {
		return a.refusal
	}
	code := e.code
	switch e.outcome {
	case accounting.OutcomeCancelled:
		code = translate.CodeCancelled
	case accounting.OutcomeShutdown:
		code = translate.CodeShuttingDown
	}
	err := translate.UpstreamError(code, a.mayHaveRun() && !a.wasRefused())
	if e.outcome != accounting.OutcomeCancelled && a.ranBefore() {
		err.NoRetry = true // a repeat may be charged twice, if not by this provider
	}
	return err
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
