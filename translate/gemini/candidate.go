package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// candidate reads one candidate of a response. It may have no content, and a content no
// parts: reasoning can eat up all the tokens.
func (d *decoder) candidate(to translate.Sink, v jsonview.Value) bool {
	var index, content, finish, logprobs jsonview.Value
	for name, member := range v.Members {
		switch name {
		case "index":
			index = member
		case "content":
			content = member
		case "finishReason":
			finish = member
		case "logprobsResult":
			logprobs = member
		}
	}
	n, _ := index.Int() // absent means 0
	if n < 0 || n >= maxChoices {
		return false
	}
	ch := d.choice(to, int(n))
	for _, part := range content.Get("parts").Elements {
		if !d.part(to, ch, part) {
			return false
		}
	}
	if logprobs.IsObject() {
		d.mixed = true
		d.logprobs(to, ch, logprobs)
	}
	if finish.IsString() && finish.Inside() != "" && !finish.Is(ch.finish) {
		d.mixed = true
		ch.finish = strings.Clone(finish.Text())
	}
	return true
}

func (d *decoder) choice(to translate.Sink, index int) *choice {
	for _, ch := range d.choices {
		if ch.index == index {
			return ch
		}
	}
	ch := &choice{index: index}
	d.choices = append(d.choices, ch)
	to.Open(index)
	return ch
}

// part reads one part. Code that the provider runs, and tools of its own, are nothing
// that the client is to act on, and pass unseen like parts that are not known.
func (d *decoder) part(to translate.Sink, ch *choice, v jsonview.Value) bool {
	var text, call, data, file, signature jsonview.Value
	thought := false
	for name, member := range v.Members {
		switch name {
		case "text":
			text = member
		case "thought":
			thought = member.IsTrue()
		case "functionCall":
			call = member
		case "inlineData":
			data = member
		case "fileData":
			file = member
		case "thoughtSignature":
			signature = member
		}
	}
	signed := signature.IsString() && signature.Inside() != ""
	switch {
	case call.IsObject():
		if !signed {
			signature = jsonview.Value{}
		}
		d.mixed = true
		return d.call(to, ch, call, signature)
	case text.IsString() && thought:
		d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentReasoning, Choice: ch.index}, text)
	case text.IsString():
		d.repeats.Give(to, translate.Fragment{Kind: translate.FragmentText, Choice: ch.index}, text)
		if signed { // the last one counts; it often stands alone, with an empty text
			d.mixed = true
			ch.signature = carry(signature)
		}
	case !thought: // pictures made on the way to the answer are not part of it
		d.mixed = true
		d.image(to, ch, data, file)
	}
	return true
}

// image passes on a picture. Sound has no place in a streamed chat answer but OpenAI's
// own audio form, which it is not; it is left out.
func (d *decoder) image(to translate.Sink, ch *choice, data, file jsonview.Value) {
	if media := data.Get("mimeType"); isImage(media) {
		d.scratch = append(d.scratch[:0], "data:"...)
		d.scratch = append(d.scratch, media.Inside()...)
		d.scratch = append(d.scratch, ";base64,"...)
		d.scratch = append(d.scratch, data.Get("data").Inside()...)
		to.Image(ch.index, jsonview.View(d.scratch))
		d.release()
	}
	if uri := file.Get("fileUri"); isImage(file.Get("mimeType")) && uri.Inside() != "" {
		to.Image(ch.index, uri.Inside())
	}
}

func isImage(media jsonview.Value) bool { return strings.HasPrefix(media.Inside(), "image/") }

// maxScratch bounds the memory that is kept from one event to the next.
const maxScratch = 64 << 10

func (d *decoder) release() {
	if cap(d.scratch) > maxScratch {
		d.scratch = nil
	}
	if cap(d.piece) > maxScratch {
		d.piece = nil
	}
}

// call reads a functionCall: a whole one, the first of several pieces, or a further one,
// which has no name.
func (d *decoder) call(to translate.Sink, ch *choice, v, signature jsonview.Value) bool {
	name, goesOn := v.Get("name"), v.Get("willContinue").IsTrue()
	if !name.IsString() || name.Inside() == "" {
		if ch.open == nil {
			return true
		}
	} else {
		d.endCall(to, ch) // its end may be missing
		number := d.openCall(to, ch, v.Get("id").Text(), name.Text(), signature)
		if !goesOn && v.Get("partialArgs").Len() == 0 {
			d.wholeArguments(to, ch, number, v.Get("args"))
			return true
		}
		ch.open = &openCall{number: number}
	}
	d.scratch = d.scratch[:0]
	for _, partial := range v.Get("partialArgs").Elements {
		var ok bool
		if d.scratch, ok = ch.open.args.add(d.scratch, partial); !ok {
			return false
		}
	}
	d.arguments(to, ch)
	if !goesOn {
		d.endCall(to, ch)
	}
	return true
}

// openCall opens a call. Its id is made here if Gemini gave none: the memory of the
// exchange has to know it.
func (d *decoder) openCall(to translate.Sink, ch *choice, id, name string, signature jsonview.Value) int {
	call := translate.Call{ID: strings.Clone(id), Name: strings.Clone(name)}
	if id == "" {
		call.ID = translate.MintCallID(d.answerID(), ch.index, ch.calls)
	}
	if signature.Exists() {
		call.Vendor, call.Carry = vendor(d.c), carry(signature)
	}
	keep(d.c.Carried, call.ID, id != "", signature)
	ch.calls++
	return to.Call(ch.index, call)
}

func (d *decoder) wholeArguments(to translate.Sink, ch *choice, number int, args jsonview.Value) {
	if !args.Exists() || args.IsNull() {
		args.Raw = "{}"
	}
	to.ArgumentsJSON(ch.index, number, args.Raw)
}

// arguments passes on what is in scratch.
func (d *decoder) arguments(to translate.Sink, ch *choice) {
	if len(d.scratch) == 0 {
		return
	}
	d.piece = appendInside(d.piece[:0], jsonview.View(d.scratch))
	to.Arguments(ch.index, ch.open.number, jsonview.View(d.piece))
	d.release()
}

// endCall completes the arguments of a call that came in pieces.
func (d *decoder) endCall(to translate.Sink, ch *choice) {
	if ch.open == nil {
		return
	}
	d.scratch = ch.open.args.end(d.scratch[:0])
	d.arguments(to, ch)
	ch.open = nil
}
