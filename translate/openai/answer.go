package openai

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// RepairAnswer appends a whole answer, a chat.completion, as strict SDKs accept it. If
// nothing has to be mended, or body is no JSON object with choices, body itself is
// returned and dst is not used. A whole answer has its usage whoever asked for it, so
// HideUsage has no effect.
func RepairAnswer(dst, body []byte, o Options) []byte {
	root, ok := jsonview.Parse(body)
	if !ok || !root.IsObject() {
		return body
	}
	v := readEnvelope(root)
	if !v.choices.IsArray() || v.isBare() || v.choices.Len() == 0 {
		return body
	}
	a := answer{o: &o, head: headOf(&v, &o)}
	from := len(dst)
	c := copyObject(dst, root)
	a.head.addMissing(&c, &v, answerObject)
	for name, m := range root.Members {
		switch value := a.head.value(name, answerObject); {
		case value != "":
			c.put(m, value)
		case name == "usage" && m.IsObject():
			c.open(m)
			c.out = appendUsage(c.out, m)
		case name == "choices":
			c.open(m)
			c.out = a.choices(c.out, m)
		default:
			c.keep(m)
		}
	}
	if a.native != "" {
		c.add("sluice", `{"native_finish_reason":`+a.native+`}`)
	}
	out := c.close()
	if string(out[from:]) == root.Raw {
		return body
	}
	return out
}

// answer is a whole answer that is being mended.
type answer struct {
	o      *Options
	head   head
	choice int    // the index of the choice under way
	calls  int    // its tool calls
	native string // the provider's own finish reason, a JSON string
}

// elements copies an array, each element by way of write.
func elements(dst []byte, array jsonview.Value, write func(dst []byte, i int, element jsonview.Value) []byte) []byte {
	from := 0
	for i, element := range array.Elements {
		start := element.At - array.At
		dst = append(dst, array.Raw[from:start]...)
		dst = write(dst, i, element)
		from = start + len(element.Raw)
	}
	return append(dst, array.Raw[from:]...)
}

func (a *answer) choices(dst []byte, v jsonview.Value) []byte {
	return elements(dst, v, func(dst []byte, i int, choice jsonview.Value) []byte {
		if !choice.IsObject() {
			return append(dst, choice.Raw...)
		}
		return a.one(dst, i, choice)
	})
}

// one appends one mended choice.
func (a *answer) one(dst []byte, position int, v jsonview.Value) []byte {
	index, finish, message := v.Get("index"), v.Get("finish_reason"), v.Get("message")
	a.choice, a.calls = position, message.Get("tool_calls").Len()
	if n, ok := index.Int(); ok {
		a.choice = int(n)
	}
	reason := a.reason(finish, message)
	if _, known := finishReason(finish.Text()); !known && finish.Inside() != "" && a.o.Extensions && !v.Get("native_finish_reason").Exists() {
		a.native = finish.Raw
	}
	c := copyObject(dst, v)
	if !index.Exists() {
		c.add("index", strconv.Itoa(a.choice))
	}
	for name, m := range v.Members {
		switch {
		case name == "index" && !m.IsNumber():
			c.put(m, strconv.Itoa(a.choice))
		case name == "finish_reason":
			c.put(m, `"`+reason+`"`)
		case name == "message" && m.IsObject():
			c.open(m)
			c.out = a.message(c.out, m, reason)
		default:
			c.keep(m)
		}
	}
	if !finish.Exists() {
		c.add("finish_reason", `"`+reason+`"`)
	}
	return c.close()
}

// reason is the finish reason of a choice whose answer is whole.
func (a *answer) reason(finish, message jsonview.Value) string {
	reason := reasonStop
	if !isEmpty(finish) && finish.IsString() {
		reason, _ = finishReason(finish.Text())
	}
	if reason != reasonStop {
		return reason
	}
	if a.calls > 0 {
		return reasonTools
	}
	if isEmpty(finish) && !isNothing(message.Get("function_call")) {
		return reasonFunction
	}
	return reason
}

// message appends a mended message.
func (a *answer) message(dst []byte, v jsonview.Value, reason string) []byte {
	content := v.Get("content")
	thoughts, words, parted := "", "", false
	switch {
	case content.IsArray():
		t, s := joinParts(content)
		thoughts, words, parted = string(t), string(s), true
	case a.o.ThinkTags && content.IsString():
		thoughts, words = divide(content.Inside())
		parted = words != content.Inside()
	}
	if !isNothing(v.Get("reasoning_content")) || !isNothing(v.Get("reasoning")) {
		thoughts = ""
	}
	c := copyObject(dst, v)
	if !v.Get("role").Exists() {
		c.add("role", `"assistant"`)
	}
	if !content.Exists() {
		c.add("content", "null")
	}
	for name, m := range v.Members {
		switch {
		case name == "role" && isEmpty(m):
			c.put(m, `"assistant"`)
		case name == "content" && parted:
			c.open(m)
			c.out = append(append(c.out, '"'), words...)
			c.out = append(c.out, '"')
			if thoughts != "" {
				c.add("reasoning_content", `"`+thoughts+`"`)
			}
		case name == "reasoning_content" && thoughts != "":
			c.drop(m)
		case name == "tool_calls" && m.IsArray():
			c.open(m)
			c.out = elements(c.out, m, func(dst []byte, i int, call jsonview.Value) []byte {
				if !call.IsObject() {
					return append(dst, call.Raw...)
				}
				return a.call(dst, i, call, reason)
			})
		default:
			c.keep(m)
		}
	}
	return c.close()
}

// call appends a mended tool call.
func (a *answer) call(dst []byte, k int, v jsonview.Value, reason string) []byte {
	id, kind := v.Get("id"), `"function"`
	if v.Get("custom").IsObject() {
		kind = `"custom"`
	}
	c := copyObject(dst, v)
	if !id.Exists() {
		c.add("id", a.mintedID(k))
	}
	if !v.Get("type").Exists() {
		c.add("type", kind)
	}
	for name, m := range v.Members {
		switch {
		case name == "id" && (isEmpty(m) || !m.IsString()):
			c.put(m, a.mintedID(k))
		case name == "type" && (isEmpty(m) || !m.IsString()):
			c.put(m, kind)
		case name == "function" && m.IsObject():
			c.open(m)
			c.out = wholeFunction(c.out, m, reason)
		default:
			c.keep(m)
		}
	}
	return c.close()
}

func (a *answer) mintedID(k int) string {
	return quoted(translate.MintCallID(a.head.id, a.choice, k))
}

// wholeFunction appends the function of a call. What a limit or a filter cut off is left
// as the half that it is.
func wholeFunction(dst []byte, v jsonview.Value, reason string) []byte {
	empty := `"{}"`
	if reason != reasonTools && reason != reasonStop {
		empty = `""`
	}
	c := copyObject(dst, v)
	for name, m := range v.Members {
		switch {
		case name != "arguments":
			c.keep(m)
		case m.IsNull() || m.IsString() && isSpace(m.Inside()) && reason == reasonTools:
			c.put(m, empty)
		case m.IsString():
			c.keep(m)
		default:
			c.open(m)
			c.out = append(c.out, '"')
			c.out = append(jsonview.AppendEscaped(c.out, m.Raw), '"')
		}
	}
	if !v.Get("arguments").Exists() {
		c.add("arguments", empty)
	}
	return c.close()
}
