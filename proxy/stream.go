package proxy

import (
	"bytes"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/sse"
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
	pending, straddles := r.scan.Pending(), r.scan.Holds()
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
		x.relayVerbatim(b, work, straddles)
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

// observe counts one event.
func (x *exchange) observe(name, data []byte) accounting.ChunkKind {
	if data == nil { // a comment
		return accounting.KindContent
	}
	kind := x.meter.Observe(name, data).Kind
	x.noteToken()
	return kind
}

// noteToken notes the time of the first token, which at an endpoint that sluice does
// not interpret is the first event.
func (x *exchange) noteToken() {
	if x.firstAt == 0 && (x.meter.FirstToken() || x.shape == accounting.ShapeGeneric) {
		x.firstAt = time.Since(x.start)
		x.enter(accounting.PhaseStreaming)
	}
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
