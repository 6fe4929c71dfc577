package bedrock

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

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
	tools := r.chat.Tools
	if r.choice() == "none" {
		tools = nil
	}
	r.prefix = wire.NewPrefix(r.c, r.chat, tools)
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
		r.prefix.Add(m)
	}
	r.c.Prefix = r.prefix.Text()
	if len(r.turns) == 0 {
		r.fail(translate.Unsupported("messages", "the provider of this model needs a message beside the system's"))
	}
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
		r.cachePoint(said, m.CacheControl)
	}
}

func (r *request) systemMessage(m *translate.Message) {
	before := len(r.system.out)
	for _, p := range m.Parts {
		if p.Kind != translate.PartText {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes only text in system messages"))
			return
		}
		r.block(p, func() *list { return &r.system })
	}
	if len(r.system.out) > before {
		r.cachePoint(&r.system, m.CacheControl)
	}
}

func (r *request) assistant(m *translate.Message) {
	var said *list // nil until there is a block
	to := func() *list {
		said = &r.turn(roleAssistant).content
		return said
	}
	rest := r.restoreThoughts(m, to)
	if m == r.prefill {
		rest = wire.Trimmed(rest)
	}
	for _, p := range rest.Parts {
		if p.Kind != translate.PartText && p.Kind != translate.PartRefusal {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes only text and tool calls in assistant messages"))
			return
		}
		r.block(p, to)
	}
	for i := range rest.Calls {
		r.toolCall(&rest.Calls[i], to())
	}
	if said != nil {
		r.cachePoint(said, m.CacheControl)
	}
}

// toolCall writes a toolUse block.
func (r *request) toolCall(call *translate.AssistantCall, to *list) {
	r.toolUse = true
	input, err := wire.Arguments(call)
	if err != nil {
		r.fail(err)
		return
	}
	to.add(`{"toolUse":{"toolUseId":`)
	to.quote(toolUseID(call.ID))
	to.append(`,"name":`)
	to.quote(call.Name)
	to.append(`,"input":`)
	to.out = jsonview.AppendCompact(to.out, input)
	to.append("}}")
}

// toolResult writes a toolResult block. A result without anything in it has an empty
// list: the text of a block must not be blank.
func (r *request) toolResult(m *translate.Message) {
	r.toolUse = true
	var content list
	cache := m.CacheControl
	for _, p := range m.Parts {
		if p.Kind == translate.PartAudio {
			r.fail(translate.Unsupported(p.Path, "the provider of this model takes no audio in the results of tools"))
			return
		}
		if !m.CacheControl.Exists() && p.CacheControl.Exists() {
			cache = p.CacheControl
		}
		p.CacheControl = jsonview.Value{}
		r.block(p, func() *list { return &content })
	}
	to := &r.turn(roleUser).results
	to.add(`{"toolResult":{"toolUseId":`)
	to.quote(toolUseID(m.CallID))
	to.append(`,"content":[`, jsonview.View(content.out), "]}}")
	r.cachePoint(to, cache)
}

// toolUseID is an id of at most 64 letters, digits, _ and -.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
func toolUseID(id string) string { return translate.CallID(id, 64, translate.IsWord) }

func (r *request) conversationSize() int {
	size := 0
	for _, t := range r.turns {
		size += len(t.results.out) + len(t.content.out) + 64
	}
	return size
}

// writeConversation writes system and messages.
func (r *request) writeConversation(out *wire.Object) {
	if len(r.system.out) > 0 {
		out.Literal("system", "[")
		out.Out = append(append(out.Out, r.system.out...), ']')
	}
	out.Literal("messages", "[")
	for i, t := range r.turns {
		if i > 0 {
			out.Out = append(out.Out, ',')
		}
		out.Out = append(out.Out, `{"role":"`+t.role+`","content":[`...)
		out.Out = append(out.Out, t.results.out...)
		if len(t.results.out) > 0 && len(t.content.out) > 0 {
			out.Out = append(out.Out, ',')
		}
		out.Out = append(out.Out, t.content.out...)
		out.Out = append(out.Out, "]}"...)
	}
	out.Out = append(out.Out, ']')
}
