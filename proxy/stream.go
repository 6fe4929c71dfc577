package proxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// relay is the state of a forwarded event stream between two reads.
type relay struct {
	scan sse.Scanner
	body bodyReader
	// editing: something inside the events has to change before they leave.
	editing bool
	public  string // model name to put in, empty for none
	// hideUsage and hideRunning: what of the usage only came because sluice
	// asked for it.
	hideUsage, hideRunning bool
	// halfEnd: the event left out last ended with a CR whose LF may still come, as
	// the beginning of the next event.
	halfEnd bool
	// oversize: the event under way is larger than what is held of one, so its
	// bytes leave as they come.
	oversize bool
	lastOne  bool // the oversized event is the one that ends its stream
	broken   bool // bytes of an unfinished event have reached the client
	failed   bool // the provider's own error event has been forwarded
	ended    bool // the end of the stream has been dealt with
	tail     bool // except for a sentinel that may follow
}

// maxHeld bounds the part of an unfinished event that is held back. Events leave
// whole, so that an ending of ours never lands inside one; a larger event leaves
// in pieces.
const maxHeld = 1 << 20

// batch is what one read brought: whole events, forwarded in one write and counted
// after it.
type batch struct {
	data, name [][]byte
	// out holds what cannot leave in place, behind room for a chunk's head: an
	// event that began in an earlier read, or events that were edited.
	out []byte
}

var batches = sync.Pool{New: func() any { return &batch{out: make([]byte, maxChunkHead, 1<<10)} }}

func takeBatch() *batch { return batches.Get().(*batch) }

func (w *batch) release() {
	clear(w.data[:cap(w.data)])
	clear(w.name[:cap(w.name)])
	w.data, w.name, w.out = w.data[:0], w.name[:0], w.out[:maxChunkHead]
	if cap(w.out) <= maxHeld/4 {
		batches.Put(w)
	}
}

// add notes an event for counting.
func (w *batch) add(ev *sse.Event) {
	if ev.Data != nil {
		w.data = append(w.data, ev.Data)
		w.name = append(w.name, ev.Name)
	}
}

// forwardStream forwards an event stream until it ends, one way or another.
func (x *exchange) forwardStream(body bodyReader) {
	x.relay.body = body
	x.relay.scan.MaxEvent = maxHeld
	x.relay.public = x.publicName()
	if x.request != nil {
		ask := x.target.provider.ask()
		x.relay.hideUsage, x.relay.hideRunning = x.request.HideUsage(ask), x.request.HideRunningUsage(ask)
	}
	x.relay.editing = x.relay.public != "" || x.relay.hideUsage || x.relay.hideRunning

	if x.client.stream(x.answer.Status, x.id, x.streamFields()) != nil {
		x.clientFailed()
		return
	}
	x.timer.downstreamAt.Store(x.clock())
	if plain, ok := body.(*upstream.Reader); ok {
		plain.Each(x.relayPiece)
	} else {
		for more := true; more; {
			more = x.relayPiece(body.ReadBody())
		}
	}
	if x.relay.tail {
		x.finishTail()
	}
}

// relayPiece deals with what one read brought, and tells whether to read on. It runs
// inside upstream.Reader.Each and so must not read itself.
func (x *exchange) relayPiece(b []byte, err error) (more bool) {
	if len(b) > 0 {
		x.timer.upstreamAt.Store(x.clock())
		x.relayBytes(b)
	}
	if err != nil && !x.relay.ended {
		x.relayEnd(err)
	}
	return !x.relay.ended
}

func (x *exchange) streamFields() []byte {
	fields := appendKept(make([]byte, 0, 256), &x.answer)
	fields = appendField(fields, "Cache-Control", "no-cache")
	return appendField(fields, "X-Accel-Buffering", "no")
}

// relayBytes forwards what one read brought.
func (x *exchange) relayBytes(b []byte) {
	r := &x.relay
	pending := r.scan.Pending()
	if !r.oversize && len(pending)+len(b) > maxHeld {
		if len(pending) > 0 && x.forwardCopy(pending) != nil {
			return
		}
		r.oversize, r.broken, r.lastOne = true, true, x.endsResponse(pending)
	}
	r.scan.Feed(b)
	work := takeBatch()
	if r.editing {
		x.relayEdited(b, work)
	} else {
		x.relayVerbatim(b, work, len(pending) > 0)
	}
	work.release()
	x.publishLive()
}

// relayVerbatim forwards the events of b in the buffer that they arrived in, in
// one write, and parses them afterwards. Only an event that may end the stream, or
// that does not lie in b as a whole, is parsed before it leaves.
func (x *exchange) relayVerbatim(b []byte, work *batch, straddles bool) {
	r := &x.relay
	var ev sse.Event
	sent, whole := 0, 0 // b[:sent] is dealt with, b[:whole] ends a whole event
	for r.scan.Next(&ev) {
		switch {
		case r.oversize: // its beginning has left already
			r.oversize, r.broken = false, false
			x.meter.ObserveOversized()
			whole = ev.End
			if r.lastOne {
				if x.forwardEvents(b[:whole], sent, work) == nil {
					x.finishResponse(nil)
				}
				return
			}
		case x.mayEndStream(&ev):
			if x.forwardEvents(b[:whole], sent, work) != nil {
				return
			}
			if x.endsStream(x.observe(ev.Name, ev.Data), ev.Raw) {
				return
			}
			work.out = append(work.out, ev.Raw...)
			sent, whole = ev.End, ev.End
		case straddles:
			x.observe(ev.Name, ev.Data)
			work.out = append(work.out, ev.Raw...)
			sent, whole = ev.End, ev.End
		case ev.Joined:
			x.observe(ev.Name, ev.Data)
			whole = ev.End
		default:
			work.add(&ev)
			whole = ev.End
		}
		straddles = false
	}
	if r.oversize {
		whole = len(b)
	}
	_ = x.forwardEvents(b[:whole], sent, work)
}

// forwardEvents forwards what is collected in work and b[from:], in one write, and
// then counts the events in it.
func (x *exchange) forwardEvents(b []byte, from int, work *batch) error {
	var err error
	if len(work.out) > maxChunkHead {
		work.out = append(work.out, b[from:]...)
		err = x.flush(work)
	} else {
		err = x.forwardInPlace(b, from, len(b))
	}
	for i, data := range work.data {
		x.observe(work.name[i], data)
	}
	work.data, work.name = work.data[:0], work.name[:0]
	return err
}

// flush forwards the collected bytes of work.
func (x *exchange) flush(work *batch) error {
	n := len(work.out)
	if n == maxChunkHead {
		return nil
	}
	work.out = append(work.out, "\r\n"...) // room for the end of the chunk
	x.beginWrite()
	err := x.written(x.client.bodyInPlace(work.out, maxChunkHead, n))
	work.out = work.out[:maxChunkHead]
	return err
}

// mayEndStream is a quick look for the end of the stream and for error events,
// which are dealt with before they are forwarded. It may say yes to others.
func (x *exchange) mayEndStream(ev *sse.Event) bool {
	if sse.IsDone(ev.Data) || bytes.Contains(ev.Data, errorKey) || string(ev.Name) == "error" {
		return true
	}
	return x.shape == accounting.ShapeResponses && bytes.Contains(ev.Data, outputKey)
}

var (
	errorKey = []byte(`"error"`)
	// outputKey is in every event that carries a whole response, as the last one
	// of a Responses stream does.
	outputKey = []byte(`"output":`)
)

// relayEdited forwards the events of b with the changes that this client needs,
// all of them in one write.
func (x *exchange) relayEdited(b []byte, work *batch) {
	r := &x.relay
	var ev sse.Event
	sent := 0
	for r.scan.Next(&ev) {
		if r.oversize {
			r.oversize, r.broken = false, false
			x.meter.ObserveOversized()
			work.out = append(work.out, b[sent:ev.End]...)
			sent = ev.End
			if r.lastOne {
				if x.flush(work) == nil {
					x.finishResponse(nil)
				}
				return
			}
			continue
		}
		sent = ev.End
		if r.halfEnd {
			r.halfEnd, ev.Raw = false, bytes.TrimPrefix(ev.Raw, []byte("\n"))
		}
		if ev.Data == nil {
			work.out = append(work.out, ev.Raw...)
			continue
		}
		chunk := x.meter.Observe(ev.Name, ev.Data)
		x.noteToken()
		if chunk.Kind == accounting.KindDone || chunk.Kind == accounting.KindError {
			if x.flush(work) != nil || x.endsStream(chunk.Kind, r.lastEvent(&ev, chunk)) {
				return
			}
		}
		work.out = r.appendEdited(work.out, &ev, chunk)
	}
	if r.oversize {
		work.out = append(work.out, b[sent:]...)
	}
	_ = x.flush(work)
}

// appendEdited appends an event with the public model name in it and without the
// usage that sluice itself caused.
func (r *relay) appendEdited(dst []byte, ev *sse.Event, chunk accounting.Chunk) []byte {
	if chunk.Kind == accounting.KindUsageOnly && r.hideUsage {
		r.halfEnd = bytes.HasSuffix(ev.Raw, []byte("\r"))
		return dst
	}
	cut := chunk.NullUsage
	if !r.hideUsage {
		cut = accounting.Span{}
	}
	if r.hideRunning && chunk.Usage != (accounting.Span{}) && chunk.Kind != accounting.KindUsageOnly {
		cut = chunk.Usage
	}
	model := chunk.Model
	if r.public == "" {
		model = accounting.Span{}
	}
	if cut == (accounting.Span{}) && model == (accounting.Span{}) {
		return append(dst, ev.Raw...)
	}
	first, second := model, cut
	if cut.End != 0 && cut.Start < model.Start || model.End == 0 {
		first, second = cut, model
	}
	at := bytes.Index(ev.Raw, ev.Data)
	if at < 0 { // several data lines: written as one
		at = len("data: ")
		ev.Raw = append(append([]byte("data: "), ev.Data...), "\n\n"...)
	}
	dst = append(dst, ev.Raw[:at]...)
	from := 0
	for _, s := range [2]accounting.Span{first, second} {
		if s.End == 0 {
			continue
		}
		dst = append(dst, ev.Data[from:s.Start]...)
		if s == model {
			dst = translate.AppendQuoted(dst, r.public)
		}
		from = s.End
	}
	dst = append(dst, ev.Data[from:]...)
	return append(dst, ev.Raw[at+len(ev.Data):]...)
}

// lastEvent is an event that ends the stream as the client gets to see it: errors are
// the provider's own words and stay as they are.
func (r *relay) lastEvent(ev *sse.Event, chunk accounting.Chunk) []byte {
	if chunk.Kind == accounting.KindError {
		return ev.Raw
	}
	return r.appendEdited(nil, ev, chunk)
}

// observe counts one event.
func (x *exchange) observe(name, data []byte) accounting.ChunkKind {
	if data == nil { // a comment
		return accounting.KindContent
	}
	kind := x.meter.Observe(name, data).Kind
	x.noteToken()
	return kind
}

// noteToken notes the time of the first token.
func (x *exchange) noteToken() {
	if x.firstAt == 0 && x.meter.FirstToken() {
		x.firstAt = time.Since(x.start)
		x.enter(accounting.PhaseStreaming)
	}
}

// crlfCut ends an event whose last line end is cut between CR and LF.
var crlfCut = []byte("\r\n\r")

// endsStream deals with an event that ends the stream, and reports whether it
// was one. raw is the event as it arrived.
func (x *exchange) endsStream(kind accounting.ChunkKind, raw []byte) bool {
	if bytes.HasSuffix(raw, crlfCut) { // nothing behind it is waited for
		raw = slices.Concat(raw, []byte("\n"))
	}
	switch kind {
	case accounting.KindDone:
		x.enter(accounting.PhaseTail)
		if x.meter.SawDone() {
			x.finishStream(raw)
		} else {
			x.finishResponse(raw)
		}
		return true
	case accounting.KindError:
		// The provider's own words reach the client; the ending that follows is
		// the missing end of the response.
		_ = x.forwardCopy(raw)
		x.relay.failed, x.relay.ended = true, true
		x.shut(ending{outcome: accounting.OutcomeUpstreamError, code: x.meter.ErrorCode()})
		return true
	default:
		return false
	}
}

// finishStream ends a stream that ended well; tail are its last bytes.
func (x *exchange) finishStream(tail []byte) {
	x.relay.ended = true
	if !x.complete() {
		return
	}
	x.live.chunks.Add(1)
	x.timer.writingSince.Store(x.clock())
	_ = x.client.body(tail, true)
}

var doneEvent = []byte("data: [DONE]\n\n")

// relayEnd deals with the end of the body. Whether the stream is whole is said by
// its content, not by its framing: the sentinel, or a finish reason for every
// choice.
func (x *exchange) relayEnd(err error) {
	if errors.Is(err, upstream.ErrInterrupted) {
		x.comment()
		return
	}
	x.relay.ended = true
	if _, over := x.valve.ended(); over {
		return
	}
	if x.flushLast() {
		return
	}
	if x.finished() {
		x.enter(accounting.PhaseTail)
		x.finishStream(x.missingSentinel())
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		x.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
		return
	}
	x.failUpstream(err)
}

// flushLast handles an event that the body ended in: it counts if nothing but the
// blank line is missing, which is then added. It reports whether the event ended
// the stream.
func (x *exchange) flushLast() bool {
	var ev sse.Event
	if !x.relay.scan.Flush(&ev) || ev.Data == nil || x.relay.oversize {
		return false
	}
	if !sse.IsDone(ev.Data) && !gjson.ValidBytes(ev.Data) {
		return false
	}
	chunk := x.meter.Observe(ev.Name, ev.Data)
	x.noteToken()
	ev.Raw = append(bytes.TrimRight(ev.Raw, "\r\n"), "\n\n"...)
	if x.endsStream(chunk.Kind, x.relay.lastEvent(&ev, chunk)) {
		return true
	}
	_ = x.forwardCopy(x.relay.appendEdited(nil, &ev, chunk))
	return false
}

// finished tells whether the content of the stream says that it is whole.
func (x *exchange) finished() bool {
	if !x.meter.Complete() {
		return false
	}
	return x.request == nil || x.shape != accounting.ShapeChat && x.shape != accounting.ShapeCompletion ||
		x.meter.Finished() >= x.request.N
}

// finishResponse ends a stream of the Responses API that ended well; last is its last
// event, nil if that has been forwarded. It is no sentinel, and some providers send one
// behind it all the same, which passes like everything else of theirs.
func (x *exchange) finishResponse(last []byte) {
	x.enter(accounting.PhaseTail)
	x.relay.ended = true
	x.relay.tail = x.complete() && x.forwardCopy(last) == nil
}

// finishTail writes what follows the last event of such a stream.
func (x *exchange) finishTail() {
	tail := x.trailingSentinel()
	x.publishLive()
	x.beginWrite()
	_ = x.client.body(tail, true)
}

// trailingSentinel is the sentinel that follows the last event, if one comes within
// quietWait and before anything else.
func (x *exchange) trailingSentinel() []byte {
	stop := time.AfterFunc(quietWait, x.conn.Close)
	defer stop.Stop()
	for {
		var ev sse.Event
		for x.relay.scan.Next(&ev) {
			if sse.IsDone(ev.Data) {
				x.observe(ev.Name, ev.Data)
				return bytes.TrimPrefix(ev.Raw, []byte("\n")) // the end of the event before
			}
			if ev.Data != nil {
				return nil
			}
		}
		b, err := x.relay.body.ReadBody()
		if len(b) == 0 && err != nil && !errors.Is(err, upstream.ErrInterrupted) {
			return nil
		}
		x.relay.scan.Feed(b)
	}
}

// endsResponse tells by its beginning whether an event that is too large to be read
// is the one that ends a stream of the Responses API.
func (x *exchange) endsResponse(event []byte) bool {
	if x.shape != accounting.ShapeResponses {
		return false
	}
	beginning := event[:min(len(event), 256)]
	return bytes.Contains(beginning, []byte(`"response.completed"`)) || bytes.Contains(beginning, []byte(`"response.incomplete"`))
}

// missingSentinel is the end mark that clients of this endpoint wait for.
func (x *exchange) missingSentinel() []byte {
	if x.shape == accounting.ShapeChat || x.shape == accounting.ShapeCompletion {
		return append(x.freshEvent(), doneEvent...)
	}
	return nil
}

var keepAliveComment = []byte(": keep-alive\n\n")

// comment writes a keep-alive comment if one is due and the client's stream stands
// between two events.
func (x *exchange) comment() {
	if x.relay.broken || !x.pingDue() {
		return
	}
	x.timer.writingSince.Store(x.clock()) // long after the upstream said something
	_ = x.written(x.client.body(keepAliveComment, false))
}

// forwardInPlace forwards b[from:to] without copying it, when b is the slice that
// the last read returned.
func (x *exchange) forwardInPlace(b []byte, from, to int) error {
	if from == to {
		return nil
	}
	buf, off := x.reader.Frame()
	if len(buf) == 0 || &buf[off] != &b[0] { // a decoded body lies in its own buffer
		return x.forwardCopy(b[from:to])
	}
	x.beginWrite()
	return x.written(x.client.bodyInPlace(buf, off+from, off+to))
}

// forward forwards p, which may be the slice that the last read returned.
func (x *exchange) forward(p []byte) error { return x.forwardInPlace(p, 0, len(p)) }

// forwardCopy forwards bytes that have no room around them.
func (x *exchange) forwardCopy(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	x.beginWrite()
	return x.written(x.client.body(p, false))
}

// beginWrite notes that a write to the client is under way. The clock reading of the
// last read is near enough: reading it costs more than comparing a chunk.
func (x *exchange) beginWrite() {
	x.timer.writingSince.Store(max(x.timer.upstreamAt.Load(), 1))
}

// written notes the end of a write to the client; a failed one ends the stream.
func (x *exchange) written(err error) error {
	x.timer.writingSince.Store(0)
	if err != nil {
		x.relay.ended = true
		x.clientFailed()
		return err
	}
	now := x.timer.upstreamAt.Load()
	if x.timer.slowWrite.Load() {
		x.timer.slowWrite.Store(false)
		now = x.clock()
	}
	x.timer.downstreamAt.Store(now)
	return nil
}

// publishLive shows the list of running exchanges how far this one is.
func (x *exchange) publishLive() {
	s := x.meter.Stats()
	x.live.chunks.Store(s.Events)
	x.live.text.Store(s.TextBytes + s.ReasoningBytes + s.ToolBytes)
	if u, source := x.meter.Usage(); source != accounting.SourceNone {
		x.live.input.Store(u.Input.N)
		x.live.output.Store(u.Output.N)
	}
}
