package translate

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

func (p *chatParser) messages(v jsonview.Value) {
	if !v.IsArray() {
		p.fail("messages", "a list of at least one message")
		return
	}
	for i, m := range v.Elements {
		if p.message(m, at("messages", i)); p.failed != nil {
			return
		}
	}
}

var roles = map[string]Role{
	"system": RoleSystem, "developer": RoleSystem, "user": RoleUser,
	"assistant": RoleAssistant, "tool": RoleTool, "function": RoleTool,
}

func (p *chatParser) message(v jsonview.Value, path string) {
	m := Message{Path: path}
	var content, refusal, calls, call jsonview.Value
	role := v.Get("role").Text()
	if m.Role = roles[role]; m.Role == "" {
		p.fail(path+".role", "one of system, developer, user, assistant and tool")
		return
	}
	for name, member := range v.Members {
		if member.IsNull() {
			continue
		}
		switch name {
		case "role", "audio", "annotations", "index", "finish_reason":
			// What an SDK returns of an earlier answer beside its text has no place
			// in a request.
		case "content":
			content = member
		case "refusal":
			refusal = member
		case "name":
			m.Name = p.text(path+".name", member)
		case "tool_call_id":
			m.CallID = p.text(path+".tool_call_id", member)
		case "tool_calls":
			calls = member
		case "function_call":
			call = member
		case "reasoning_content", "reasoning":
			if member.IsString() && member.Inside() != "" {
				m.Reasoning = member
			}
		case "extra_content":
			m.Extra = member
		case "cache_control":
			m.CacheControl = member
		case "prefix", "partial":
			m.Prefix = member.IsTrue()
		default:
			p.strayed(path, name)
		}
	}
	m.Parts = p.parts(content, refusal, path)
	m.Calls = p.allCalls(calls, call, path)
	if role == "function" && m.CallID == "" {
		if m.CallID = m.Name; m.Name == "" {
			p.fail(path+".name", "the name of a function")
		}
	}
	if m.Role == RoleTool && m.CallID == "" {
		p.fail(path+".tool_call_id", "the id of a tool call")
	}
	p.chat.Messages = append(p.chat.Messages, m)
}

// strayed notes a member that OpenAI does not have.
func (p *chatParser) strayed(path, name string) {
	if len(p.chat.stray) >= maxStray {
		return
	}
	for _, known := range p.chat.stray {
		if strings.HasSuffix(known, "."+name) {
			return
		}
	}
	p.chat.stray = append(p.chat.stray, path+"."+name)
}

// parts puts a message's content together with the refusal that stands beside it in
// what SDKs return of an answer.
func (p *chatParser) parts(content, refusal jsonview.Value, path string) []Part {
	var parts []Part
	if content.Exists() {
		parts = p.content(content, path+".content")
	}
	if refusal.Exists() && p.text(path+".refusal", refusal) != "" {
		parts = append(parts, Part{Kind: PartRefusal, Text: refusal, Path: path + ".refusal"})
	}
	return parts
}

// allCalls reads an assistant's calls, and function_call that tool_calls replaced.
func (p *chatParser) allCalls(calls, legacy jsonview.Value, path string) []AssistantCall {
	var all []AssistantCall
	if calls.Exists() {
		all = p.calls(calls, path+".tool_calls")
	}
	if legacy.Exists() {
		where := path + ".function_call"
		all = append(all, p.call(jsonview.Value{}, legacy, where, where))
	}
	return all
}

// calls reads an assistant's tool calls.
func (p *chatParser) calls(v jsonview.Value, path string) []AssistantCall {
	if !v.IsArray() {
		p.fail(path, "a list of tool calls")
		return nil
	}
	var all []AssistantCall
	for i, call := range v.Elements {
		where := at(path, i)
		if kind := call.Get("type"); kind.Exists() && !kind.IsNull() && !kind.Is("function") {
			p.refuse(where+".type", "only calls of functions can be translated for this model's provider")
			return nil
		}
		all = append(all, p.call(call, call.Get("function"), where, where+".function"))
	}
	return all
}

// call reads one call; function is the part of it that is about the function.
func (p *chatParser) call(call, function jsonview.Value, path, functionPath string) AssistantCall {
	c := AssistantCall{
		ID: call.Get("id").Text(), Name: function.Get("name").Text(),
		Extra: optional(call.Get("extra_content")), Path: path,
	}
	switch arguments := function.Get("arguments"); {
	case arguments.IsString():
		c.Arguments = arguments.Text()
	case arguments.IsObject(): // some clients forget to write it as text
		c.Arguments = arguments.Raw
	case arguments.Exists() && !arguments.IsNull():
		p.fail(functionPath+".arguments", "a string")
	}
	if c.Name == "" {
		p.fail(functionPath+".name", "a string that is not empty")
	}
	if c.ID == "" { // function_call, which had no ids
		c.ID = c.Name
	}
	return c
}

// content reads a message's content: a string, or a list of parts.
func (p *chatParser) content(v jsonview.Value, path string) []Part {
	if v.IsString() {
		if v.Inside() == "" {
			return nil
		}
		return []Part{{Kind: PartText, Text: v, Path: path}}
	}
	if !v.IsArray() {
		p.fail(path, "a string or a list of parts")
		return nil
	}
	var parts []Part
	for i, part := range v.Elements {
		where := at(path, i)
		if part.IsString() { // some clients write bare strings
			part = jsonview.Value{Raw: `{"type":"text","text":` + part.Raw + `}`}
		}
		one := Part{Path: where, CacheControl: optional(part.Get("cache_control"))}
		switch kind := part.Get("type").Text(); kind {
		case "text", "refusal":
			if one.Text = part.Get(kind); !one.Text.IsString() {
				p.fail(where+"."+kind, "a string")
				return nil
			}
			if one.Text.Inside() == "" {
				continue
			}
			if kind == "refusal" {
				one.Kind = PartRefusal
			}
		case "image_url":
			p.image(part, &one)
		case "input_audio":
			p.audio(part, &one)
		case "file":
			p.file(part, &one)
		default:
			p.fail(where+".type", "one of text, image_url, input_audio, file and refusal")
		}
		if p.failed != nil {
			return nil
		}
		parts = append(parts, one)
	}
	return parts
}

func (p *chatParser) image(part jsonview.Value, to *Part) {
	to.Kind = PartImage
	image := part.Get("image_url")
	url := image
	if image.IsObject() {
		url, to.Detail = image.Get("url"), image.Get("detail").Text()
	}
	if !url.IsString() || url.Inside() == "" {
		p.fail(to.Path+".image_url.url", "a URL")
		return
	}
	p.dataOrURL(url.Text(), to, to.Path+".image_url.url")
}

// dataOrURL reads a data URI (RFC 2397) with base64 data, or keeps any other URL.
func (p *chatParser) dataOrURL(url string, to *Part, path string) {
	rest, isData := cutPrefixFold(url, "data:")
	if !isData {
		to.URL = url
		return
	}
	head, data, ok := strings.Cut(rest, ",")
	head = strings.ToLower(head)
	media, base64 := strings.CutSuffix(head, ";base64")
	if !ok || !base64 || data == "" {
		p.fail(path, "an http(s) URL or a data URI with base64 data")
		return
	}
	if media, _, _ = strings.Cut(media, ";"); media == "" {
		media = "text/plain" // RFC 2397 section 2
	}
	to.Media, to.Data = media, data
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func (p *chatParser) audio(part jsonview.Value, to *Part) {
	to.Kind = PartAudio
	audio := part.Get("input_audio")
	format, data := audio.Get("format").Text(), audio.Get("data").Text()
	if rest, ok := cutPrefixFold(data, "data:"); ok {
		_, data, _ = strings.Cut(rest, ",")
	}
	if format == "" || data == "" {
		p.fail(to.Path+".input_audio", "an object with data and format")
		return
	}
	to.Media, to.Data = "audio/"+strings.ToLower(format), data
}

func (p *chatParser) file(part jsonview.Value, to *Part) {
	to.Kind = PartFile
	file := part.Get("file")
	to.FileID, to.FileName = file.Get("file_id").Text(), file.Get("filename").Text()
	data := file.Get("file_data").Text()
	switch {
	case data != "":
		if _, isData := cutPrefixFold(data, "data:"); !isData { // bare base64, of a PDF as OpenAI takes it
			to.Media, to.Data = "application/pdf", data
			return
		}
		p.dataOrURL(data, to, to.Path+".file.file_data")
	case to.FileID == "":
		p.fail(to.Path+".file", "an object with file_data or file_id")
	}
}
