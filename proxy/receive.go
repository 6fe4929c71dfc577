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
func (a *attempt) receive() {
	if !a.readHead() {
		return
	}
	a.headersAt = time.Since(a.start)
	a.statusUp = a.answer.Status
	a.enter(accounting.PhaseAwaitToken)
	a.detectRunningUsage()

	body, code := a.decodedBody()
	switch kind := a.answerKind(); {
	case code != "":
		a.fail(accounting.OutcomeUpstreamError, code)
	case a.answer.Status >= 400 && a.foreign != nil:
		a.forwardForeignError(body)
	case a.answer.Status >= 400:
		a.forwardError(body)
	case a.answer.Status >= 300:
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamRedirect)
	case a.foreign != nil:
		a.receiveTranslated(body)
	case kind == answerStream:
		a.forwardStream(body)
	case kind == answerJSON:
		a.forwardWhole(body)
	case kind == answerOpaque:
		a.forwardOpaque(body)
	default:
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadContentType)
	}
}

// readHead reads the response head. Being woken for a keep-alive comment means
// nothing here: there is no response to put one into yet.
func (a *attempt) readHead() bool {
	for {
		err := a.reader.ReadHead(&a.answer, a.method)
		if err == nil {
			return true
		}
		if _, over := a.valve.ended(); over {
			return false
		}
		if !errors.Is(err, upstream.ErrInterrupted) {
			a.fail(headFailure(err))
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
func (a *attempt) answerKind() answerKind {
	media := mediaType(a.answer.ContentType)
	switch {
	case media == "text/event-stream":
		return answerStream
	case media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return answerJSON
	case a.shape == accounting.ShapeGeneric && a.passthrough():
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
func (a *attempt) decodedBody() (bodyReader, string) {
	switch strings.ToLower(a.answer.ContentEncoding) {
	case "", "identity":
		return &a.reader, ""
	case "gzip", "x-gzip":
		return newGunzip(&a.reader), ""
	default:
		return nil, translate.CodeUpstreamBadEncoding
	}
}

// readWhole collects a body up to limit bytes. more tells that it is longer.
func (a *attempt) readWhole(body bodyReader, limit int) (all []byte, more bool, err error) {
	if n := a.answer.ContentLength; n > 0 && n <= int64(limit) {
		all = make([]byte, 0, n)
	}
	for {
		b, err := body.ReadBody()
		if len(b) > 0 {
			a.upstreamAt.Store(a.clock())
			a.enter(accounting.PhaseStreaming)
		}
		if len(all)+len(b) > limit {
			return append(all, b[:limit-len(all)]...), true, nil
		}
		all = append(all, b...)
		switch {
		case err == nil || a.wokenForNothing(err):
		case errors.Is(err, io.EOF):
			return all, false, nil
		default:
			return all, false, err
		}
	}
}

// wokenForNothing tells whether err is only the wake-up for a comment that has no
// place in this answer.
func (a *attempt) wokenForNothing(err error) bool {
	if !errors.Is(err, upstream.ErrInterrupted) {
		return false
	}
	_, over := a.valve.ended()
	return !over
}

// forwardWhole forwards an answer that is one JSON value: its usage is counted
// and the model's public name put in, everything else stays as it is.
func (a *attempt) forwardWhole(body bodyReader) {
	all, more, err := a.readWhole(body, int(a.gen.cfg.Limits.MaxAnswer))
	switch {
	case more:
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
		return
	case err != nil:
		a.failUpstream(err)
		return
	case a.endsWithConnection() && !gjson.ValidBytes(all):
		a.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
		return
	case a.shape != accounting.ShapeGeneric && !gjson.ValidBytes(all): // nobody can read it
		a.meter.NoteBadEvent()
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
		return
	}
	a.enter(accounting.PhaseTail)
	if len(all) > 0 {
		a.firstAt = time.Since(a.start)
	}
	if a.meter.ObserveBody(all).Kind == accounting.KindError && a.shape != accounting.ShapeGeneric {
		// A provider that puts its failure under a good status has failed all the same.
		end := ending{outcome: accounting.OutcomeUpstreamError, code: a.meter.ErrorCode()}
		said := a.renamed(a.target.provider.hideSecrets(all))
		a.surrender(end, translate.ClassifyErrorEvent(all), true, func() { a.answerWith(end, said) })
		return
	}
	if a.shape == accounting.ShapeChat {
		all = openai.RepairAnswer(nil, all, a.repairOptions())
	} else {
		all = a.renamed(all)
	}
	a.answerWith(ending{outcome: accounting.OutcomeCompleted}, all)
}

// renamed is an answer with the name in it that the client has asked for.
func (a *attempt) renamed(answer []byte) []byte {
	public := a.publicName()
	if public == "" {
		return answer
	}
	return translate.RewriteAnswer(make([]byte, 0, len(answer)+len(public)), answer, public)
}

// answerWith ends the exchange with a whole answer under the provider's status.
func (a *attempt) answerWith(end ending, answer []byte) {
	a.live.chunks.Store(1)
	if !a.finishWith(end) {
		return
	}
	a.account(last{status: a.answer.Status, bytes: len(answer), whole: true})
	_ = a.respond(a.answer.Status, a.appendKept(nil), answer)
}

// endsWithConnection tells whether nothing but the end of the connection says where
// the body ends, so that a cut one looks like a whole one.
func (a *attempt) endsWithConnection() bool {
	h := &a.answer
	return !h.Chunked && h.ContentLength < 0 && h.Status != fasthttp.StatusNoContent && a.method != fasthttp.MethodHead
}

// forwardError forwards a provider's error status. The body stays as it is where
// it has the shape of the client's dialect, and is put into that shape otherwise.
func (a *attempt) forwardError(body bodyReader) {
	all, _, err := a.readWhole(body, maxErrorBody)
	if _, over := a.valve.ended(); over {
		return
	}
	if err != nil && len(all) == 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
		a.failUpstream(err)
		return
	}
	all = a.target.provider.hideSecrets(all)
	a.meter.ObserveBody(all)
	a.unaskRunningUsage(all)
	end := ending{outcome: accounting.OutcomeUpstreamError, code: a.meter.ErrorCode()}
	a.surrender(end, translate.ClassifyError(a.answer.Status, a.answer.ContentType, all), true, func() {
		if !a.finishWith(end) {
			return
		}
		shaped := translate.ReshapeError(a.answer.Status, a.answer.ContentType, all)
		fields := a.appendKept(nil)
		if !bytes.Equal(shaped, all) || a.answer.ContentType == "" {
			fields = a.appendKept(nil, "content-type")
			fields = appendField(fields, "Content-Type", "application/json")
		}
		a.account(last{status: a.answer.Status, bytes: len(shaped), whole: true})
		_ = a.respond(a.answer.Status, fields, shaped)
	})
}

// forwardOpaque forwards bytes that sluice does not look into. Only the framing
// can say whether such an answer is whole.
func (a *attempt) forwardOpaque(body bodyReader) {
	if !a.openStream(a.answer.Status, a.appendKept(nil)) {
		return
	}
	for {
		b, err := body.ReadBody()
		if len(b) > 0 {
			a.enter(accounting.PhaseStreaming)
			now := a.clock()
			a.upstreamAt.Store(now)
			a.live.chunks.Add(1)
			if !a.commit() || a.forward(b) != nil {
				return
			}
		}
		switch {
		case err == nil || a.wokenForNothing(err):
		case errors.Is(err, io.EOF):
			if a.complete() {
				a.account(last{whole: true})
				_ = a.client.body(nil, true)
			}
			return
		default:
			a.failUpstream(err)
			return
		}
	}
}

// respond sends a whole answer and notes the time spent.
func (a *attempt) respond(status int, fields, body []byte) error {
	a.timer.writingSince.Store(a.clock())
	err := a.client.answer(status, a.id, fields, body)
	a.timer.writingSince.Store(0)
	return err
}

// clientFailed ends the exchange after a write to the client failed. The watcher
// usually knew before; then this is a no-op.
func (a *attempt) clientFailed() {
	a.exchange.shut(ending{outcome: accounting.OutcomeClientGone})
}

// publicName is the model name to put into the answer, or empty when the answer
// stays as it is: sluice only renames back what it renamed.
func (a *attempt) publicName() string {
	if !a.gen.publicNames || a.asked == a.target.model {
		return ""
	}
	return a.asked
}
