package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/openai"
)

// maxErrorBody bounds what is read of a provider's error answer; the rest is cut
// and the connection closed.
const maxErrorBody = 1 << 20

// receive waits for the head of the answer and forwards what kind of answer it
// turns out to be.
func (x *exchange) receive() {
	if !x.readHead() {
		return
	}
	x.headersAt = time.Since(x.start)
	x.statusUp = x.answer.Status
	x.enter(accounting.PhaseAwaitToken)
	x.detectRunningUsage()

	body, code := x.decodedBody()
	switch kind := x.answerKind(); {
	case code != "":
		x.fail(accounting.OutcomeUpstreamError, code)
	case x.answer.Status >= 400 && x.foreign != nil:
		x.forwardForeignError(body)
	case x.answer.Status >= 400:
		x.forwardError(body)
	case x.answer.Status >= 300:
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamRedirect)
	case x.foreign != nil:
		x.receiveTranslated(body)
	case kind == answerStream:
		x.forwardStream(body)
	case kind == answerJSON:
		x.forwardWhole(body)
	case kind == answerOpaque:
		x.forwardOpaque(body)
	default:
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadContentType)
	}
}

// readHead reads the response head. Being woken for a keep-alive comment means
// nothing here: there is no response to put one into yet.
func (x *exchange) readHead() bool {
	for {
		err := x.reader.ReadHead(&x.answer, x.method)
		if err == nil {
			return true
		}
		if _, over := x.valve.ended(); over {
			return false
		}
		if !errors.Is(err, upstream.ErrInterrupted) {
			x.fail(headFailure(err))
			return false
		}
	}
}

type answerKind uint8

const (
	answerUnexpected answerKind = iota
	answerStream
	answerJSON
	answerOpaque // bytes of an endpoint whose answers are not JSON, as audio
)

// answerKind goes by the content type that the provider declares, whatever the
// client asked for: a JSON answer to a stream request is a whole answer.
func (x *exchange) answerKind() answerKind {
	media := mediaType(x.answer.ContentType)
	switch {
	case media == "text/event-stream":
		return answerStream
	case media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return answerJSON
	case x.shape == accounting.ShapeGeneric && x.passthrough():
		return answerOpaque
	default:
		return answerUnexpected
	}
}

// mediaType is the type of a content, in lower case and without parameters.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// passthrough tells whether the endpoint is one that sluice does not interpret.
func (x *exchange) passthrough() bool {
	switch x.endpoint {
	case translate.ChatCompletions, translate.Completions, translate.Embeddings:
		return false
	default:
		return true
	}
}

// bodyReader yields the body of the answer piece by piece; a piece is valid until
// the next call and lies in a buffer as upstream.Reader.ReadBody promises.
type bodyReader interface {
	ReadBody() ([]byte, error)
}

// decodedBody returns the body without its content coding. sluice asks for
// identity; gzip that comes anyway is decoded, anything else is refused.
func (x *exchange) decodedBody() (bodyReader, string) {
	switch strings.ToLower(x.answer.ContentEncoding) {
	case "", "identity":
		return &x.reader, ""
	case "gzip", "x-gzip":
		return newGunzip(&x.reader), ""
	default:
		return nil, translate.CodeUpstreamBadEncoding
	}
}

// readWhole collects a body up to limit bytes. more tells that it is longer.
func (x *exchange) readWhole(body bodyReader, limit int) (all []byte, more bool, err error) {
	if n := x.answer.ContentLength; n > 0 && n <= int64(limit) {
		all = make([]byte, 0, n)
	}
	for {
		b, err := body.ReadBody()
		if len(b) > 0 {
			x.timer.upstreamAt.Store(x.clock())
			x.enter(accounting.PhaseStreaming)
		}
		if len(all)+len(b) > limit {
			return append(all, b[:limit-len(all)]...), true, nil
		}
		all = append(all, b...)
		switch {
		case err == nil || x.wokenForNothing(err):
		case errors.Is(err, io.EOF):
			return all, false, nil
		default:
			return all, false, err
		}
	}
}

// wokenForNothing tells whether err is only the wake-up for a comment that has no
// place in this answer.
func (x *exchange) wokenForNothing(err error) bool {
	if !errors.Is(err, upstream.ErrInterrupted) {
		return false
	}
	_, over := x.valve.ended()
	return !over
}

// forwardWhole forwards an answer that is one JSON value: its usage is counted
// and the model's public name put in, everything else stays as it is.
func (x *exchange) forwardWhole(body bodyReader) {
	all, more, err := x.readWhole(body, int(x.srv.cfg.Limits.MaxAnswer))
	switch {
	case more:
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
		return
	case err != nil:
		x.failUpstream(err)
		return
	case x.endsWithConnection() && !gjson.ValidBytes(all):
		x.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
		return
	}
	x.enter(accounting.PhaseTail)
	if len(all) > 0 {
		x.firstAt = time.Since(x.start)
	}
	end := ending{outcome: accounting.OutcomeCompleted}
	if x.meter.ObserveBody(all).Kind == accounting.KindError && x.shape != accounting.ShapeGeneric {
		// A provider that puts its failure under a good status has failed all the same.
		end = ending{outcome: accounting.OutcomeUpstreamError, code: x.meter.ErrorCode()}
	}
	x.live.chunks.Store(1)
	switch public := x.publicName(); {
	case x.shape == accounting.ShapeChat && end.outcome == accounting.OutcomeCompleted:
		all = openai.RepairAnswer(nil, all, x.repairOptions())
	case public != "":
		all = translate.RewriteAnswer(make([]byte, 0, len(all)+len(public)), all, public)
	}
	if !x.valve.settle(end) {
		return
	}
	x.account(last{status: x.answer.Status, bytes: len(all), whole: true})
	_ = x.respond(x.answer.Status, x.appendKept(nil), all)
}

// endsWithConnection tells whether nothing but the end of the connection says where
// the body ends, so that a cut one looks like a whole one.
func (x *exchange) endsWithConnection() bool {
	h := &x.answer
	return !h.Chunked && h.ContentLength < 0 && h.Status != fasthttp.StatusNoContent && x.method != fasthttp.MethodHead
}

// forwardError forwards a provider's error status. The body stays as it is where
// it has the shape of the client's dialect, and is put into that shape otherwise.
func (x *exchange) forwardError(body bodyReader) {
	all, _, err := x.readWhole(body, maxErrorBody)
	if _, over := x.valve.ended(); over {
		return
	}
	if err != nil && len(all) == 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
		x.failUpstream(err)
		return
	}
	x.meter.ObserveBody(all)
	x.unaskRunningUsage(all)
	if !x.valve.settle(ending{outcome: accounting.OutcomeUpstreamError, code: x.meter.ErrorCode()}) {
		return
	}
	shaped := translate.ReshapeError(x.answer.Status, x.answer.ContentType, all)
	fields := x.appendKept(nil)
	if !bytes.Equal(shaped, all) || x.answer.ContentType == "" {
		fields = x.appendKept(nil, "content-type")
		fields = appendField(fields, "Content-Type", "application/json")
	}
	x.account(last{status: x.answer.Status, bytes: len(shaped), whole: true})
	_ = x.respond(x.answer.Status, fields, shaped)
}

// forwardOpaque forwards bytes that sluice does not look into. Only the framing
// can say whether such an answer is whole.
func (x *exchange) forwardOpaque(body bodyReader) {
	if x.client.stream(x.answer.Status, x.id, x.appendKept(nil)) != nil {
		x.clientFailed()
		return
	}
	for {
		b, err := body.ReadBody()
		if len(b) > 0 {
			x.enter(accounting.PhaseStreaming)
			now := x.clock()
			x.timer.upstreamAt.Store(now)
			x.live.chunks.Add(1)
			if x.forward(b) != nil {
				return
			}
		}
		switch {
		case err == nil || x.wokenForNothing(err):
		case errors.Is(err, io.EOF):
			if x.complete() {
				x.account(last{whole: true})
				_ = x.client.body(nil, true)
			}
			return
		default:
			x.failUpstream(err)
			return
		}
	}
}

// respond sends a whole answer and notes the time spent.
func (x *exchange) respond(status int, fields, body []byte) error {
	x.timer.writingSince.Store(x.clock())
	err := x.client.answer(status, x.id, fields, body)
	x.timer.writingSince.Store(0)
	return err
}

// clientFailed ends the exchange after a write to the client failed. The watcher
// usually knew before; then this is a no-op.
func (x *exchange) clientFailed() {
	x.shut(ending{outcome: accounting.OutcomeClientGone})
}

// publicName is the model name to put into the answer, or empty when the answer
// stays as it is: sluice only renames back what it renamed.
func (x *exchange) publicName() string {
	if !x.srv.publicNames || x.asked == x.target.model {
		return ""
	}
	return x.asked
}
