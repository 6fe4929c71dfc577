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
func (a *attempt) forwardStream(body bodyReader) {
	a.relay.body = body
	a.relay.scan.MaxEvent = maxHeld
	a.relay.public = a.publicName()
	if a.request != nil {
		a.relay.hideUsage, a.relay.hideRunning = a.request.HideUsage(a.ask), a.request.HideRunningUsage(a.ask)
	}
	a.relay.editing = a.relay.public != "" || a.relay.hideUsage || a.relay.hideRunning
	if a.shape == accounting.ShapeChat {
		a.relay.mends, a.relay.editing = true, false
		a.relay.repair.Reset(a.repairOptions())
	}

	if !a.openStream(a.answer.Status, a.streamFields()) {
		return
	}
	if plain, ok := body.(*upstream.Reader); ok {
		plain.Each(a.relayPiece)
	} else {
		for more := true; more; {
			more = a.relayPiece(body.ReadBody())
		}
	}
	if a.relay.tail {
		a.finishTail()
	}
}

// openStream sends the head of the client's stream, or withholds it until the first token
// while another attempt could take over.
func (a *attempt) openStream(status int, fields []byte) bool {
	a.client.withholds = a.mayGiveWay()
	if !a.client.withholds && !a.commit() {
		return false
	}
	if a.client.stream(status, a.id, fields) != nil {
		a.clientFailed()
		return false
	}
	if !a.client.withholds {
		a.timer.downstreamAt.Store(a.clock())
	}
	return true
}

// repairOptions say how the client is to see a relayed answer.
func (a *attempt) repairOptions() openai.Options {
	head := a.ownHead()
	return openai.Options{
		Model: a.publicName(), Asked: a.asked, N: a.request.N, HideUsage: a.request.Stream && !a.request.IncludeUsage,
		HideBeside: a.request.HideRunningUsage(a.ask), RunningUsage: a.request.ContinuousUsage,
		ThinkTags: a.target.provider.HasQuirk(config.QuirkThinkTags), Extensions: a.gen.cfg.Extensions,
		ChatID: head.ID, Created: head.Created,
	}
}

// relayPiece deals with what one read brought, and tells whether to read on. It runs
// inside upstream.Reader.Each and so must not read itself.
func (a *attempt) relayPiece(b []byte, err error) (more bool) {
	if len(b) > 0 {
		a.upstreamAt.Store(a.clock())
		a.relayBytes(b)
	}
	if err != nil && !a.relay.ended {
		a.relayEnd(err)
	}
	return !a.relay.ended
}

func (a *attempt) streamFields() []byte {
	fields := a.appendKept(make([]byte, 0, 256))
	fields = appendField(fields, "Cache-Control", "no-cache")
	return appendField(fields, "X-Accel-Buffering", "no")
}

// relayBytes forwards what one read brought.
func (a *attempt) relayBytes(b []byte) {
	r := &a.relay
	pending, straddles := r.scan.Pending(), r.scan.Holds()
	if !r.oversize && len(pending)+len(b) > maxHeld {
		if len(pending) > 0 && a.forwardCopy(pending) != nil {
			return
		}
		r.oversize, r.broken, r.lastOne = true, true, a.endsResponse(pending)
	}
	r.scan.Feed(b)
	work := takeBatch()
	if r.editing {
		a.relayEdited(b, work)
	} else {
		a.relayVerbatim(b, work, straddles)
	}
	work.release()
	a.publishLive()
}

// relayVerbatim forwards the events of b in the buffer that they arrived in, in
// one write, and counts them afterwards. Copied are events that do not lie in b as a
// whole, and those in which something has to be mended; an event that may end the stream
// is counted before it leaves.
func (a *attempt) relayVerbatim(b []byte, work *batch, straddles bool) {
	r := &a.relay
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
			a.meter.ObserveOversized()
			whole = ev.End
			if r.lastOne {
				if a.forwardEvents(b[:whole], sent, work) == nil {
					a.finishResponse(nil)
				}
				return
			}
		case a.mayEndStream(&ev):
			if a.forwardEvents(b[:whole], sent, work) != nil {
				return
			}
			if a.endsStream(a.observe(ev.Name, ev.Data), ev.Data, ev.Raw) {
				return
			}
			work.out = r.mend(work.out, &ev)
			sent, whole = ev.End, ev.End
		case straddles:
			a.observe(ev.Name, ev.Data)
			work.out = r.mend(work.out, &ev)
			sent, whole = ev.End, ev.End
		default:
			if ev.Joined { // its data is gone with the next event
				a.observe(ev.Name, ev.Data)
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
	_ = a.forwardEvents(b[:whole], sent, work)
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
func (a *attempt) forwardEvents(b []byte, from int, work *batch) error {
	var err error
	if len(work.out) > maxChunkHead {
		work.out = append(work.out, b[from:]...)
		err = a.flush(work)
	} else {
		err = a.forwardInPlace(b, from, len(b))
	}
	for i, data := range work.data {
		a.observe(work.name[i], data)
	}
	work.data, work.name = work.data[:0], work.name[:0]
	return err
}

// flush forwards the collected bytes of work.
func (a *attempt) flush(work *batch) error {
	n := len(work.out)
	if n == maxChunkHead {
		return nil
	}
	work.out = append(work.out, "\r\n"...) // room for the end of the chunk
	a.beginWrite()
	err := a.written(a.client.bodyInPlace(work.out, maxChunkHead, n))
	work.out = work.out[:maxChunkHead]
	return err
}

// mayEndStream is a quick look for the end of the stream and for error events,
// which are dealt with before they are forwarded. It may say yes to others.
func (a *attempt) mayEndStream(ev *sse.Event) bool {
	if sse.IsDone(ev.Data) || bytes.Contains(ev.Data, errorKey) || string(ev.Name) == "error" {
		return true
	}
	return a.shape == accounting.ShapeResponses && bytes.Contains(ev.Data, outputKey)
}

var (
	errorKey = []byte(`"error"`)
	// outputKey is in every event that carries a whole response, as the last one
	// of a Responses stream does.
	outputKey = []byte(`"output":`)
)

// observe counts one event.
func (a *attempt) observe(name, data []byte) accounting.ChunkKind {
	if data == nil { // a comment
		return accounting.KindContent
	}
	kind := a.meter.Observe(name, data).Kind
	a.noteToken()
	return kind
}

// noteToken notes the time of the first token, which at an endpoint that sluice does
// not interpret is the first event.
func (a *attempt) noteToken() {
	if a.firstAt == 0 && (a.meter.FirstToken() || a.shape == accounting.ShapeGeneric) {
		a.firstAt = time.Since(a.start)
		a.enter(accounting.PhaseStreaming)
		a.turn.FirstToken(a.firstAt - time.Duration(a.sentAt.Load()))
		a.commit()
	}
}

var keepAliveComment = []byte(": keep-alive\n\n")

// comment writes a keep-alive comment if one is due and the client's stream stands
// between two events.
func (a *attempt) comment() {
	if a.relay.broken || a.client.withholds || !a.pingDue() {
		return
	}
	a.timer.writingSince.Store(a.clock()) // long after the upstream said something
	_ = a.written(a.client.body(keepAliveComment, false))
}

// publishLive shows the list of running exchanges how far this one is.
func (a *attempt) publishLive() {
	s := a.meter.Stats()
	a.live.chunks.Store(s.Events)
	a.live.text.Store(s.TextBytes + s.ReasoningBytes + s.ToolBytes)
	if u, source := a.meter.Usage(); source != accounting.SourceNone {
		a.live.input.set(u.Input)
		a.live.output.set(u.Output)
	}
	if a.share.watches && a.committed.Load() {
		a.checkQuota()
	}
}
