package accounting_test

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// nativeRequests turn recorded requests of other dialects into chat completions that mean
// the same: what a client of sluice would have sent.
var nativeRequests = map[string]func(gjson.Result) []byte{
	"anthropic-messages":    fromAnthropic,
	"bedrock-invoke":        fromAnthropic,
	"bedrock-converse":      fromConverse,
	"bedrock-converse-json": fromConverse,
	"gemini-generate":       fromGemini,
	"ollama-chat":           func(r gjson.Result) []byte { return withArgumentsAsText(r) },
	"cohere-v2":             func(r gjson.Result) []byte { return withArgumentsAsText(r) },
}

type object = map[string]any

// chatRequest collects the messages of a chat request.
type chatRequest struct {
	messages []object
	tools    []object
	rest     object
}

func (c *chatRequest) bytes() []byte {
	body := object{"messages": c.messages, "stream": true}
	if len(c.tools) > 0 {
		body["tools"] = c.tools
	}
	for name, value := range c.rest {
		body[name] = value
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *chatRequest) tool(name, description, schema gjson.Result) {
	f := object{"name": name.String()}
	if description.Exists() {
		f["description"] = description.String()
	}
	if schema.Exists() {
		f["parameters"] = json.RawMessage(schema.Raw)
	}
	c.tools = append(c.tools, object{"type": "function", "function": f})
}

// turn adds a message of parts, with the tool calls and the results that were among them.
func (c *chatRequest) turn(role string, parts, calls, results []object) {
	c.messages = append(c.messages, results...)
	if len(parts) == 0 && len(calls) == 0 {
		return
	}
	m := object{"role": role}
	switch {
	case len(parts) == 1 && parts[0]["type"] == "text":
		m["content"] = parts[0]["text"]
	case len(parts) > 0:
		m["content"] = parts
	}
	if len(calls) > 0 {
		m["tool_calls"] = calls
	}
	c.messages = append(c.messages, m)
}

// thinking passes on what Anthropic calls so; a client of sluice can send it too.
func (c *chatRequest) thinking(value gjson.Result) {
	if value.IsObject() {
		c.rest["thinking"] = json.RawMessage(value.Raw)
	}
}

func textPart(text string) object { return object{"type": "text", "text": text} }

func imagePart(media, data string) object {
	return object{"type": "image_url", "image_url": object{"url": "data:" + media + ";base64," + data}}
}

func callOf(id, name, arguments string) object {
	return object{"id": id, "type": "function", "function": object{"name": name, "arguments": arguments}}
}

func resultOf(id string, content string) object {
	return object{"role": "tool", "tool_call_id": id, "content": content}
}

// joined is the text of a string or of an array of parts.
func joined(v gjson.Result) string {
	if v.Type == gjson.String {
		return v.Str
	}
	var b strings.Builder
	for _, part := range v.Array() {
		switch {
		case part.Get("json").Exists():
			b.WriteString(part.Get("json").Raw)
		default:
			b.WriteString(part.Get("text").String())
		}
	}
	return b.String()
}

func fromAnthropic(r gjson.Result) []byte {
	c := chatRequest{rest: object{}}
	if n := r.Get("max_tokens"); n.Exists() {
		c.rest["max_completion_tokens"] = n.Int()
	}
	c.thinking(r.Get("thinking"))
	if system := joined(r.Get("system")); system != "" {
		c.turn("system", []object{textPart(system)}, nil, nil)
	}
	for _, m := range r.Get("messages").Array() {
		var parts, calls, results []object
		content := m.Get("content")
		if content.Type == gjson.String {
			parts = append(parts, textPart(content.Str))
		}
		for _, block := range content.Array() {
			switch block.Get("type").String() {
			case "text":
				parts = append(parts, textPart(block.Get("text").String()))
			case "image":
				source := block.Get("source")
				parts = append(parts, imagePart(source.Get("media_type").String(), source.Get("data").String()))
			case "tool_use":
				calls = append(calls, callOf(block.Get("id").String(), block.Get("name").String(), block.Get("input").Raw))
			case "tool_result":
				results = append(results, resultOf(block.Get("tool_use_id").String(), joined(block.Get("content"))))
			}
		}
		c.turn(m.Get("role").String(), parts, calls, results)
	}
	for _, tool := range r.Get("tools").Array() {
		c.tool(tool.Get("name"), tool.Get("description"), tool.Get("input_schema"))
	}
	return c.bytes()
}

func fromConverse(r gjson.Result) []byte {
	c := chatRequest{rest: object{}}
	if n := r.Get("inferenceConfig.maxTokens"); n.Exists() {
		c.rest["max_completion_tokens"] = n.Int()
	}
	for _, name := range []string{"thinking", "reasoning_config"} {
		c.thinking(r.Get("additionalModelRequestFields." + name))
	}
	if system := joined(r.Get("system")); system != "" {
		c.turn("system", []object{textPart(system)}, nil, nil)
	}
	for _, m := range r.Get("messages").Array() {
		var parts, calls, results []object
		for _, block := range m.Get("content").Array() {
			use, result, image := block.Get("toolUse"), block.Get("toolResult"), block.Get("image")
			switch {
			case block.Get("text").Exists():
				parts = append(parts, textPart(block.Get("text").String()))
			case use.Exists():
				calls = append(calls, callOf(use.Get("toolUseId").String(), use.Get("name").String(), use.Get("input").Raw))
			case result.Exists():
				results = append(results, resultOf(result.Get("toolUseId").String(), joined(result.Get("content"))))
			case image.Exists():
				parts = append(parts, imagePart("image/"+image.Get("format").String(), image.Get("source.bytes").String()))
			}
		}
		c.turn(m.Get("role").String(), parts, calls, results)
	}
	for _, tool := range r.Get("toolConfig.tools").Array() {
		spec := tool.Get("toolSpec")
		if spec.Exists() {
			c.tool(spec.Get("name"), spec.Get("description"), spec.Get("inputSchema.json"))
		}
	}
	if schema := r.Get("outputConfig.textFormat.structure.jsonSchema"); schema.Exists() {
		c.rest["response_format"] = object{"type": "json_schema", "json_schema": object{
			"name": schema.Get("name").String(), "schema": json.RawMessage(schema.Get("schema").String()),
		}}
	}
	return c.bytes()
}

func fromGemini(r gjson.Result) []byte {
	c := chatRequest{rest: object{}}
	config := r.Get("generationConfig")
	if n := config.Get("maxOutputTokens"); n.Exists() {
		c.rest["max_completion_tokens"] = n.Int()
	}
	for _, name := range []string{"systemInstruction", "system_instruction"} {
		if system := joined(r.Get(name + ".parts")); system != "" {
			c.turn("system", []object{textPart(system)}, nil, nil)
		}
	}
	for _, m := range r.Get("contents").Array() {
		var parts, calls, results []object
		for _, part := range m.Get("parts").Array() {
			call, result, data := part.Get("functionCall"), part.Get("functionResponse"), part.Get("inlineData")
			switch {
			case part.Get("text").Exists():
				parts = append(parts, textPart(part.Get("text").String()))
			case call.Exists():
				calls = append(calls, callOf(call.Get("name").String(), call.Get("name").String(), call.Get("args").Raw))
			case result.Exists():
				results = append(results, resultOf(result.Get("name").String(), result.Get("response").Raw))
			case data.Exists():
				parts = append(parts, imagePart(data.Get("mimeType").String(), data.Get("data").String()))
			}
		}
		role := "user"
		if m.Get("role").String() == "model" {
			role = "assistant"
		}
		c.turn(role, parts, calls, results)
	}
	for _, tool := range r.Get("tools").Array() {
		for _, f := range tool.Get("functionDeclarations").Array() {
			schema := f.Get("parameters")
			if !schema.Exists() {
				schema = f.Get("parametersJsonSchema")
			}
			c.tool(f.Get("name"), f.Get("description"), schema)
		}
	}
	for _, name := range []string{"responseSchema", "responseJsonSchema"} {
		if schema := config.Get(name); schema.Exists() {
			c.rest["response_format"] = object{"type": "json_schema", "json_schema": object{"schema": json.RawMessage(schema.Raw)}}
		}
	}
	return c.bytes()
}

// withArgumentsAsText rewrites the requests of Ollama and Cohere, which are chat
// completions but for the arguments of calls, the images, and where options stand.
func withArgumentsAsText(r gjson.Result) []byte {
	c := chatRequest{rest: object{}}
	for _, name := range []string{"max_tokens", "options.num_predict"} {
		if n := r.Get(name); n.Int() > 0 {
			c.rest["max_completion_tokens"] = n.Int()
		}
	}
	if schema := r.Get("format"); schema.IsObject() {
		c.rest["response_format"] = object{"type": "json_schema", "json_schema": object{"schema": json.RawMessage(schema.Raw)}}
	}
	for _, m := range r.Get("messages").Array() {
		message := object{}
		m.ForEach(func(key, value gjson.Result) bool {
			message[key.String()] = json.RawMessage(value.Raw)
			return true
		})
		var calls []object
		for _, call := range m.Get("tool_calls").Array() {
			arguments := call.Get("function.arguments")
			text := arguments.Raw
			if arguments.Type == gjson.String {
				text = arguments.Str
			}
			calls = append(calls, callOf(call.Get("id").String(), call.Get("function.name").String(), text))
		}
		if calls != nil {
			message["tool_calls"] = calls
		}
		if plan := m.Get("tool_plan"); plan.String() != "" {
			message["content"] = plan.String()
			delete(message, "tool_plan")
		}
		if m.Get("role").String() == "tool" && m.Get("content").IsArray() {
			var b strings.Builder
			for _, part := range m.Get("content").Array() {
				b.WriteString(part.Get("document.data").String() + part.Get("text").String())
			}
			message["content"] = b.String()
		}
		if images := m.Get("images").Array(); len(images) > 0 {
			parts := []object{textPart(m.Get("content").String())}
			for _, data := range images {
				parts = append(parts, imagePart("image/png", data.String()))
			}
			message["content"] = parts
			delete(message, "images")
		}
		c.messages = append(c.messages, message)
	}
	for _, tool := range r.Get("tools").Array() {
		f := tool.Get("function")
		c.tool(f.Get("name"), f.Get("description"), f.Get("parameters"))
	}
	return c.bytes()
}
