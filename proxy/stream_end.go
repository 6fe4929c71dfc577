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
// was one. data is that of the event, raw the event as it arrived.
func (a *attempt) endsStream(kind accounting.ChunkKind, data, raw []byte) bool {
	if bytes.HasSuffix(raw, crlfCut) { // nothing behind it is waited for
		raw = slices.Concat(raw, []byte("\n"))
	}
	switch kind {
	case accounting.KindDone:
		a.enter(accounting.PhaseTail)
		a.publishLive() // with this event, which the record counts
		if a.meter.SawDone() {
			begin := lineFeed(raw)
			a.finishStream(slices.Concat(begin, a.unsaid(), raw[len(begin):]), 0)
		} else {
			a.finishResponse(raw)
		}
		return true
	case accounting.KindError:
		a.failWithEvent(raw, translate.ClassifyErrorEvent(data))
		return true
	default:
		return false
	}
}

// failWithEvent ends the attempt with an error in the stream. The provider's own words reach
// the client unless another attempt takes over; the ending that follows is the missing end
// of the response.
func (a *attempt) failWithEvent(event []byte, why translate.ErrorKind) {
	end := ending{outcome: accounting.OutcomeUpstreamError, code: a.meter.ErrorCode()}
	event = a.target.provider.hideSecrets(bytes.Clone(event))
	a.surrender(end, why, false, func() {
		if a.commit() {
			_ = a.forwardCopy(event)
			a.relay.failed = true
		}
	})
}

// finishStream ends a stream that ended well; tail are its last bytes, with so many events
// that have not been counted.
func (a *attempt) finishStream(tail []byte, events int64) {
	a.relay.ended = true
	if !a.complete() {
		return
	}
	a.live.chunks.Add(events)
	a.account(last{bytes: len(tail), whole: true})
	a.timer.writingSince.Store(a.clock())
	_ = a.client.body(tail, true)
}

// unsaid is what a stream that ended well has not said, or not where clients look.
func (a *attempt) unsaid() []byte {
	if !a.relay.mends {
		return nil
	}
	return a.relay.repair.Done(nil)
}

var doneEvent = []byte("data: [DONE]\n\n")

// relayEnd deals with the end of the body. Whether the stream is whole is said by
// its content, not by its framing: the sentinel, or a finish reason for every
// choice.
func (a *attempt) relayEnd(err error) {
	if errors.Is(err, upstream.ErrInterrupted) {
		a.comment()
		return
	}
	a.relay.ended = true
	if _, over := a.valve.ended(); over {
		return
	}
	if a.flushLast() {
		return
	}
	if a.finished() {
		a.enter(accounting.PhaseTail)
		a.finishStream(append(a.unsaid(), a.missingSentinel()...), 1)
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		a.fail(accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated)
		return
	}
	a.failUpstream(err)
}

// flushLast handles an event that the body ended in: it counts if nothing but the
// blank line is missing, which is then added. It reports whether the event ended
// the stream.
func (a *attempt) flushLast() bool {
	var ev sse.Event
	if !a.relay.scan.Flush(&ev) || ev.Data == nil || a.relay.oversize {
		return false
	}
	if !sse.IsDone(ev.Data) && !gjson.ValidBytes(ev.Data) {
		return false
	}
	chunk := a.meter.Observe(ev.Name, ev.Data)
	a.noteToken()
	ev.Raw = append(bytes.TrimRight(ev.Raw, "\r\n"), "\n\n"...)
	if a.endsStream(chunk.Kind, ev.Data, a.relay.lastEvent(&ev, chunk)) {
		return true
	}
	if a.relay.mends {
		_ = a.forwardCopy(a.relay.mend(nil, &ev))
	} else {
		_ = a.forwardCopy(a.relay.appendEdited(nil, &ev, chunk))
	}
	return false
}

// finished tells whether the content of the stream says that it is whole.
func (a *attempt) finished() bool {
	if !a.meter.Complete() {
		return false
	}
	return a.request == nil || a.shape != accounting.ShapeChat && a.shape != accounting.ShapeCompletion ||
		a.meter.Finished() >= a.request.N
}

// finishResponse ends a stream of the Responses API that ended well; event is its last
// event, nil if that has been forwarded. It is no sentinel, and some providers send one
// behind it all the same, which passes like everything else of theirs.
func (a *attempt) finishResponse(event []byte) {
	a.enter(accounting.PhaseTail)
	a.relay.ended = true
	if !a.complete() {
		return
	}
	a.account(last{bytes: len(event), whole: true})
	a.relay.tail = a.forwardCopy(event) == nil
}

// finishTail writes what follows the last event of such a stream.
func (a *attempt) finishTail() {
	tail := a.trailingSentinel()
	a.publishLive()
	a.beginWrite()
	_ = a.client.body(tail, true)
}

// trailingSentinel is the sentinel that follows the last event, if one comes within
// quietWait and before anything else.
func (a *attempt) trailingSentinel() []byte {
	stop := time.AfterFunc(quietWait, a.conn.Close)
	defer stop.Stop()
	for {
		var ev sse.Event
		for a.relay.scan.Next(&ev) {
			if sse.IsDone(ev.Data) {
				a.observe(ev.Name, ev.Data)
				return bytes.TrimPrefix(ev.Raw, []byte("\n")) // the end of the event before
			}
			if ev.Data != nil {
				return nil
			}
		}
		b, err := a.relay.body.ReadBody()
		if len(b) == 0 && err != nil && !errors.Is(err, upstream.ErrInterrupted) {
			return nil
		}
		a.relay.scan.Feed(b)
	}
}

// endsResponse tells by its beginning whether an event that is too large to be read
// is the one that ends a stream of the Responses API.
func (a *attempt) endsResponse(event []byte) bool {
	if a.shape != accounting.ShapeResponses {
		return false
	}
	beginning := event[:min(len(event), 256)]
	return bytes.Contains(beginning, []byte(`"response.completed"`)) || bytes.Contains(beginning, []byte(`"response.incomplete"`))
}

// missingSentinel is the end mark that clients of this endpoint wait for.
func (a *attempt) missingSentinel() []byte {
	if a.shape == accounting.ShapeChat || a.shape == accounting.ShapeCompletion {
		return append(a.freshEvent(), doneEvent...)
	}
	return nil
}
