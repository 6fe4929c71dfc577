package translate

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// ReshapeError gives the body of a provider's error answer the shape of OpenAI's,
// keeping the provider's message, type, param and code. A code may stay a number, as
// several OpenAI-compatible servers send it. Where there is none, a prompt that is too
// long or that a filter refused gets OpenAI's.
//
// A body that has the shape already, an error object with a message, is returned as it
// is, the same slice. Every other body gets a new one, always with a message: text is
// quoted when it is short and plain, HTML and what cannot be read are not.
func ReshapeError(status int, contentType string, body []byte) []byte {
	text := bytes.TrimPrefix(body, byteOrderMark)
	if media := mediaType(contentType); media == "text/event-stream" || looksLikeEvents(text) {
		text = firstEventData(text)
	}
	text = bytes.Trim(text, jsonSpace)
	if !isJSON(text) {
		return fault{message: plainMessage(contentType, text)}.appendJSON(nil, status)
	}
	root := gjson.ParseBytes(text)
	if root.IsArray() { // Gemini wraps errors of its streams
		root = root.Get("0")
	}
	if hasErrorShape(root) && utf8.ValidString(root.Raw) {
		if len(root.Raw) == len(bytes.Trim(body, jsonSpace)) {
			return body
		}
		return []byte(root.Raw)
	}
	var f fault
	f.read(root, 0)
	if root.IsObject() && root.Get("error").IsObject() && utf8.ValidString(root.Raw) {
		return f.complete([]byte(root.Raw), status)
	}
	return f.appendJSON(nil, status)
}

// complete gives an error object the members that clients need, and leaves what else
// the provider says in it.
func (f fault) complete(body []byte, status int) []byte {
	f.settle(status)
	inner := gjson.GetBytes(body, "error")
	var err error
	set := func(path string, value any) {
		if err == nil {
			body, err = sjson.SetBytes(body, path, value)
		}
	}
	set("error.message", f.message)
	set("error.type", f.kind)
	if !inner.Get("param").Exists() {
		set("error.param", nil)
	}
	if code := inner.Get("code"); code.Type == gjson.Null && (f.openAICode != "" || !code.Exists()) {
		set("error.code", orNull(f.openAICode))
	}
	if err != nil {
		return f.appendJSON(nil, status)
	}
	return body
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// settle makes up what the provider did not say.
func (f *fault) settle(status int) {
	if f.code == "" && status != http.StatusRequestEntityTooLarge { // which may be about any bytes
		switch KindOfError(status, "", f.kind, f.message) {
		case KindContextLength:
			f.openAICode = ContextLengthExceeded
		case KindContent:
			f.openAICode = ContentFiltered
		}
	}
	if f.message == "" {
		f.message = statusMessage(status)
	}
	if f.kind == "" {
		f.kind = TypeOfStatus(status)
	}
}

const jsonSpace = " \t\r\n" // RFC 8259 section 2

func isJSON(text []byte) bool {
	return valueEnd(text, skipSpace(text, 0), maxDepth) >= 0 && gjson.ValidBytes(text)
}

func hasErrorShape(root gjson.Result) bool {
	inner := root.Get("error")
	return root.IsObject() && inner.IsObject() && textOf(inner.Get("message")) != ""
}

// fault is what could be learned of a provider's error.
type fault struct {
	message, kind, param string
	code                 string // raw JSON, a string or a number; empty for null
	openAICode           string // where there is no code, OpenAI's, empty for null
}

func (f fault) appendJSON(dst []byte, status int) []byte {
	f.settle(status)
	dst = appendErrorUpToCode(dst, status, f.message, f.kind, f.param)
	if f.code == "" {
		dst = appendQuotedOrNull(dst, f.openAICode)
	} else {
		dst = append(dst, f.code...)
	}
	return append(dst, `}}`...)
}

// maxFaultLevels bounds how far into an error body a message is looked for.
const maxFaultLevels = 4

// messageKeys are the members in which providers put what went wrong, the most telling
// first: "error" may hold only a code word beside "error_description" (OAuth), and
// "title" only a headline beside "detail" (RFC 9457).
var messageKeys = [...]string{
	"message", "error_description", "error", "detail", "errors",
	"msg", "Message", "error_message", "error_msg", "title",
}

// read takes in an error in any of the shapes that providers use. What is found
// further in is more exact, so it is read first and never overwritten.
func (f *fault) read(v gjson.Result, level int) {
	switch {
	case level > maxFaultLevels:
	case v.Type == gjson.String:
		f.message = textOf(v)
	case v.IsArray():
		f.readList(v, level)
	case v.IsObject():
		for _, key := range messageKeys {
			if f.message != "" {
				break
			}
			f.read(v.Get(key), level+1)
		}
		f.readLabels(v)
	}
}

// readList joins the messages of a list, which are the fields that failed validation
// or the causes of one error. FastAPI's entries say where they found the mistake in
// "loc"; their "input" repeats the request, so it is not read.
func (f *fault) readList(list gjson.Result, level int) {
	var messages []string
	list.ForEach(func(_, entry gjson.Result) bool {
		var one fault
		one.read(entry, level+1)
		if place := placeOf(entry.Get("loc")); place != "" && one.message != "" {
			messages = append(messages, place+": "+one.message)
			return len(messages) < maxListed
		}
		if one.message != "" {
			messages = append(messages, one.message)
			f.fill(one)
		}
		return len(messages) < maxListed
	})
	f.message = strings.Join(messages, "; ")
}

// maxListed bounds the entries of a list that a message is made of.
const maxListed = 16

// placeOf spells FastAPI's ["body","messages",0,"role"] as body.messages.0.role.
func placeOf(loc gjson.Result) string {
	if !loc.IsArray() {
		return ""
	}
	var steps []string
	loc.ForEach(func(_, step gjson.Result) bool {
		steps = append(steps, step.String())
		return len(steps) < maxListed
	})
	return strings.Join(steps, ".")
}

func (f *fault) readLabels(v gjson.Result) {
	labels := fault{param: textOf(v.Get("param")), kind: textOf(v.Get("type"))}
	if labels.kind == "error" { // what kind of object this is, not what kind of error
		labels.kind = ""
	}
	for _, key := range [...]string{"code", "error_code", "error_type"} {
		if labels.code == "" {
			labels.code = codeOf(v.Get(key))
		}
	}
	// Beside a description, "error" is the code word.
	if word := v.Get("error"); labels.code == "" && textOf(word) != "" && textOf(word) != f.message {
		labels.code = codeOf(word)
	}
	f.fill(labels)
}

// fill takes from other what is not known yet, except its message.
func (f *fault) fill(other fault) {
	if f.kind == "" {
		f.kind = other.kind
	}
	if f.param == "" {
		f.param = other.param
	}
	if f.code == "" {
		f.code = other.code
	}
}

func codeOf(v gjson.Result) string {
	switch {
	case v.Type == gjson.Number:
		return v.Raw
	case textOf(v) != "":
		return string(AppendQuoted(nil, textOf(v)))
	}
	return ""
}

// textOf is a string's value without surrounding space, empty for all other types.
func textOf(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return strings.TrimSpace(v.Str)
}

// maxPlainMessage bounds in bytes the text that is quoted from a body without structure.
const maxPlainMessage = 512

// plainMessage is the text of a body that is not JSON, if it is fit to be shown.
func plainMessage(contentType string, text []byte) string {
	if media := mediaType(contentType); media != "" && media != "text/plain" {
		return ""
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || bytes.IndexByte([]byte("<{["), text[0]) >= 0 || !utf8.Valid(text) {
		return ""
	}
	for _, r := range string(text) {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return ""
		}
	}
	return strings.Join(strings.Fields(cutText(string(text), maxPlainMessage)), " ")
}

// cutText keeps at most limit bytes of s and no half character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func statusMessage(status int) string {
	message := "The provider answered with status " + strconv.Itoa(status)
	if name := http.StatusText(status); name != "" {
		message += " (" + name + ")"
	}
	return message + "."
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// looksLikeEvents tells whether a body is an event stream, which some providers send
// with an error status and any content type.
func looksLikeEvents(text []byte) bool {
	for _, field := range [...]string{"data:", "event:", "id:"} {
		if bytes.HasPrefix(text, []byte(field)) {
			return true
		}
	}
	return false
}

// firstEventData is the first data line of an event stream that holds an object. A
// stream without one is returned whole.
func firstEventData(text []byte) []byte {
	for line := range bytes.Lines(text) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if data = bytes.TrimSpace(data); ok && bytes.HasPrefix(data, []byte("{")) {
			return data
		}
	}
	return text
}
