package bedrock

import (
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// vendor is the name under which an answer's thoughts are carried in the message that a
// client sends back.
const vendor = "bedrock"

// restoreThoughts writes an earlier answer as far as its last thought, and returns the
// rest of it.
func (r *request) restoreThoughts(m *translate.Message, to func() *list) *translate.Message {
	carried := wire.Carried(r.c, m, vendor)
	if !r.prefix.Fits(carried) {
		r.c.Warn("Earlier thoughts of the model were left out: what was in front of them has changed.")
		return m
	}
	steps, rest := wire.Replay(m, carried)
	for _, s := range steps {
		switch s.Kind {
		case wire.StepThought:
			to().add(`{"reasoningContent":{"reasoningText":{"text":`, s.Text.Raw, `,"signature":`, s.Signature.Raw, "}}}")
		case wire.StepRedacted:
			to().add(`{"reasoningContent":{"redactedContent":`, s.Text.Raw, "}}")
		case wire.StepText:
			if !wire.Blank(s.Text) {
				to().add(`{"text":`, s.Text.Raw, "}")
			}
		case wire.StepCall:
			r.toolCall(s.Call, to())
		}
	}
	r.prefix.Thoughts(steps)
	return rest
}

// hasThoughts tells whether an earlier answer begins with thoughts that are still there.
func (r *request) hasThoughts(m *translate.Message) bool {
	steps, _ := wire.Replay(m, wire.Carried(r.c, m, vendor))
	return len(steps) > 0 && (steps[0].Kind == wire.StepThought || steps[0].Kind == wire.StepRedacted)
}
