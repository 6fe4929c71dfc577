package accounting

import (
	"strings"

	"github.com/tidwall/gjson"
)

// What a chat format adds around the texts, by OpenAI's cookbook ("How to
// count tokens with tiktoken"): three tokens a message, one for a name, and
// three that open the answer. The models that reason are reported one lower.
// The cookbook gives no number for a repeated tool call; it counts like a
// message.
const (
	messageOverhead    = 3
	nameOverhead       = 1
	promptCallOverhead = 3
	replyPriming       = 3
	replyPrimingReason = 2
)

// promptDepth bounds the nesting that is followed; deeper parts count nothing.
const promptDepth = 8

// Prompt returns the tokens of a request: chat messages with their roles,
// names, tool calls and images, tool and output schemas, or the input of
// completions, embeddings and responses. Endpoint is the path or its last part
// ("chat/completions", "embeddings"); an unknown one is told by the members of
// the body. Not counted: audio, files, hosted tools, and whatever the provider
// adds by reference (previous_response_id, stored prompts).
func (e *Estimator) Prompt(model, endpoint string, requestBody []byte) int64 {
	p := prompt{tokenCounter: e.counter(model), model: bareModel(model)}
	body := gjson.Parse(view(requestBody))
	if !body.IsObject() {
		return 0
	}
	switch promptShape(endpoint, body) {
	case "chat":
		p.chat(body)
	case "responses":
		p.responses(body)
	case "completions":
		p.input(body.Get("prompt"))
		p.text(body.Get("suffix").String())
	default:
		p.input(body.Get("input"))
	}
	return p.total() + p.extra
}

func promptShape(endpoint string, body gjson.Result) string {
	switch {
	case strings.Contains(endpoint, "chat"):
		return "chat"
	case strings.Contains(endpoint, "embedding"):
		return "embeddings"
	case strings.Contains(endpoint, "response"):
		return "responses"
	case strings.Contains(endpoint, "completion"):
		return "completions"
	case body.Get("messages").Exists():
		return "chat"
	case body.Get("prompt").Exists():
		return "completions"
	case body.Get("input.0").IsObject() || body.Get("instructions").Exists():
		return "responses"
	default:
		return "embeddings"
	}
}

// prompt is one request being counted.
type prompt struct {
	*tokenCounter
	model string
	// extra holds the tokens that stand for no text; they must not take part
	// in the extrapolation of long texts.
	extra int64
}

func (p *prompt) chat(body gjson.Result) {
	body.Get("messages").ForEach(func(_, message gjson.Result) bool {
		p.message(message)
		return true
	})
	p.primeReply()
	p.tools(body.Get("tools"), body.Get("functions"))
	p.schema(body.Get("response_format.json_schema"))
}

func (p *prompt) primeReply() {
	for _, family := range []string{"gpt-5", "o1", "o3", "o4"} {
		if strings.HasPrefix(p.model, family) {
			p.extra += replyPrimingReason
			return
		}
	}
	p.extra += replyPriming
}

func (p *prompt) message(message gjson.Result) {
	p.extra += messageOverhead
	message.ForEach(func(key, value gjson.Result) bool {
		switch key.String() {
		case "role", "refusal", "reasoning_content":
			p.textOf(value)
		case "name":
			p.extra += nameOverhead
			p.textOf(value)
		case "content":
			p.content(value, 0)
		case "tool_calls":
			value.ForEach(func(_, call gjson.Result) bool {
				p.call(call.Get("function"))
				return true
			})
		case "function_call":
			p.call(value)
		}
		return true
	})
}

// call counts a tool call that the prompt repeats from an earlier answer.
func (p *prompt) call(function gjson.Result) {
	p.extra += promptCallOverhead
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
		p.extra += imageTokens(p.model, part)
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
func (p *prompt) responses(body gjson.Result) {
	if instructions := body.Get("instructions"); instructions.Type == gjson.String {
		p.extra += messageOverhead
		p.text("developer")
		p.text(instructions.Str)
	}
	switch input := body.Get("input"); {
	case input.Type == gjson.String:
		p.extra += messageOverhead
		p.text("user")
		p.text(input.Str)
	case input.IsArray():
		input.ForEach(func(_, item gjson.Result) bool {
			p.item(item)
			return true
		})
	}
	p.primeReply()
	p.tools(body.Get("tools"), gjson.Result{})
	p.schema(body.Get("text.format"))
}

func (p *prompt) item(item gjson.Result) {
	switch item.Get("type").String() {
	case "function_call":
		p.call(item)
	case "function_call_output":
		p.extra += messageOverhead
		p.content(item.Get("output"), 0)
	case "reasoning":
		p.content(item.Get("summary"), 0)
		p.content(item.Get("content"), 0)
	case "item_reference":
	default:
		p.extra += messageOverhead
		p.textOf(item.Get("role"))
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
