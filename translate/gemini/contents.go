package gemini

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// content is what a content of the conversation holds.
type content uint8

const (
	none    content = iota
	asked           // what the user says
	said            // what the model says and calls
	results         // what the functions answer, which are the user's too
)

// contents writes the conversation. Neighbours of one kind become one content. Results
// stay apart from what the user says: Vertex AI refuses a content that has both.
func (r *request) contents() {
	r.out.Name("contents")
	r.out.Open('[')
	all := r.chat.Messages
	answered := make([]bool, len(all))
	for i := 0; i < len(all) && r.failed == nil; {
		switch m := &all[i]; m.Role {
		case translate.RoleAssistant:
			i = r.step(i, answered)
			continue
		case translate.RoleUser:
			r.parts(asked, m, jsonview.Value{})
		case translate.RoleTool:
			if !answered[i] {
				r.fail(translate.InvalidType(m.Path+".tool_call_id", "the id of a tool call that the assistant message before it makes"))
			}
		}
		i++
	}
	if r.open == none {
		r.systemAsUser()
	}
	r.endContent()
	r.out.Close(']')
}

func (r *request) systemAsUser() {
	parts := r.systemParts()
	if len(parts) == 0 {
		r.fail(translate.InvalidType("messages", "a list with at least one message that is not empty"))
		return
	}
	r.c.Warn("The system message was sent as the user's: the provider of this model needs one.")
	for _, p := range parts {
		r.begin(asked)
		r.textPart(p.Text, jsonview.Value{})
	}
}

// begin makes sure that the content that is open is of a kind.
func (r *request) begin(kind content) {
	if r.open == kind {
		return
	}
	r.endContent()
	r.open = kind
	r.out.Open('{')
	r.out.Text("role", [...]string{asked: "user", said: "model", results: "user"}[kind])
	r.out.Name("parts")
	r.out.Open('[')
}

func (r *request) endContent() {
	if r.open != none {
		r.out.Close(']')
		r.out.Close('}')
	}
	r.open = none
}

// step writes the assistant messages from at on, the model's side of one step, and
// behind it the answers to all its calls: the API wants as many as there are calls, in
// the content right after it. It returns where the next message stands.
func (r *request) step(at int, answered []bool) int {
	all := r.chat.Messages
	var calls []*translate.AssistantCall
	end := at
	for ; end < len(all) && (all[end].Role == translate.RoleAssistant || all[end].Role == translate.RoleSystem); end++ {
		m := &all[end]
		if m.Role == translate.RoleSystem {
			continue
		}
		r.parts(said, m, signatureIn(m.Extra.Get(vendor(r.c))))
		for i := range m.Calls {
			r.call(&m.Calls[i], len(calls) == 0)
			calls = append(calls, &m.Calls[i])
		}
	}
	if end == len(all) && r.open == said && r.c.Known.Has(modeldata.TraitNoPrefill) {
		r.fail(translate.Unsupported(all[at].Path, "this model refuses an assistant message at the end"))
	}
	if len(calls) > 0 {
		r.answers(calls, end, answered)
	}
	return end
}

// answers writes the tool messages from at on, up to the next assistant message, in the
// order of the calls: models that give calls no ids match answers by their order.
func (r *request) answers(calls []*translate.AssistantCall, at int, answered []bool) {
	all := r.chat.Messages
	byID := make(map[string]int)
	for i := at; i < len(all) && all[i].Role != translate.RoleAssistant; i++ {
		if all[i].Role == translate.RoleTool {
			byID[all[i].CallID] = i
		}
	}
	for _, call := range calls {
		i, ok := byID[call.ID]
		if !ok {
			r.fail(translate.InvalidType(call.Path, "answered by a tool message"))
			return
		}
		answered[i] = true
		r.answer(call, &all[i])
	}
}

func (r *request) answer(call *translate.AssistantCall, m *translate.Message) {
	r.begin(results)
	w := r.out
	w.Open('{')
	w.Name("functionResponse")
	w.Open('{')
	if r.isOwnID(call) {
		w.Text("id", call.ID)
	}
	w.Text("name", call.Name)
	w.Name("response")
	r.response(m)
	w.Close('}')
	w.Close('}')
}

// response writes what a tool said: an object. Text that is one is taken as it is.
func (r *request) response(m *translate.Message) {
	for _, p := range m.Parts {
		if p.Kind != translate.PartText {
			r.fail(translate.Unsupported(p.Path, "a tool can only answer with text here"))
			return
		}
	}
	if len(m.Parts) == 1 {
		if object, ok := wire.ObjectIn(m.Parts[0].Text.Text()); ok {
			r.out.Out = jsonview.AppendCompact(r.out.Out, object)
			return
		}
	}
	r.out.Out = append(r.out.Out, `{"output":"`...)
	for _, p := range m.Parts {
		r.out.Out = append(r.out.Out, p.Text.Inside()...)
	}
	r.out.Out = append(r.out.Out, `"}`...)
}

// call writes a functionCall of the model. first marks that of a step, which some
// models want a signature with.
func (r *request) call(call *translate.AssistantCall, first bool) {
	arguments, e := wire.Arguments(call)
	if e != nil {
		r.fail(e)
		return
	}
	r.begin(said)
	w := r.out
	w.Open('{')
	w.Name("functionCall")
	w.Open('{')
	if r.isOwnID(call) {
		w.Text("id", call.ID)
	}
	w.Text("name", call.Name)
	w.Raw("args", jsonview.Value{Raw: arguments})
	w.Close('}')
	w.Raw("thoughtSignature", r.signatureOf(call, first))
	w.Close('}')
}
