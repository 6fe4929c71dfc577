package openai

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

const (
	chunkObject  = `"chat.completion.chunk"`
	answerObject = `"chat.completion"`
)

// head is what all chunks of a stream have in common, as JSON values.
type head struct {
	settled            bool
	id, created, model string
}

// envelope holds the members of the top level that are looked at. Of a name that is
// there twice the last one counts, as with most parsers.
type envelope struct {
	id, object, created, model, choices, usage, groq jsonview.Value
}

func readEnvelope(root jsonview.Value) (v envelope) {
	for name, m := range root.Members {
		switch name {
		case "id":
			v.id = m
		case "object":
			v.object = m
		case "created":
			v.created = m
		case "model":
			v.model = m
		case "choices":
			v.choices = m
		case "usage":
			v.usage = m
		case "x_groq":
			v.groq = m
		}
	}
	return v
}

// isChunk tells whether an event is meant to be a chunk of a chat completion.
func (v *envelope) isChunk() bool {
	return v.choices.IsArray() || strings.HasPrefix(v.object.Text(), "chat.completion")
}

// isBare tells whether a chunk has nothing that says of what stream it is.
func (v *envelope) isBare() bool {
	named := v.id.Exists() || v.object.Exists() || v.created.Exists() || v.model.Exists()
	return !named && v.choices.First().Exists()
}

// settle makes the head of the first chunk that has one that of the whole stream. It
// returns false for a chunk in front of that: Azure begins with one that has neither id
// nor choices, but the results of its filters.
func (r *Repair) settle(v *envelope) bool {
	if r.head.settled {
		return true
	}
	if isEmpty(v.id) && v.choices.First() == (jsonview.Value{}) {
		return false
	}
	r.begin(v)
	return true
}

// begin makes the head of the stream from that of an event.
func (r *Repair) begin(v *envelope) {
	r.head = headOf(v, &r.o)
	r.moved = true
}

// headOf reads the head of an answer, and makes up what is missing in it.
func headOf(v *envelope, o *Options) head {
	h := head{settled: true}
	created := seconds(v.created)
	switch {
	case v.id.IsNumber():
		h.id = `"` + v.id.Raw + `"`
	case v.id.IsString() && !isEmpty(v.id):
		h.id = strings.Clone(v.id.Raw)
	default:
		h.id = quoted(o.ChatID)
		if created == 0 { // which says as little as an empty id
			created = -1
		}
	}
	switch {
	case o.Model != "":
		h.model = quoted(o.Model)
	case v.model.IsString() && !isEmpty(v.model):
		h.model = strings.Clone(v.model.Raw)
	default:
		h.model = quoted(o.Asked)
	}
	if created < 0 {
		created = o.Created
	}
	h.created = strconv.FormatInt(created, 10)
	return h
}

// seconds reads a time in seconds, which some servers give with a fraction or as a
// string; -1 if there is none.
func seconds(v jsonview.Value) int64 {
	if v.IsString() {
		if n, err := strconv.ParseInt(v.Text(), 10, 64); err == nil {
			return n
		}
		return -1
	}
	if n, ok := v.Int(); ok {
		return n
	}
	if f, ok := v.Float(); ok && f > 0 && f < 1<<53 {
		return int64(f)
	}
	return -1
}

func quoted(s string) string { return string(translate.AppendQuoted(nil, s)) }

// addMissing writes the members of the head that an object does not have.
func (h *head) addMissing(c *copier, v *envelope, object string) {
	for _, m := range [...]struct {
		there       jsonview.Value
		name, value string
	}{{v.id, "id", h.id}, {v.object, "object", object}, {v.created, "created", h.created}, {v.model, "model", h.model}} {
		if !m.there.Exists() {
			c.add(m.name, m.value)
		}
	}
}

// value is what a member of the head has to be, "" if it is none.
func (h *head) value(name, object string) string {
	switch name {
	case "id":
		return h.id
	case "object":
		return object
	case "created":
		return h.created
	case "model":
		return h.model
	}
	return ""
}

// appendChunk appends the beginning of a chunk of our own, up to the value of choices.
func (h *head) appendChunk(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(dst, h.id...)
	dst = append(dst, `,"object":`+chunkObject+`,"created":`...)
	dst = append(dst, h.created...)
	dst = append(dst, `,"model":`...)
	dst = append(dst, h.model...)
	return append(dst, `,"choices":`...)
}
