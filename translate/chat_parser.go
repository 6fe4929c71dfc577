package translate

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// ParseChat takes apart a body that ParseRequest has accepted. It checks the types of
// what it reads and names the member at fault.
func ParseChat(body []byte) (*Chat, *Error) {
	root, ok := jsonview.Parse(body)
	if !ok || !root.IsObject() {
		return nil, NewError(CodeInvalidJSON)
	}
	p := chatParser{chat: Chat{N: 1, ParallelTools: true}}
	for name, v := range root.Members {
		if v.IsNull() {
			continue
		}
		p.member(name, v)
		if p.failed != nil {
			return nil, p.failed
		}
	}
	return p.finish()
}

// maxStray bounds what is told of members that nobody knows.
const maxStray = 8

type chatParser struct {
	chat      Chat
	maxTokens int64 // of max_tokens, which max_completion_tokens replaces
	functions []Tool
	seen      map[string]bool
	failed    *Error
}

func (p *chatParser) fail(param, want string) {
	if p.failed == nil {
		p.failed = InvalidType(param, want)
	}
}

// member takes in one member of the top level.
func (p *chatParser) member(name string, v jsonview.Value) {
	known, says := p.read(name, v)
	if !known {
		p.chat.Unknown = append(p.chat.Unknown, Member{name, v})
		return
	}
	if p.seen[name] {
		p.failed = DuplicateKey(name)
		return
	}
	if p.seen == nil {
		p.seen = make(map[string]bool)
	}
	p.seen[name] = true
	if says {
		p.chat.present = append(p.chat.present, name)
	}
}

// read takes in a member and tells whether it is one of OpenAI's, and whether it says
// anything beyond the default.
func (p *chatParser) read(name string, v jsonview.Value) (known, says bool) {
	c := &p.chat
	switch name {
	case "model":
		c.Model = v.Text()
		return true, false
	case "stream":
		c.Stream = v.IsTrue()
		return true, false
	case "stream_options":
		return true, false
	case "messages":
		p.messages(v)
		return true, true
	case "tools":
		c.Tools = p.tools(v, "tools")
		return true, len(c.Tools) > 0
	case "functions":
		p.functions = p.legacyFunctions(v)
		return true, len(p.functions) > 0
	case "tool_choice", "function_call":
		p.toolChoice(name, v)
		return true, c.Choice.Mode != ""
	case "response_format":
		p.format(v)
		return true, c.Format.Type != ""
	case "stop":
		p.stop(v)
		return true, len(c.Stop) > 0
	}
	return p.scalar(name, v)
}

// scalar takes in the members that are no structures.
func (p *chatParser) scalar(name string, v jsonview.Value) (known, says bool) {
	c := &p.chat
	switch name {
	case "n":
		c.N = int(min(max(p.whole(name, v), 1), 1<<20))
		return true, c.N > 1
	case "max_tokens":
		p.maxTokens = p.whole(name, v)
		return true, true
	case "max_completion_tokens":
		c.MaxTokens = p.whole(name, v)
		return true, true
	case "top_logprobs":
		c.TopLogprobs = p.whole(name, v)
		return true, c.TopLogprobs != 0
	case "logprobs":
		c.Logprobs = p.boolean(name, v)
		return true, c.Logprobs
	case "parallel_tool_calls":
		c.ParallelTools = p.boolean(name, v)
		return true, !c.ParallelTools
	case "store":
		return true, p.boolean(name, v)
	case "reasoning_effort":
		c.Effort = p.text(name, v)
		return true, true
	case "temperature":
		return true, p.number(name, v, &c.Temperature)
	case "top_p":
		return true, p.number(name, v, &c.TopP)
	case "frequency_penalty":
		return true, p.number(name, v, &c.FrequencyPenalty) && !isZero(v)
	case "presence_penalty":
		return true, p.number(name, v, &c.PresencePenalty) && !isZero(v)
	case "seed":
		p.whole(name, v)
		return true, p.number(name, v, &c.Seed)
	case "user":
		return true, p.string(name, v, &c.User)
	case "safety_identifier":
		return true, p.string(name, v, &c.SafetyIdentifier)
	case "service_tier":
		return true, p.string(name, v, &c.ServiceTier) && !v.Is("auto")
	case "modalities":
		c.Modalities = v
		return true, !p.onlyText(v)
	case "audio":
		c.Audio = v
		return true, true
	case "metadata", "logit_bias":
		if !v.IsObject() {
			p.fail(name, "an object")
		}
		return true, v.Len() > 0
	case "prediction", "prompt_cache_key", "prompt_cache_retention", "verbosity", "web_search_options":
		return true, true
	}
	return false, false
}

// finish settles what several members say together.
func (p *chatParser) finish() (*Chat, *Error) {
	c := &p.chat
	if c.MaxTokens == 0 {
		c.MaxTokens = p.maxTokens
	}
	c.MaxTokens = max(c.MaxTokens, 0) // some clients write "no bound" as -1
	c.Tools = append(c.Tools, p.functions...)
	if !p.seen["messages"] || len(c.Messages) == 0 {
		return nil, InvalidType("messages", "a list of at least one message")
	}
	c.tellApart()
	return c, nil
}

func (p *chatParser) whole(name string, v jsonview.Value) int64 {
	n, ok := v.Int()
	if !ok {
		p.fail(name, "an integer")
	}
	return n
}

func (p *chatParser) boolean(name string, v jsonview.Value) bool {
	if !v.IsBool() {
		p.fail(name, "a boolean")
	}
	return v.IsTrue()
}

func (p *chatParser) text(name string, v jsonview.Value) string {
	if !v.IsString() {
		p.fail(name, "a string")
	}
	return v.Text()
}

func (p *chatParser) string(name string, v jsonview.Value, to *jsonview.Value) bool {
	if !v.IsString() {
		p.fail(name, "a string")
	}
	*to = v
	return true
}

func (p *chatParser) number(name string, v jsonview.Value, to *jsonview.Value) bool {
	if !v.IsNumber() {
		p.fail(name, "a number")
	}
	*to = v
	return true
}

func isZero(v jsonview.Value) bool {
	f, ok := v.Float()
	return ok && f == 0
}

func (p *chatParser) onlyText(v jsonview.Value) bool {
	if !v.IsArray() {
		p.fail("modalities", "a list of strings")
	}
	for _, m := range v.Elements {
		if !m.Is("text") {
			return false
		}
	}
	return true
}

// stop reads the sequences that end the answer. Empty ones cannot.
func (p *chatParser) stop(v jsonview.Value) {
	if v.IsString() {
		p.addStop(v)
		return
	}
	if !v.IsArray() {
		p.fail("stop", "a string or a list of strings")
		return
	}
	for i, s := range v.Elements {
		if !s.IsString() {
			p.fail(at("stop", i), "a string")
			return
		}
		p.addStop(s)
	}
}

func (p *chatParser) addStop(s jsonview.Value) {
	if s.Inside() != "" {
		p.chat.Stop = append(p.chat.Stop, s)
	}
}

func (p *chatParser) format(v jsonview.Value) {
	f := &p.chat.Format
	switch kind := v.Get("type").Text(); kind {
	case "text":
	case "json_object":
		f.Type = kind
	case "json_schema":
		schema := v.Get("json_schema")
		*f = Format{
			Type: kind, Name: schema.Get("name").Text(), Description: optional(schema.Get("description")),
			Schema: optional(schema.Get("schema")), Strict: optional(schema.Get("strict")),
		}
		switch {
		case !schema.IsObject():
			p.fail("response_format.json_schema", "an object")
		case f.Schema.Exists() && !f.Schema.IsObject():
			p.fail("response_format.json_schema.schema", "an object")
		case f.Description.Exists() && !f.Description.IsString():
			p.fail("response_format.json_schema.description", "a string")
		case f.Strict.Exists() && !f.Strict.IsBool():
			p.fail("response_format.json_schema.strict", "a boolean")
		}
	default:
		p.fail("response_format.type", "one of text, json_object and json_schema")
	}
}

// optional is the value unless it is null.
func optional(v jsonview.Value) jsonview.Value {
	if v.IsNull() {
		return jsonview.Value{}
	}
	return v
}

// at is the path of an element.
func at(path string, i int) string { return path + "." + strconv.Itoa(i) }
