package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/access"
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
func (x *exchange) receiveTranslated(body bodyReader) {
	f, ok := x.foreign.dialect.Framing(mediaType(x.answer.ContentType))
	switch {
	case !ok || !x.streams() && f != translate.FramingNone && f != translate.FramingArray:
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadContentType)
	case !x.streams():
		x.translateWhole(body)
	case f == translate.FramingNone:
		x.translateWholeToStream(body)
	default:
		x.translateStream(body, f)
	}
}

func (x *exchange) writerOptions() translate.WriterOptions {
	o := translate.WriterOptions{Extensions: x.srv.cfg.Extensions, IncludeUsage: x.request.IncludeUsage}
	if x.srv.publicNames {
		o.Model = x.asked
	}
	return o
}

// ownHead is what an answer says of itself where the provider says nothing.
func (x *exchange) ownHead() translate.Head {
	return translate.Head{ID: "chatcmpl-" + x.id, Created: x.start.Unix(), Model: x.target.model}
}

// foreignWhole reads a whole answer of another dialect; ok is false if the exchange has
// ended over it.
func (x *exchange) foreignWhole(body bodyReader) (all []byte, ok bool) {
	all, more, err := x.readWhole(body, int(x.srv.cfg.Limits.MaxAnswer))
	switch {
	case more:
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
	case err != nil:
		x.failUpstream(err)
	case len(bytes.TrimSpace(all)) == 0, x.endsWithConnection() && !gjson.ValidBytes(all):
		x.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
	default:
		x.enter(accounting.PhaseTail)
		return all, true
	}
	return nil, false
}

// translateWhole forwards an answer that is one object as one object.
func (x *exchange) translateWhole(body bodyReader) {
	all, ok := x.foreignWhole(body)
	if !ok {
		return
	}
	w := translate.NewAnswerWriter(x.ownHead(), x.writerOptions())
	progress := x.foreign.dialect.Answer(&x.foreign.context, w, all)
	usage, raw := w.Counted()
	x.meter.StateUsage(usage, raw, true)
	if !x.answered(progress, w.Failure()) {
		return
	}
	answer := w.Append(nil)
	x.meter.ObserveBody(answer)
	x.meter.StateUsage(usage, raw, true)
	x.firstAt = time.Since(x.start)
	x.live.chunks.Store(1)
	if !x.valve.settle(ending{outcome: accounting.OutcomeCompleted}) {
		return
	}
	fields := appendField(x.foreignFields(), "Content-Type", "application/json")
	x.account(last{status: fasthttp.StatusOK, bytes: len(answer), whole: true})
	_ = x.respond(fasthttp.StatusOK, fields, answer)
}

// answered deals with a whole answer that is none: it has failed, or cannot be read.
func (x *exchange) answered(progress translate.Progress, failure *translate.Error) bool {
	switch {
	case progress == translate.Failed && failure != nil:
		x.refuseWith(failure)
		return false
	case progress != translate.Complete:
		x.meter.NoteBadEvent()
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
		return false
	}
	return true
}

// refuseWith ends the exchange with an error of the provider's and tells the client.
func (x *exchange) refuseWith(e *translate.Error) {
	e = e.InOpenAIsWords()
	x.meter.ObserveBody(e.AppendJSON(nil))
	if !x.valve.settle(ending{outcome: accounting.OutcomeUpstreamError, code: x.meter.ErrorCode()}) {
		return
	}
	if x.answer.Get("Retry-After") != "" { // which the client gets as it came
		e.RetryAfter = 0
	}
	body := e.AppendJSON(nil)
	x.account(last{status: e.Status, bytes: len(body), whole: true})
	_ = x.respond(e.Status, append(x.foreignFields(), errorFields(e)...), body)
}

// forwardForeignError gives a provider's error status the client's form.
func (x *exchange) forwardForeignError(body bodyReader) {
	all, _, err := x.readWhole(body, maxErrorBody)
	if _, over := x.valve.ended(); over {
		return
	}
	if err != nil && len(all) == 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
		x.failUpstream(err)
		return
	}
	x.refuseWith(x.foreign.dialect.Error(x.answer.Status, x.answer.ContentType, all))
}

// foreignFields are the fields of the provider's head that the client gets to see, and
// what it has to be told of its request.
func (x *exchange) foreignFields() []byte {
	return x.appendWarnings(x.appendKept(make([]byte, 0, 256), "content-type"))
}

// appendWarnings tells the client what became of members that its model's provider does
// not have.
func (x *exchange) appendWarnings(fields []byte) []byte {
	if x.foreign == nil {
		return fields
	}
	for _, warning := range x.foreign.context.Warnings {
		fields = appendField(fields, "X-Sluice-Warning", warning)
	}
	return fields
}

// openForeignStream begins the client's stream.
func (x *exchange) openForeignStream() bool {
	t := x.foreign
	t.writer = translate.NewChunkWriter(x.ownHead(), x.writerOptions())
	fields := appendField(x.foreignFields(), "Content-Type", "text/event-stream; charset=utf-8")
	fields = appendField(fields, "Cache-Control", "no-cache")
	fields = appendField(fields, "X-Accel-Buffering", "no")
	if x.client.stream(fasthttp.StatusOK, x.id, fields) != nil {
		x.clientFailed()
		return false
	}
	x.timer.downstreamAt.Store(x.clock())
	return true
}

// translateWholeToStream forwards an answer that came as one object although a stream
// was asked for.
func (x *exchange) translateWholeToStream(body bodyReader) {
	all, ok := x.foreignWhole(body)
	if !ok {
		return
	}
	// Whether it is an answer at all decides about the head of the response.
	probe := translate.NewAnswerWriter(x.ownHead(), x.writerOptions())
	progress := x.foreign.dialect.Answer(&x.foreign.context, probe, all)
	usage, raw := probe.Counted()
	x.meter.StateUsage(usage, raw, true)
	if !x.answered(progress, probe.Failure()) || !x.openForeignStream() {
		return
	}
	work := takeBatch()
	defer work.release()
	t := x.foreign
	t.writer.Lend(work.out)
	x.dealWith(work, t.dialect.Answer(&t.context, t.writer, all))
}

// translateStream forwards an event stream of another dialect until it ends.
func (x *exchange) translateStream(body bodyReader, f translate.Framing) {
	t := x.foreign
	t.split = framing.New(f, maxTranslated)
	t.decoder = t.dialect.Decoder(&t.context)
	if !x.openForeignStream() {
		return
	}
	if plain, ok := body.(*upstream.Reader); ok {
		plain.Each(x.translatePiece)
		return
	}
	for more := true; more; {
		more = x.translatePiece(body.ReadBody())
	}
}

// translatePiece deals with what one read brought, and tells whether to read on.
func (x *exchange) translatePiece(b []byte, err error) (more bool) {
	if len(b) > 0 {
		x.timer.upstreamAt.Store(x.clock())
		x.foreign.split.Feed(b)
		x.translateEvents(false)
	}
	switch {
	case err == nil || x.relay.ended:
	case errors.Is(err, upstream.ErrInterrupted):
		x.comment()
	default:
		x.translateEnd(err)
	}
	return !x.relay.ended
}

// translateEvents decodes the events at hand, forwards what they became in one write,
// and counts it. last takes in an event that the body ended in.
func (x *exchange) translateEvents(last bool) {
	t := x.foreign
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
	x.dealWith(work, progress)
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
func (x *exchange) dealWith(work *batch, progress translate.Progress) {
	t := x.foreign
	out := t.writer.Take()
	work.out = out
	usage, raw, news := t.writer.Counted()
	if news {
		x.meter.StateUsage(usage, raw, false)
	}
	err := x.flush(work)
	for data := range t.writer.Events(out, maxChunkHead) {
		x.observe(nil, data)
	}
	if progress == translate.Complete && usage.Any() {
		x.meter.StateUsage(usage, raw, true)
	}
	x.publishLive()
	if err != nil {
		return
	}
	switch progress {
	case translate.Complete:
		x.enter(accounting.PhaseTail)
		tail := t.writer.AppendTail(nil)
		x.finishStream(tail, int64(bytes.Count(tail, eventEnd)))
	case translate.Failed:
		x.failTranslated(t.writer.Failure())
	case translate.Malformed:
		x.meter.NoteBadEvent()
		x.relay.ended = true
		x.fail(accounting.OutcomeUpstreamError, translate.CodeUpstreamBadResponse)
	}
}

// failTranslated ends a stream in which the provider reported an error: the client gets
// it as the last event, and the ending that follows is the missing end of the response.
func (x *exchange) failTranslated(e *translate.Error) {
	if e == nil {
		e = translate.NewError(translate.CodeUpstreamBadResponse)
	}
	event := translate.AppendErrorEvent(nil, e.InOpenAIsWords(), false)
	x.observe(nil, bytes.TrimSpace(bytes.TrimPrefix(event, []byte("data:"))))
	_ = x.forwardCopy(event)
	x.relay.failed, x.relay.ended = true, true
	x.shut(ending{outcome: accounting.OutcomeUpstreamError, code: x.meter.ErrorCode()})
}

// translateEnd deals with the end of the body. Whether the answer is whole is said by its
// content, not by how the body ended; in some dialects nothing is said before that.
func (x *exchange) translateEnd(err error) {
	if _, over := x.valve.ended(); !over {
		x.translateEvents(true)
	}
	if !x.relay.ended {
		x.relay.ended = true
		x.failUpstream(err)
	}
}

// translateRequest writes the provider's request for a chat request.
func (s *Server) translateRequest(c call, x *exchange, body []byte) *translate.Error {
	if x.endpoint != translate.ChatCompletions {
		return translate.NewError(translate.CodeUnsupportedEndpoint)
	}
	chat, err := translate.ParseChat(body)
	if err != nil {
		return err
	}
	to := x.target.provider
	t := &translation{dialect: to.dialect, context: translate.Context{
		Model: x.target.model, Known: s.known.Find(to.Dialect, x.target.model),
		Platform: to.place(),
		Stream:   x.request.Stream, N: chat.N,
		Carried: s.carried.For(s.memoryOwner(c) + "\x00" + to.Name),
	}}
	if x.body, err = to.dialect.Request(&t.context, chat); err != nil {
		return err
	}
	x.foreign = t
	return nil
}

// memoryOwner tells whose thoughts are remembered for a request: those of the owner of
// its key. Where no keys are issued, clients are told apart by what they send as theirs.
func (s *Server) memoryOwner(c call) string {
	if !s.keys.Open() {
		return c.caller.Alias
	}
	sum := sha256.Sum256(access.KeyOf(&c.rc.Request.Header))
	return string(sum[:])
}
