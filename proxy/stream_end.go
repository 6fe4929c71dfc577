package proxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

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
		x.publishLive() // with this event, which the record counts
		if x.meter.SawDone() {
			begin := lineFeed(raw)
			x.finishStream(slices.Concat(begin, x.unsaid(), raw[len(begin):]), 0)
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

// finishStream ends a stream that ended well; tail are its last bytes, with so many events
// that have not been counted.
func (x *exchange) finishStream(tail []byte, events int64) {
	x.relay.ended = true
	if !x.complete() {
		return
	}
	x.live.chunks.Add(events)
	x.account(last{bytes: len(tail), whole: true})
	x.timer.writingSince.Store(x.clock())
	_ = x.client.body(tail, true)
}

// unsaid is what a stream that ended well has not said, or not where clients look.
func (x *exchange) unsaid() []byte {
	if !x.relay.mends {
		return nil
	}
	return x.relay.repair.Done(nil)
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
		x.finishStream(append(x.unsaid(), x.missingSentinel()...), 1)
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
	if x.relay.mends {
		_ = x.forwardCopy(x.relay.mend(nil, &ev))
	} else {
		_ = x.forwardCopy(x.relay.appendEdited(nil, &ev, chunk))
	}
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

// finishResponse ends a stream of the Responses API that ended well; event is its last
// event, nil if that has been forwarded. It is no sentinel, and some providers send one
// behind it all the same, which passes like everything else of theirs.
func (x *exchange) finishResponse(event []byte) {
	x.enter(accounting.PhaseTail)
	x.relay.ended = true
	if !x.complete() {
		return
	}
	x.account(last{bytes: len(event), whole: true})
	x.relay.tail = x.forwardCopy(event) == nil
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
