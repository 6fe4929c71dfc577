package gemini

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// The roles of contents.
const (
	roleUser  = "user"
	roleModel = "model"
)

// contents writes the conversation. Neighbours of one role become one content.
func (r *request) contents() {
	r.out.key("contents")
	r.out.open('[')
	all := r.chat.Messages
	answered := make([]bool, len(all))
	for i := 0; i < len(all) && r.failed == nil; {
		switch m := &all[i]; m.Role {
		case translate.RoleAssistant:
			i = r.step(i, answered)
			continue
		case translate.RoleUser:
			r.leftOut(m)
			r.parts(roleUser, m, jsonview.Value{})
		case translate.RoleTool:
			if !answered[i] {
				r.fail(translate.InvalidType(m.Path+".tool_call_id", "the id of a tool call that the assistant message before it makes and that has no answer yet"))
			}
		}
		i++
	}
	if r.role == "" {
		r.systemAsUser()
	}
	r.endContent()
	r.out.close(']')
}

func (r *request) systemAsUser() {
	parts := r.systemParts()
	if len(parts) == 0 {
		r.fail(translate.InvalidType("messages", "a list with at least one message that is not empty"))
		return
	}
	r.c.Warn("The system message was sent as the user's: the provider of this model needs one.")
	for _, p := range parts {
		r.begin(roleUser)
		r.textPart(p.Text, jsonview.Value{})
	}
}

// begin makes sure that the content that is open belongs to role.
func (r *request) begin(role string) {
	if r.role == role {
		return
	}
	r.endContent()
	r.role = role
	r.out.open('{')
	r.out.textMember("role", role)
	r.out.key("parts")
	r.out.open('[')
}

func (r *request) endContent() {
	if r.role != "" {
		r.out.b = append(r.out.b, `]}`...)
	}
	r.role = ""
}

// leftOut warns of what a message has and a content has not.
func (r *request) leftOut(m *translate.Message) {
	if m.Name != "" && m.Role != translate.RoleTool {
		r.c.Warn("'name' of messages was dropped: the provider of this model has nothing like it.")
	}
	cached := m.CacheControl.Exists()
	for i := range m.Parts {
		cached = cached || m.Parts[i].CacheControl.Exists()
	}
	if cached {
		r.warnCacheControl()
	}
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
		r.leftOut(m)
		r.parts(roleModel, m, signatureIn(m.Extra))
		for i := range m.Calls {
			r.call(&m.Calls[i], len(calls) == 0)
			calls = append(calls, &m.Calls[i])
		}
	}
	if end == len(all) && r.c.Known.Has(modeldata.TraitNoPrefill) {
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
	byID := make(map[string][]int)
	for i := at; i < len(all) && all[i].Role != translate.RoleAssistant; i++ {
		if all[i].Role == translate.RoleTool {
			byID[all[i].CallID] = append(byID[all[i].CallID], i)
		}
	}
	for _, call := range calls {
		found := byID[call.ID]
		if len(found) == 0 {
			r.fail(translate.InvalidType(call.Path, "answered by a tool message"))
			return
		}
		byID[call.ID] = found[1:]
		answered[found[0]] = true
		r.answer(call, &all[found[0]])
	}
}

func (r *request) answer(call *translate.AssistantCall, m *translate.Message) {
	r.leftOut(m)
	r.begin(roleUser)
	w := &r.out
	w.open('{')
	w.key("functionResponse")
	w.open('{')
	if r.isOwnID(call) {
		w.textMember("id", call.ID)
	}
	w.textMember("name", call.Name)
	w.key("response")
	r.response(m)
	w.close('}')
	w.close('}')
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
		if object, ok := objectIn(m.Parts[0].Text.Text()); ok {
			r.out.raw(object)
			return
		}
	}
	r.out.open('{')
	r.out.key("output")
	r.out.b = append(r.out.b, '"')
	for _, p := range m.Parts {
		r.out.b = append(r.out.b, p.Text.Inside()...)
	}
	r.out.b = append(r.out.b, `"}`...)
}

// objectIn is the JSON object that text is.
func objectIn(text string) (string, bool) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return "", false
	}
	v, ok := jsonview.Parse([]byte(text))
	return v.Raw, ok && v.IsObject()
}

// call writes a functionCall of the model. first marks that of a step, which some
// models want a signature with.
func (r *request) call(call *translate.AssistantCall, first bool) {
	arguments := strings.Trim(call.Arguments, " \t\r\n")
	if arguments == "" || arguments == "null" {
		arguments = "{}"
	}
	object, ok := objectIn(arguments)
	if !ok {
		r.fail(translate.InvalidType(call.Path+".function.arguments", "the JSON text of an object"))
		return
	}
	r.begin(roleModel)
	w := &r.out
	w.open('{')
	w.key("functionCall")
	w.open('{')
	if r.isOwnID(call) {
		w.textMember("id", call.ID)
	}
	w.textMember("name", call.Name)
	w.member("args", object)
	w.close('}')
	w.optional("thoughtSignature", r.signatureOf(call, first))
	w.close('}')
}
