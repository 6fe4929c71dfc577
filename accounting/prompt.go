package accounting

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// promptDepth bounds the nesting that is followed; deeper parts count nothing.
const promptDepth = 8

// Prompt returns the tokens of a request: chat messages with their roles,
// names, tool calls and images, tool and output schemas, or the input of
// completions, embeddings and responses. Endpoint is the path or its last part
// ("chat/completions", "embeddings"); an unknown one is told by the members of
// the body. Of a long prompt, parts are tokenised and the rest is taken to have
// the same density. Not counted: audio, files, hosted tools, and whatever the
// provider adds by reference (previous_response_id, stored prompts).
func (e *Estimator) Prompt(model, endpoint string, requestBody []byte) int64 {
	c := e.counter(model)
	c.sampling = samplingOfPrompt(requestBody, e.budget())
	p := readPrompt(c, model, endpoint, requestBody)
	return whole(c.total() + p.extra)
}

// textSink takes the texts of a prompt in.
type textSink interface{ text(s string) }

// readPrompt goes through a request. The texts go to a sink, the rest is added up.
func readPrompt(to textSink, model, endpoint string, requestBody []byte) *prompt {
	f, _ := familyOf(model)
	p := &prompt{textSink: to, family: f, model: bareModel(model)}
	body := membersOf(requestBody)
	switch promptShape(endpoint, body) {
	case "chat":
		p.chat(body)
	case "responses":
		p.responses(body)
	case "completions":
		p.input(body["prompt"])
		p.text(body["suffix"].String())
	default:
		p.input(body["input"])
	}
	p.choices = body.choices()
	p.limit = body.outputLimit() * p.choices
	return p
}

// members are those of a request's top level. Looking each up by itself would go through
// a long prompt again and again.
type members map[string]gjson.Result

// membersOf returns the members of a JSON object, none for anything else. Of a repeated
// one the first counts. The values borrow from object.
func membersOf(object []byte) members {
	all := members{}
	body := gjson.Parse(view(object))
	if !body.IsObject() {
		return all
	}
	body.ForEach(func(key, value gjson.Result) bool {
		if _, there := all[key.Str]; !there && len(all) < maxMembers {
			all[key.Str] = value
		}
		return true
	})
	return all
}

// maxMembers bounds the members of a request that are looked at.
const maxMembers = 256

func promptShape(endpoint string, body members) string {
	switch {
	case strings.Contains(endpoint, "chat"):
		return "chat"
	case strings.Contains(endpoint, "embedding"):
		return "embeddings"
	case strings.Contains(endpoint, "response"):
		return "responses"
	case strings.Contains(endpoint, "completion"):
		return "completions"
	case body["messages"].Exists():
		return "chat"
	case body["prompt"].Exists():
		return "completions"
	case body["input"].Get("0").IsObject() || body["instructions"].Exists():
		return "responses"
	default:
		return "embeddings"
	}
}

// prompt is one request being counted.
type prompt struct {
	textSink
	family *modelFamily
	model  string
	// extra holds the tokens that stand for no text; they must not take part
	// in the extrapolation of long texts.
	extra float64
	// formatted says that the answer has a form to keep to: there are tools or a schema.
	formatted bool
	// limit is the most that the answer may have, all choices together; 0 for no limit.
	limit   int64
	choices int64 // how many answers are asked for
}

func (p *prompt) chat(body members) {
	messages := body["messages"].Array()
	last := lastQuestion(messages)
	for i, message := range messages {
		p.message(message, i > last)
	}
	p.open(body)
	p.tools(body["tools"], body["functions"])
	p.schema(body["response_format"].Get("json_schema"))
}

// open adds what a chat has once.
func (p *prompt) open(body members) {
	p.extra += p.family.chat.opening
	if p.family.chat.thinking > 0 && asksToThink(body) {
		p.extra += p.family.chat.thinking
	}
}

// asksToThink reads the ways in which clients ask for reasoning: OpenAI's, Anthropic's
// and OpenRouter's.
func asksToThink(body members) bool {
	effort, thinking, reasoning := body["reasoning_effort"].String(), body["thinking"], body["reasoning"]
	return effort != "" && effort != "none" ||
		thinking.IsObject() && thinking.Get("type").String() != "disabled" ||
		reasoning.IsObject() && reasoning.Get("enabled").Raw != "false"
}

// lastQuestion is the position of the last message of the user. What the model thought
// before it is left out of the prompt by the chat formats; thoughts among the tool calls
// that follow it stay.
func lastQuestion(messages []gjson.Result) int {
	for i, message := range slices.Backward(messages) {
		if message.Get("role").String() == "user" {
			return i
		}
	}
	return -1
}

// message counts a message; thoughts says whether those in it are part of the prompt.
func (p *prompt) message(message gjson.Result, thoughts bool) {
	p.role(message.Get("role").String())
	message.ForEach(func(key, value gjson.Result) bool {
		switch key.String() {
		case "refusal":
			p.textOf(value)
		case "reasoning_content":
			if thoughts {
				p.textOf(value)
			}
		case "name":
			if value.Type == gjson.String {
				p.extra += p.family.chat.name
				p.text(value.Str)
			}
		case "content":
			p.content(value, 0)
		case "tool_calls":
			for _, call := range value.Array() {
				p.call(call.Get("function"))
			}
		case "function_call":
			p.call(value)
		}
		return true
	})
}

// role adds the marks of a message, the name of its role among them.
func (p *prompt) role(name string) {
	switch name {
	case "system", "developer":
		p.extra += p.family.chat.system
	case "assistant":
		p.extra += p.family.chat.assistant
	case "tool", "function":
		p.extra += p.family.chat.tool
	default:
		p.extra += p.family.chat.user
	}
}

// call counts a tool call that the prompt repeats from an earlier answer.
func (p *prompt) call(function gjson.Result) {
	if !function.IsObject() {
		return
	}
	p.extra += p.family.promptCall()
	p.textOf(function.Get("name"))
	p.textOf(function.Get("arguments"))
}

// content counts a text or an array of parts.
func (p *prompt) content(value gjson.Result, depth int) {
	switch {
	case value.Type == gjson.String:
		p.text(value.Str)
	case value.IsArray() && depth < promptDepth:
		value.ForEach(func(_, part gjson.Result) bool {
			p.part(part, depth+1)
			return true
		})
	}
}

func (p *prompt) part(part gjson.Result, depth int) {
	if part.Type == gjson.String {
		p.text(part.Str)
		return
	}
	switch part.Get("type").String() {
	case "image_url", "input_image":
		p.extra += float64(imageTokens(p.family.images, p.model, part))
	case "refusal":
		p.textOf(part.Get("refusal"))
	case "input_audio", "file", "input_file":
	default: // text, input_text, output_text, summary_text, reasoning_text
		p.textOf(part.Get("text"))
		p.content(part.Get("content"), depth)
	}
}

func (p *prompt) textOf(value gjson.Result) {
	if value.Type == gjson.String {
		p.text(value.Str)
	}
}

// responses counts a request of the Responses API, whose items stand for the
// messages of a chat.
func (p *prompt) responses(body members) {
	if instructions := body["instructions"]; instructions.Type == gjson.String {
		p.role("developer")
		p.text(instructions.Str)
	}
	switch input := body["input"]; {
	case input.Type == gjson.String:
		p.role("user")
		p.text(input.Str)
	case input.IsArray():
		input.ForEach(func(_, item gjson.Result) bool {
			p.item(item)
			return true
		})
	}
	p.open(body)
	p.tools(body["tools"])
	p.schema(body["text"].Get("format"))
}

func (p *prompt) item(item gjson.Result) {
	switch item.Get("type").String() {
	case "function_call":
		p.call(item)
	case "function_call_output":
		p.role("tool")
		p.content(item.Get("output"), 0)
	case "reasoning":
		p.content(item.Get("summary"), 0)
		p.content(item.Get("content"), 0)
	case "item_reference":
	default:
		p.role(item.Get("role").String())
		p.content(item.Get("content"), 0)
	}
}

// input counts what embeddings and completions take: a text, texts, tokens, or
// arrays of tokens.
func (p *prompt) input(value gjson.Result) { p.inputAt(value, 0) }

func (p *prompt) inputAt(value gjson.Result, depth int) {
	switch {
	case value.Type == gjson.String:
		p.text(value.Str)
	case value.Type == gjson.Number:
		p.extra++
	case value.IsArray() && depth < promptDepth:
		value.ForEach(func(_, entry gjson.Result) bool {
			p.inputAt(entry, depth+1)
			return true
		})
	case value.IsObject(): // a part, as some embedding servers take them
		p.part(value, depth+1)
	}
}
