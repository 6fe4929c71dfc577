package proxy

import (
	"bytes"
	"slices"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// relayEdited forwards the events of b with the changes that this client needs,
// all of them in one write.
func (a *attempt) relayEdited(b []byte, work *batch) {
	r := &a.relay
	var ev sse.Event
	sent := 0
	for r.scan.Next(&ev) {
		if r.oversize {
			r.oversize, r.broken = false, false
			a.meter.ObserveOversized()
			work.out = append(work.out, b[sent:ev.End]...)
			sent = ev.End
			if r.lastOne {
				if a.flush(work) == nil {
					a.finishResponse(nil)
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
		chunk := a.meter.Observe(ev.Name, ev.Data)
		a.noteToken()
		if chunk.Kind == accounting.KindDone || chunk.Kind == accounting.KindError {
			if a.flush(work) != nil || a.endsStream(chunk.Kind, ev.Data, r.lastEvent(&ev, chunk)) {
				return
			}
		}
		work.out = r.appendEdited(work.out, &ev, chunk)
	}
	if r.oversize {
		work.out = append(work.out, b[sent:]...)
	}
	_ = a.flush(work)
}

// appendEdited appends an event with the public model name in it and without the
// usage that sluice itself caused.
func (r *relay) appendEdited(dst []byte, ev *sse.Event, chunk accounting.Chunk) []byte {
	if chunk.Kind == accounting.KindUsageOnly && r.hideUsage {
		r.halfEnd = bytes.HasSuffix(ev.Raw, []byte("\r"))
		return append(dst, lineFeed(ev.Raw)...)
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
		r.halfEnd = bytes.HasSuffix(ev.Raw, []byte("\r"))
		begin := append(lineFeed(ev.Raw), "data: "...)
		at = len(begin)
		ev.Raw = slices.Concat(begin, ev.Data, []byte("\n\n"))
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
