package proxy

import (
	"bytes"
	"slices"
	"time"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate/openai"
)

// relay is the state of a forwarded event stream between two reads.
type relay struct {
	scan sse.Scanner
	body bodyReader
	// mends: the stream is one of chat chunks, of which repair changes what its client
	// cannot take or should not see.
	mends  bool
	repair openai.Repair
	// editing: something inside the events of another kind has to change before they
	// leave.
	editing bool
	public  string // model name to put in, empty for none
	// hideUsage and hideRunning: what of the usage only came because sluice
	// asked for it.
	hideUsage, hideRunning bool
	// halfEnd: the event that was left out last, or got another end, ended with a CR
	// whose LF may still come, as the beginning of the next event.
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
		x.relay.hideUsage, x.relay.hideRunning = x.request.HideUsage(x.ask), x.request.HideRunningUsage(x.ask)
	}
	x.relay.editing = x.relay.public != "" || x.relay.hideUsage || x.relay.hideRunning
	if x.shape == accounting.ShapeChat {
		x.relay.mends, x.relay.editing = true, false
		x.relay.repair.Reset(x.repairOptions())
	}

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

// repairOptions say how the client is to see a relayed answer.
func (x *exchange) repairOptions() openai.Options {
	head := x.ownHead()
	return openai.Options{
		Model: x.publicName(), Asked: x.asked, N: x.request.N, HideUsage: x.request.Stream && !x.request.IncludeUsage,
		HideBeside: x.request.HideRunningUsage(x.ask), RunningUsage: x.request.ContinuousUsage,
		ThinkTags: x.target.provider.HasQuirk(config.QuirkThinkTags), Extensions: x.srv.cfg.Extensions,
		ChatID: head.ID, Created: head.Created,
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
	fields := x.appendKept(make([]byte, 0, 256))
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
// one write, and counts them afterwards. Copied are events that do not lie in b as a
// whole, and those in which something has to be mended; an event that may end the stream
// is counted before it leaves.
func (x *exchange) relayVerbatim(b []byte, work *batch, straddles bool) {
	r := &x.relay
	var ev sse.Event
	sent, whole := 0, 0 // b[:sent] is dealt with, b[:whole] ends a whole event
	for r.scan.Next(&ev) {
		if r.halfEnd {
			r.halfEnd, straddles = false, true
			ev.Raw = bytes.TrimPrefix(ev.Raw, []byte("\n"))
		}
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
			work.out = r.mend(work.out, &ev)
			sent, whole = ev.End, ev.End
		case straddles:
			x.observe(ev.Name, ev.Data)
			work.out = r.mend(work.out, &ev)
			sent, whole = ev.End, ev.End
		default:
			if ev.Joined { // its data is gone with the next event
				x.observe(ev.Name, ev.Data)
			} else {
				work.add(&ev)
			}
			if r.keeps(work, b[sent:whole], &ev) {
				whole = ev.End
			} else {
				sent, whole = ev.End, ev.End
			}
		}
		straddles = false
	}
	if r.oversize {
		whole = len(b)
	}
	_ = x.forwardEvents(b[:whole], sent, work)
}

// mend appends an event as the client can take it.
func (r *relay) mend(dst []byte, ev *sse.Event) []byte {
	if r.mends && ev.Data != nil {
		if out, verdict := r.repair.Event(dst, ev.Data); verdict == openai.Replaced {
			return r.reframed(out, len(dst), ev)
		}
	}
	return append(dst, ev.Raw...)
}

// reframed puts what replaces the data of an event, out[from:], into the lines that the
// provider has written around it: its other fields and its line ends.
func (r *relay) reframed(out []byte, from int, ev *sse.Event) []byte {
	const begin, end = "data: ", "\n\n"
	at := bytes.Index(ev.Raw, ev.Data)
	if at < 0 || len(out) == from { // several data lines, or nothing left
		r.halfEnd = bytes.HasSuffix(ev.Raw, []byte("\r"))
		return slices.Insert(out, from, lineFeed(ev.Raw)...)
	}
	before, after := ev.Raw[:at], ev.Raw[at+len(ev.Data):]
	if string(before) == begin && string(after) == end {
		return out
	}
	data := bytes.Clone(out[from+len(begin) : len(out)-len(end)])
	return append(append(append(out[:from], before...), data...), after...)
}

// lineFeed is the LF in front of an event that ends the event before, whose CR arrived
// alone. It stays, whatever becomes of the event.
func lineFeed(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("\n")) {
		return raw[:1:1]
	}
	return nil
}

// keeps tells whether an event can stay where it lies, behind what waits there. If not,
// both are appended to the output of work, the event as the client can take it.
func (r *relay) keeps(work *batch, waiting []byte, ev *sse.Event) bool {
	if !r.mends || ev.Data == nil {
		return true
	}
	before := len(work.out)
	out, verdict := r.repair.Event(work.out, ev.Data)
	if verdict == openai.Untouched {
		return true
	}
	work.out = slices.Insert(r.reframed(out, before, ev), before, waiting...)
	return false
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
		x.live.input.set(u.Input)
		x.live.output.set(u.Output)
	}
	if x.quota.watches {
		x.checkQuota()
	}
}
