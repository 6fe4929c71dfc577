package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
)

// translation is what an exchange has when its provider speaks another dialect than
// its client. The provider's events are decoded to chunks of the hub; those are what
// the client gets and what the meter reads.
type translation struct {
	dialect translate.Dialect
	context translate.Context

	// Of a stream.
	split   framing.Splitter
	decoder translate.Decoder
	writer  *translate.ChunkWriter
}

// maxTranslated bounds an event of another dialect, which has to be held as a whole:
// pictures come in one event.
const maxTranslated = 32 << 20

// receiveTranslated forwards an answer of another dialect.
func (a *attempt) receiveTranslated(body bodyReader) {
	f, ok := a.foreign.dialect.Framing(mediaType(a.answer.ContentType))
	switch {
	case !ok || !a.streams() && f != translate.FramingNone && f != translate.FramingArray:
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadContentType)
	case !a.streams():
		a.translateWhole(body)
	case f == translate.FramingNone:
		a.translateWholeToStream(body)
	default:
		a.translateStream(body, f)
	}
}

func (a *attempt) writerOptions() translate.WriterOptions {
	o := translate.WriterOptions{Extensions: a.gen.cfg.Extensions, IncludeUsage: a.request.IncludeUsage}
	if a.gen.publicNames {
		o.Model = a.asked
	}
	return o
}

// ownHead is what an answer says of itself where the provider says nothing.
func (a *attempt) ownHead() translate.Head {
	return translate.Head{ID: "chatcmpl-" + a.id, Created: a.start.Unix(), Model: a.target.model}
}

// foreignWhole reads a whole answer of another dialect; ok is false if the exchange has
// ended over it.
func (a *attempt) foreignWhole(body bodyReader) (all []byte, ok bool) {
	all, more, err := a.readWhole(body, int(a.gen.cfg.Limits.MaxAnswer))
	switch {
	case more:
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
	case err != nil:
		a.failUpstream(err)
	case len(bytes.TrimSpace(all)) == 0, a.endsWithConnection() && !gjson.ValidBytes(all):
		a.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
	default:
		a.enter(accounting.PhaseTail)
		return all, true
	}
	return nil, false
}

// translateWhole forwards an answer that is one object as one object.
func (a *attempt) translateWhole(body bodyReader) {
	all, ok := a.foreignWhole(body)
	if !ok {
		return
	}
	w := translate.NewAnswerWriter(a.ownHead(), a.writerOptions())
	progress := a.foreign.dialect.Answer(&a.foreign.context, w, all)
	usage, raw := w.Counted()
	a.meter.StateUsage(usage, raw, true)
	if !a.answered(progress, w.Failure()) {
		return
	}
	answer := w.Append(nil)
	a.meter.ObserveBody(answer)
	a.meter.StateUsage(usage, raw, true)
	a.firstAt = time.Since(a.start)
	a.live.chunks.Store(1)
	if !a.complete() {
		return
	}
	fields := appendField(a.foreignFields(), "Content-Type", "application/json")
	a.account(last{status: fasthttp.StatusOK, bytes: len(answer), whole: true})
	_ = a.respond(fasthttp.StatusOK, fields, answer)
}

// answered deals with a whole answer that is none: it has failed, or cannot be read.
func (a *attempt) answered(progress translate.Progress, failure *translate.Error) bool {
	switch {
	case progress == translate.Failed && failure != nil:
		a.refuseWith(failure)
		return false
	case progress != translate.Complete:
		a.meter.NoteBadEvent()
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
		return false
	}
	return true
}

// refuseWith ends the attempt with an error of the provider's, which the client is told
// unless another attempt takes over.
func (a *attempt) refuseWith(e *translate.Error) {
	e = e.InOpenAIsWords()
	a.meter.ObserveBody(e.AppendJSON(nil))
	end := ending{outcome: accounting.OutcomeUpstreamError, code: a.meter.ErrorCode()}
	a.surrender(end, e.Kind(), true, func() {
		if !a.finishWith(end) {
			return
		}
		if a.answer.Get("Retry-After") != "" { // which the client gets as it came
			e.RetryAfter = 0
		}
		body := a.target.provider.hideSecrets(e.AppendJSON(nil))
		a.account(last{status: e.Status, bytes: len(body), whole: true})
		_ = a.respond(e.Status, append(a.foreignFields(), errorFields(e)...), body)
	})
}

// forwardForeignError gives a provider's error status the client's form.
func (a *attempt) forwardForeignError(body bodyReader) {
	all, _, err := a.readWhole(body, maxErrorBody)
	if _, over := a.valve.ended(); over {
		return
	}
	if err != nil && len(all) == 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
		a.failUpstream(err)
		return
	}
	a.refuseWith(a.foreign.dialect.Error(a.answer.Status, a.answer.ContentType, all))
}

// foreignFields are the fields of the provider's head that the client gets to see, and
// what it has to be told of its request.
func (a *attempt) foreignFields() []byte {
	return a.appendWarnings(a.appendKept(make([]byte, 0, 256), "content-type"))
}

// appendWarnings tells the client what became of members that its model's provider does
// not have.
func (a *attempt) appendWarnings(fields []byte) []byte {
	if a.foreign == nil {
		return fields
	}
	for _, warning := range a.foreign.context.Warnings {
		fields = appendField(fields, "X-Sluice-Warning", warning)
	}
	return fields
}

// openForeignStream begins the client's stream.
func (a *attempt) openForeignStream() bool {
	t := a.foreign
	t.writer = translate.NewChunkWriter(a.ownHead(), a.writerOptions())
	fields := appendField(a.foreignFields(), "Content-Type", "text/event-stream; charset=utf-8")
	fields = appendField(fields, "Cache-Control", "no-cache")
	fields = appendField(fields, "X-Accel-Buffering", "no")
	return a.openStream(fasthttp.StatusOK, fields)
}

// translateWholeToStream forwards an answer that came as one object although a stream
// was asked for.
func (a *attempt) translateWholeToStream(body bodyReader) {
	all, ok := a.foreignWhole(body)
	if !ok {
		return
	}
	// Whether it is an answer at all decides about the head of the response.
	probe := translate.NewAnswerWriter(a.ownHead(), a.writerOptions())
	progress := a.foreign.dialect.Answer(&a.foreign.context, probe, all)
	usage, raw := probe.Counted()
	a.meter.StateUsage(usage, raw, true)
	if !a.answered(progress, probe.Failure()) || !a.openForeignStream() {
		return
	}
	work := takeBatch()
	defer work.release()
	t := a.foreign
	t.writer.Lend(work.out)
	a.dealWith(work, t.dialect.Answer(&t.context, t.writer, all))
}

// translateStream forwards an event stream of another dialect until it ends.
func (a *attempt) translateStream(body bodyReader, f translate.Framing) {
	t := a.foreign
	t.split = framing.New(f, maxTranslated)
	t.decoder = t.dialect.Decoder(&t.context)
	if !a.openForeignStream() {
		return
	}
	if plain, ok := body.(*upstream.Reader); ok {
		plain.Each(a.translatePiece)
		return
	}
	for more := true; more; {
		more = a.translatePiece(body.ReadBody())
	}
}

// translatePiece deals with what one read brought, and tells whether to read on.
func (a *attempt) translatePiece(b []byte, err error) (more bool) {
	if len(b) > 0 {
		a.upstreamAt.Store(a.clock())
		a.foreign.split.Feed(b)
		a.translateEvents(false)
	}
	switch {
	case err == nil || a.relay.ended:
	case errors.Is(err, upstream.ErrInterrupted):
		a.comment()
	default:
		a.translateEnd(err)
	}
	return !a.relay.ended
}

// translateEvents decodes the events at hand, forwards what they became in one write,
// and counts it. last takes in an event that the body ended in.
func (a *attempt) translateEvents(last bool) {
	t := a.foreign
	work := takeBatch()
	defer work.release()
	t.writer.Lend(work.out)
	progress := translate.More
	var ev sse.Event
	for progress == translate.More && t.split.Next(&ev) {
		progress = t.decode(&ev)
	}
	if progress == translate.More && t.split.Err() != nil {
		progress = translate.Malformed
	}
	if last && progress == translate.More {
		progress = t.decodeLast()
	}
	a.dealWith(work, progress)
}

func (t *translation) decode(ev *sse.Event) translate.Progress {
	switch {
	case ev.Overflow:
		return translate.Malformed
	case ev.Data == nil:
		return translate.More
	}
	return t.decoder.Event(t.writer, ev.Name, ev.Data)
}

// decodeLast deals with the end of the body and what is left in front of it: an event
// that only lacks its end counts, and of one that was cut there is nothing to be read.
func (t *translation) decodeLast() translate.Progress {
	var ev sse.Event
	if t.split.Flush(&ev) {
		if p := t.decode(&ev); p == translate.Complete || p == translate.Failed {
			return p
		}
	}
	return t.decoder.End(t.writer)
}

var eventEnd = []byte("\n\n")

// dealWith forwards and counts what the writer has written into the memory of work, and
// ends the exchange if progress says so. Usage comes first: what has arrived is never
// lost, whatever happens next.
func (a *attempt) dealWith(work *batch, progress translate.Progress) {
	t := a.foreign
	out := t.writer.Take()
	work.out = out
	usage, raw, news := t.writer.Counted()
	if news {
		a.meter.StateUsage(usage, raw, false)
	}
	err := a.flush(work)
	for data := range t.writer.Events(out, maxChunkHead) {
		a.observe(nil, data)
	}
	if progress == translate.Complete && usage.Any() {
		a.meter.StateUsage(usage, raw, true)
	}
	a.publishLive()
	if err != nil {
		return
	}
	switch progress {
	case translate.Complete:
		a.enter(accounting.PhaseTail)
		tail := t.writer.AppendTail(nil)
		a.finishStream(tail, int64(bytes.Count(tail, eventEnd)))
	case translate.Failed:
		a.failTranslated(t.writer.Failure())
	case translate.Malformed:
		a.meter.NoteBadEvent()
		a.relay.ended = true
		a.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
	}
}

// failTranslated ends a stream in which the provider reported an error: the client gets
// it as the last event, and the ending that follows is the missing end of the response.
func (a *attempt) failTranslated(e *translate.Error) {
	if e == nil {
		e = translate.NewError(translate.CodeUpstreamBadResponse)
	}
	event := translate.AppendErrorEvent(nil, e.InOpenAIsWords(), false)
	a.observe(nil, bytes.TrimSpace(bytes.TrimPrefix(event, []byte("data:"))))
	a.failWithEvent(event, e.Kind())
}

// translateEnd deals with the end of the body. Whether the answer is whole is said by its
// content, not by how the body ended; in some dialects nothing is said before that.
func (a *attempt) translateEnd(err error) {
	if _, over := a.valve.ended(); !over {
		a.translateEvents(true)
	}
	if !a.relay.ended {
		a.relay.ended = true
		a.failUpstream(err)
	}
}

// translateRequest writes the provider's request for a chat request.
func (a *attempt) translateRequest(body []byte) *translate.Error {
	if a.endpoint != translate.ChatCompletions {
		return translate.NewError(translate.CodeUnsupportedEndpoint)
	}
	chat, err := translate.ParseChat(body)
	if err != nil {
		return err
	}
	to := a.target.provider
	t := &translation{dialect: to.dialect, context: translate.Context{
		Model: a.target.model, Known: a.gen.known.Find(to.Dialect, a.target.model),
		Platform: to.place(),
		Stream:   a.request.Stream, N: chat.N,
		Carried: a.srv.carried.For(a.received.remembered + "\x00" + to.Name),
	}}
	if a.body, err = to.dialect.Request(&t.context, chat); err != nil {
		return err
	}
	a.foreign = t
	return nil
}
