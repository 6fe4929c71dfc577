package bedrock

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// list is the inside of a JSON array under construction.
type list []byte

// next makes room for one more element, which is then appended.
func (l *list) next() {
	if len(*l) > 0 {
		*l = append(*l, ',')
	}
}

func (l *list) add(parts ...string) {
	l.next()
	for _, p := range parts {
		*l = append(*l, p...)
	}
}

// turn is what one side says before the other does: Converse wants user and assistant
// to take turns, and the results of an assistant's calls first in the turn that follows.
type turn struct {
	role    string
	results list
	content list
}

const (
	roleUser      = "user"
	roleAssistant = "assistant"
)

// turn returns the turn of a role, for a block that is about to be added.
func (r *request) turn(role string) *turn {
	if n := len(r.turns); n > 0 && r.turns[n-1].role == role {
		return r.turns[n-1]
	}
	t := &turn{role: role}
	r.turns = append(r.turns, t)
	return t
}

// readConversation makes turns of the messages. System messages stand in front of all
// of them, whatever their place.
func (r *request) readConversation() {
	for i := range r.chat.Messages {
		m := &r.chat.Messages[i]
		if m.Name != "" && m.Role != translate.RoleTool {
			r.c.Warn("'name' of messages was dropped: the provider of this model has nothing like it.")
		}
		switch m.Role {
		case translate.RoleSystem:
			r.systemMessage(m)
		case translate.RoleAssistant:
			r.assistant(m)
		case translate.RoleTool:
			r.toolResult(m)
		default:
			r.user(m)
		}
	}
	r.checkPrefill()
}

func (r *request) user(m *translate.Message) {
	var said *list // nil until there is a block
	for _, p := range m.Parts {
		r.block(p, func() *list {
			said = &r.turn(roleUser).content
			return said
		})
	}
	if said != nil {
		cachePoint(said, m.CacheControl)
	}
}

func (r *request) systemMessage(m *translate.Message) {
	for _, p := range m.Parts {
		if p.Kind != translate.PartText {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes only text in system messages"))
			return
		}
		r.block(p, func() *list { return &r.system })
	}
	if len(r.system) > 0 {
		cachePoint(&r.system, m.CacheControl)
	}
}

func (r *request) assistant(m *translate.Message) {
	var said *list // nil until there is a block
	to := func() *list {
		said = &r.turn(roleAssistant).content
		return said
	}
	r.restoreThoughts(m, to)
	for _, p := range m.Parts {
		if p.Kind != translate.PartText && p.Kind != translate.PartRefusal {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes only text and tool calls in assistant messages"))
			return
		}
		r.block(p, to)
	}
	for _, call := range m.Calls {
		r.toolCall(call, to())
	}
	if said != nil {
		cachePoint(said, m.CacheControl)
	}
}

// checkPrefill refuses an answer's beginning where the model would refuse it.
func (r *request) checkPrefill() {
	if r.lastRole() == translate.RoleAssistant && r.c.Known.Has(modeldata.TraitNoPrefill) {
		last := r.chat.Messages[len(r.chat.Messages)-1]
		r.fail(translate.Unsupported(last.Path, "this model cannot continue a message of the assistant"))
	}
}

// toolCall writes a toolUse block.
func (r *request) toolCall(call translate.AssistantCall, to *list) {
	r.toolUse = true
	arguments := call.Arguments
	if arguments == "" || arguments == "null" {
		arguments = "{}"
	}
	input, ok := jsonview.Parse([]byte(arguments))
	if !ok || !input.IsObject() {
		r.fail(translate.InvalidType(call.Path+".function.arguments", "the text of a JSON object for this model's provider"))
		return
	}
	to.add(`{"toolUse":{"toolUseId":`)
	*to = translate.AppendQuoted(*to, toolUseID(call.ID))
	*to = append(*to, `,"name":`...)
	*to = translate.AppendQuoted(*to, call.Name)
	*to = append(*to, `,"input":`...)
	*to = jsonview.AppendCompact(*to, input.Raw)
	*to = append(*to, "}}"...)
}

// toolResult writes a toolResult block. A result without anything in it has an empty
// list: the text of a block must not be blank.
func (r *request) toolResult(m *translate.Message) {
	r.toolUse = true
	var content list
	var cache jsonview.Value
	for _, p := range m.Parts {
		if p.Kind == translate.PartAudio {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes no audio in the results of tools"))
			return
		}
		if p.CacheControl.Exists() {
			cache = p.CacheControl
		}
		p.CacheControl = jsonview.Value{}
		r.block(p, func() *list { return &content })
	}
	if m.CacheControl.Exists() {
		cache = m.CacheControl
	}
	to := &r.turn(roleUser).results
	to.add(`{"toolResult":{"toolUseId":`)
	*to = translate.AppendQuoted(*to, toolUseID(m.CallID))
	*to = append(*to, `,"content":[`...)
	*to = append(*to, content...)
	*to = append(*to, "]}}"...)
	cachePoint(to, cache)
}

// toolUseID is an id of at most 64 letters, digits, _ and -.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
func toolUseID(id string) string { return translate.CallID(id, 64, translate.IsWord) }

// cachePoint marks the end of what is to be cached, if the client asked for that in
// Anthropic's way.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html
func cachePoint(to *list, control jsonview.Value) {
	if !control.Get("type").Is("ephemeral") {
		return
	}
	if ttl := control.Get("ttl"); ttl.Is("5m") || ttl.Is("1h") {
		to.add(`{"cachePoint":{"type":"default","ttl":`, ttl.Raw, "}}")
		return
	}
	to.add(`{"cachePoint":{"type":"default"}}`)
}

func (r *request) conversationSize() int {
	size := 0
	for _, t := range r.turns {
		size += len(t.results) + len(t.content) + 64
	}
	return size
}

// writeConversation writes system and messages.
func (r *request) writeConversation(out *wire.Object) {
	if len(r.system) > 0 {
		out.Literal("system", "[")
		out.Out = append(append(out.Out, r.system...), ']')
	}
	out.Literal("messages", "[")
	for i, t := range r.turns {
		if i > 0 {
			out.Out = append(out.Out, ',')
		}
		out.Out = append(out.Out, `{"role":"`+t.role+`","content":[`...)
		out.Out = append(out.Out, t.results...)
		if len(t.results) > 0 && len(t.content) > 0 {
			out.Out = append(out.Out, ',')
		}
		out.Out = append(out.Out, t.content...)
		out.Out = append(out.Out, "]}"...)
	}
	out.Out = append(out.Out, ']')
}
