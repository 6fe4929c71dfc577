package wire

import (
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// StepKind is what a Step writes.
type StepKind uint8

// The kinds of steps.
const (
	StepThought StepKind = iota
	StepRedacted
	StepText
	StepCall
)

// Step is a block of an earlier answer that is to be written.
type Step struct {
	Kind StepKind
	// Text is the text of a thought or of the answer, or the data of a thought that is
	// encrypted: a JSON string. Signature belongs to StepThought.
	Text, Signature jsonview.Value
	Call            *translate.AssistantCall
}

// Replay takes apart an assistant's message as far as its last thought, in the order in
// which the model wrote it; rest is what is left of the message. Without thoughts that can
// be sent back there are no steps, and rest is m.
func Replay(m *translate.Message, carried jsonview.Value) (steps []Step, rest *translate.Message) {
	r := replay{m: m, calls: m.Calls}
	thoughts := 0 // how many steps there are up to the last thought
	for _, entry := range carried.Get(thoughtBlocks).Elements {
		step, ok := r.step(entry)
		if !ok { // what follows it would be out of its place
			break
		}
		steps = append(steps, step)
		if step.Kind == StepThought || step.Kind == StepRedacted {
			thoughts = len(steps)
		}
	}
	if thoughts == 0 {
		return nil, m
	}
	steps = steps[:thoughts]
	return steps, r.rest(steps)
}

// replay is how far a message has been taken apart.
type replay struct {
	m      *translate.Message
	calls  []translate.AssistantCall // that are left
	text   string                    // of the message, decoded once it is needed
	read   bool                      // it is
	offset int                       // in text
}

func (r *replay) step(entry jsonview.Value) (Step, bool) {
	switch kind := entry.Get("type"); {
	case kind.Is("thinking"):
		s := Step{Kind: StepThought, Text: entry.Get("thinking"), Signature: entry.Get("signature")}
		return s, s.Text.IsString() && isSignature(s.Signature)
	case kind.Is("redacted_thinking"):
		s := Step{Kind: StepRedacted, Text: entry.Get("data")}
		return s, isSignature(s.Text)
	case kind.Is("text"):
		n, _ := entry.Get("bytes").Int()
		return r.textStep(n)
	case kind.Is("tool_use") && len(r.calls) > 0:
		s := Step{Kind: StepCall, Call: &r.calls[0]}
		r.calls = r.calls[1:]
		return s, true
	}
	return Step{}, false
}

func (r *replay) textStep(n int64) (Step, bool) {
	if !r.read {
		r.read, r.text = true, textOf(r.m)
	}
	left := r.text[r.offset:]
	if n <= 0 || n > int64(len(left)) || int(n) < len(left) && !utf8.RuneStart(left[n]) {
		return Step{}, false
	}
	r.offset += int(n)
	return Step{Kind: StepText, Text: quoted(left[:n])}, true
}

// rest is the message without what stands in the steps.
func (r *replay) rest(steps []Step) *translate.Message {
	said, called := 0, 0
	for _, s := range steps {
		switch s.Kind {
		case StepText:
			said += len(s.Text.Text())
		case StepCall:
			called++
		}
	}
	if said+called == 0 {
		return r.m
	}
	rest := *r.m
	rest.Calls = r.m.Calls[called:]
	if said == 0 {
		return &rest
	}
	rest.Parts = nil
	var last translate.Part
	for _, p := range r.m.Parts {
		if p.Kind != translate.PartText {
			rest.Parts = append(rest.Parts, p)
			continue
		}
		if !p.CacheControl.Exists() {
			p.CacheControl = last.CacheControl
		}
		last = p
	}
	if said < len(r.text) {
		last.Text = quoted(r.text[said:])
		rest.Parts = append([]translate.Part{last}, rest.Parts...)
	}
	return &rest
}

func quoted(text string) jsonview.Value {
	return jsonview.Value{Raw: string(translate.AppendQuoted(nil, text))}
}

// textOf is all text of a message, decoded.
func textOf(m *translate.Message) string {
	var text strings.Builder
	for i := range m.Parts {
		if m.Parts[i].Kind == translate.PartText {
			text.WriteString(m.Parts[i].Text.Text())
		}
	}
	return text.String()
}

// LoopStart is the assistant's message in which the model began to call tools, if the
// conversation ends in the results of calls; nil if it does not.
func LoopStart(chat *translate.Chat) (start *translate.Message) {
	const nothing, words, results = 0, 1, 2 // what stands between here and the answer behind
	between := words
	for i := len(chat.Messages) - 1; i >= 0; i-- {
		switch m := &chat.Messages[i]; m.Role {
		case translate.RoleTool:
			between = results
		case translate.RoleUser:
			between = max(between, words)
		case translate.RoleAssistant:
			if between == words {
				return start
			}
			start, between = m, nothing
		}
	}
	return start
}
