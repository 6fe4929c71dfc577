package anthropic

import (
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// vendor is the name under which an answer's thoughts are carried in the message that a
// client sends back.
const vendor = "anthropic"

// appendThoughts appends an earlier answer as far as its last thought, and returns the
// rest of it. It refuses thoughts in a request that turns thinking off.
func (e *encoder) appendThoughts(dst []byte, m *translate.Message) ([]byte, *translate.Message) {
	carried := wire.Carried(e.c, m, vendor)
	if !e.prefix.Fits(carried) {
		e.c.Warn("Earlier thoughts of the model were left out: what was in front of them has changed.")
		return dst, m
	}
	steps, rest := wire.Replay(m, carried)
	for _, s := range steps {
		dst = e.appendStep(dst, s)
	}
	e.prefix.Thoughts(steps)
	return dst, rest
}

func (e *encoder) appendStep(dst []byte, s wire.Step) []byte {
	switch s.Kind {
	case wire.StepThought:
		dst = append(comma(dst), `{"type":"thinking","thinking":`...)
		dst = append(dst, s.Text.Raw...)
		dst = append(dst, `,"signature":`...)
		dst = append(dst, s.Signature.Raw...)
		dst = append(dst, '}')
	case wire.StepRedacted:
		dst = append(comma(dst), `{"type":"redacted_thinking","data":`...)
		dst = append(dst, s.Text.Raw...)
		dst = append(dst, '}')
	case wire.StepText:
		if !wire.Blank(s.Text) {
			dst = appendTextBlock(comma(dst), s.Text.Raw, noCache)
		}
	case wire.StepCall:
		dst = e.appendCall(comma(dst), s.Call, noCache)
	}
	return dst
}

// hasThoughts tells whether an earlier answer begins with thoughts that are still there.
func (e *encoder) hasThoughts(m *translate.Message) bool {
	steps, _ := wire.Replay(m, wire.Carried(e.c, m, vendor))
	return len(steps) > 0 && (steps[0].Kind == wire.StepThought || steps[0].Kind == wire.StepRedacted)
}
