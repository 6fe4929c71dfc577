package gemini

import (
	"bytes"
	"crypto/rand"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/jsonframe"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Decoder implements translate.Dialect.
func (Dialect) Decoder(c *translate.Context) translate.Decoder { return &decoder{c: c} }

// decoder reads the elements of a stream. Each is a whole GenerateContentResponse with
// what is new; there are no types of events and no last one. A finish reason is not the
// end: with tools of the provider's own, more text follows. So all of them are held
// back until the body has ended.
type decoder struct {
	c       *translate.Context
	head    head
	counts  counts
	choices []*choice
	blocked string // why the prompt was refused
	minted  string // stands for the answer's id where it has none
	scratch []byte
	piece   []byte
	repeats translate.Repeats
	stated  [2]int // where the usage is in the event that may repeat, empty for none
	mixed   bool   // the event at hand had something else than texts and counts
}

// head is what has been said of the answer itself.
type head struct {
	id, model string
	created   bool
}

// choice is a candidate.
type choice struct {
	index     int
	finish    string // the last finish reason
	signature string // of text, as an object to carry
	calls     int
	open      *openCall
}

// openCall is a call whose arguments come in pieces.
type openCall struct {
	number int // of the sink
	args   argWriter
}

// maxChoices is how many choices SDKs accept. The API makes fewer.
const maxChoices = 128

// response is a GenerateContentResponse.
type response struct {
	candidates, usage, feedback, failed jsonview.Value

	id, model, created jsonview.Value
}

// Event implements translate.Decoder.
func (d *decoder) Event(to translate.Sink, _, data []byte) translate.Progress {
	if f, text, ok := d.repeats.Match(data); ok {
		from, end := d.repeats.Moved(d.stated[0]), d.repeats.Moved(d.stated[1])
		d.count(to, jsonview.Value{Raw: jsonview.View(data[from:end]), At: from})
		f.Give(to, text)
		return translate.More
	}
	d.mixed = false
	root, ok := jsonview.Parse(data)
	if !ok {
		if text := bytes.TrimSpace(data); len(text) == 0 || string(text) == "[DONE]" { // some relays add it
			return translate.More
		}
		return translate.Malformed
	}
	if root.IsArray() { // errors may come wrapped
		for _, element := range root.Elements {
			if progress := d.response(to, element); progress != translate.More {
				return progress
			}
		}
		return translate.More
	}
	progress := d.response(to, root)
	if progress == translate.More && !d.mixed {
		d.learn(data, root.Get("usageMetadata"))
	}
	return progress
}

// learn takes in an event that the next one may repeat.
func (d *decoder) learn(data []byte, usage jsonview.Value) {
	d.stated = [2]int{usage.At, usage.At + len(usage.Raw)}
	var varying [jsonframe.MaxHoles - 1]jsonview.Value
	d.repeats.Learn(data, growing(varying[:0], usage)...)
}

func (d *decoder) count(to translate.Sink, usage jsonview.Value) {
	if usage.IsObject() && d.counts.take(usage) {
		to.Usage(d.counts.usage(), usage.Raw)
	}
}

func (d *decoder) response(to translate.Sink, root jsonview.Value) translate.Progress {
	if !root.IsObject() {
		return translate.Malformed
	}
	var r response
	for name, v := range root.Members {
		switch name {
		case "candidates":
			r.candidates = v
		case "usageMetadata":
			r.usage = v
		case "promptFeedback":
			r.feedback = v
		case "error":
			r.failed = v
		case "responseId":
			r.id = v
		case "modelVersion":
			r.model = v
		case "createTime":
			r.created = v
		}
	}
	d.count(to, r.usage)
	d.takeHead(to, &r)
	if why := r.feedback.Get("blockReason"); why.IsString() && why.Inside() != "" {
		d.blocked = strings.Clone(why.Text())
	}
	for _, candidate := range r.candidates.Elements {
		if !d.candidate(to, candidate) {
			return translate.Malformed
		}
	}
	if r.failed.Exists() && !r.failed.IsNull() {
		to.Fail(failure(r.failed))
		return translate.Failed
	}
	return translate.More
}

// takeHead passes on what the answer is called, once for each thing it says.
func (d *decoder) takeHead(to translate.Sink, r *response) {
	h := &d.head
	news := false
	if h.id == "" && r.id.IsString() {
		h.id = strings.Clone(r.id.Text())
		news = h.id != ""
	}
	if h.model == "" && r.model.IsString() {
		h.model = strings.Clone(r.model.Text())
		news = news || h.model != ""
	}
	var created int64
	if !h.created && r.created.IsString() {
		if t, err := time.Parse(time.RFC3339, r.created.Text()); err == nil {
			created, h.created, news = t.Unix(), true, true
		}
	}
	if news {
		to.Head(h.id, h.model, created)
	}
}

// answerID is what the ids of calls are made of.
func (d *decoder) answerID() string {
	if d.head.id != "" {
		return d.head.id
	}
	if d.minted == "" {
		d.minted = rand.Text()
	}
	return d.minted
}

// End implements translate.Decoder. The end of the body is the only mark of the end, so
// it counts if every candidate has been given a finish reason.
func (d *decoder) End(to translate.Sink) translate.Progress {
	if len(d.choices) == 0 && d.blocked != "" {
		to.Open(0)
		to.Finish(0, translate.FinishContent, d.blocked)
		return translate.Complete
	}
	for _, ch := range d.choices {
		if ch.finish == "" && d.blocked == "" || ch.broken() {
			return translate.More
		}
	}
	if len(d.choices) == 0 {
		return translate.More
	}
	for _, ch := range d.choices {
		d.finish(to, ch)
	}
	return translate.Complete
}

// broken tells whether the candidate ended within a call, and not because of a limit or a
// filter: the client would take half a call for a whole one.
func (ch *choice) broken() bool {
	return ch.open != nil && !isWhole(ch.finish) && ch.finish != "" && finishOf(ch.finish) == translate.FinishStop
}

func (d *decoder) finish(to translate.Sink, ch *choice) {
	if isWhole(ch.finish) {
		d.endCall(to, ch)
	}
	if ch.signature != "" {
		to.Carry(ch.index, vendor(d.c), ch.signature)
	}
	if ch.finish == "" {
		to.Finish(ch.index, translate.FinishContent, d.blocked)
		return
	}
	to.Finish(ch.index, finishOf(ch.finish), ch.finish)
}
