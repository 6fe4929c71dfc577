package translate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// AnswerWriter is a Sink that collects a whole answer and writes it as one
// chat.completion.
type AnswerWriter struct {
	o       WriterOptions
	is      identity
	choices []*answerChoice
	counted counted
	failed  *Error
}

// answerChoice is a choice under construction. Texts are the insides of JSON strings.
type answerChoice struct {
	index                    int
	text, reasoning, refusal []byte
	images                   [][]byte
	logprobs                 string
	calls                    []answerCall
	vendor, carry            string
	reason, native           string
}

type answerCall struct {
	Call
	arguments []byte
}

// NewAnswerWriter makes a writer for one exchange. h has what the answer says of itself
// where the provider says nothing.
func NewAnswerWriter(h Head, o WriterOptions) *AnswerWriter {
	return &AnswerWriter{o: o, is: identity{Head: h}}
}

// Append appends the chat.completion, its choices in the order of their indices. A choice
// without a finish reason has null there.
func (w *AnswerWriter) Append(dst []byte) []byte {
	slices.SortFunc(w.choices, func(a, b *answerChoice) int { return a.index - b.index })
	h := w.is.shown(w.o.Model)
	dst = append(dst, `{"id":`...)
	dst = AppendQuoted(dst, h.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, h.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = AppendQuoted(dst, h.Model)
	dst = append(dst, `,"choices":[`...)
	for i, c := range w.choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = w.appendChoice(dst, c)
	}
	dst = append(dst, ']')
	if w.counted.usage.Any() {
		dst = append(dst, `,"usage":`...)
		dst = appendUsage(dst, w.counted.usage)
	}
	if native := w.native(); native != "" {
		dst = appendNative(dst, native)
	}
	return append(dst, '}')
}

// native is the provider's own finish reason of the first choice that has one.
func (w *AnswerWriter) native() string {
	for _, c := range w.choices {
		if c.native != "" && w.o.Extensions {
			return c.native
		}
	}
	return ""
}

func (w *AnswerWriter) appendChoice(dst []byte, c *answerChoice) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(c.index), 10)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	dst = appendText(dst, c.text, len(c.calls) == 0 && len(c.refusal) == 0)
	dst = append(dst, `,"refusal":`...)
	dst = appendText(dst, c.refusal, false)
	if len(c.reasoning) > 0 {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendText(dst, c.reasoning, true)
	}
	dst = w.appendCalls(dst, c)
	for i, url := range c.images {
		dst = append(dst, [...]string{`,"images":[`, `,`}[min(i, 1)]...)
		dst = appendImage(dst, i, string(url))
	}
	if len(c.images) > 0 {
		dst = append(dst, ']')
	}
	if c.carry != "" && w.o.Extensions {
		dst = append(dst, ',')
		dst = appendExtra(dst, c.vendor, c.carry)
	}
	dst = append(dst, `},"logprobs":`...)
	if c.logprobs == "" {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, c.logprobs...)
	}
	dst = append(dst, `,"finish_reason":`...)
	reason := c.reason
	if reason == FinishStop && len(c.calls) > 0 {
		reason = FinishTools
	}
	return append(appendQuotedOrNull(dst, reason), '}')
}

// appendText appends a JSON string from its inside. Empty is null unless it must be a
// string.
func appendText(dst, inside []byte, must bool) []byte {
	if len(inside) == 0 && !must {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = append(dst, inside...)
	return append(dst, '"')
}

func (w *AnswerWriter) appendCalls(dst []byte, c *answerChoice) []byte {
	for i, call := range c.calls {
		dst = append(dst, [...]string{`,"tool_calls":[`, `,`}[min(i, 1)]...)
		id := call.ID
		if id == "" {
			id = MintCallID(w.is.ID, c.index, i)
		}
		dst = append(dst, `{"id":`...)
		dst = AppendQuoted(dst, id)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = AppendQuoted(dst, call.Name)
		dst = append(dst, `,"arguments":"`...)
		if len(call.arguments) == 0 {
			dst = append(dst, "{}"...)
		}
		dst = append(dst, call.arguments...)
		dst = append(dst, `"}`...)
		if call.Carry != "" && w.o.Extensions {
			dst = append(dst, ',')
			dst = appendExtra(dst, call.Vendor, call.Carry)
		}
		dst = append(dst, '}')
	}
	if len(c.calls) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// Counted returns what the provider has said of usage, and its own words.
func (w *AnswerWriter) Counted() (u tokens.Usage, raw []byte) {
	return w.counted.usage, w.counted.raw
}

// Failure is what Fail was told, nil if nothing.
func (w *AnswerWriter) Failure() *Error { return w.failed }

// Head implements Sink.
func (w *AnswerWriter) Head(id, model string, created int64) { w.is.say(id, model, created) }

// Served implements Sink.
func (w *AnswerWriter) Served(model string) { w.is.served(model) }

// choice returns a choice to add to: an empty one, which goes nowhere, if it has ended.
func (w *AnswerWriter) choice(index int) *answerChoice {
	for _, c := range w.choices {
		if c.index == index {
			if c.reason != "" {
				return &answerChoice{}
			}
			return c
		}
	}
	c := &answerChoice{index: index}
	w.choices = append(w.choices, c)
	return c
}

// Open implements Sink.
func (w *AnswerWriter) Open(choice int) { w.choice(choice) }

// Text implements Sink.
func (w *AnswerWriter) Text(choice int, escaped string) {
	c := w.choice(choice)
	c.text = append(c.text, escaped...)
}

// Reasoning implements Sink.
func (w *AnswerWriter) Reasoning(choice int, escaped string) {
	c := w.choice(choice)
	c.reasoning = append(c.reasoning, escaped...)
}

// Refusal implements Sink.
func (w *AnswerWriter) Refusal(choice int, escaped string) {
	c := w.choice(choice)
	c.refusal = append(c.refusal, escaped...)
}

// Image implements Sink.
func (w *AnswerWriter) Image(choice int, escapedURL string) {
	if w.o.Extensions {
		c := w.choice(choice)
		c.images = append(c.images, []byte(escapedURL))
	}
}

// Logprobs implements Sink. The last that is said of a choice counts.
func (w *AnswerWriter) Logprobs(choice int, raw string) {
	w.choice(choice).logprobs = strings.Clone(raw)
}

// Call implements Sink.
func (w *AnswerWriter) Call(choice int, call Call) int {
	c := w.choice(choice)
	call = Call{
		ID: strings.Clone(call.ID), Name: strings.Clone(call.Name),
		Vendor: call.Vendor, Carry: strings.Clone(call.Carry),
	}
	c.calls = append(c.calls, answerCall{Call: call})
	return len(c.calls) - 1
}

// Arguments implements Sink.
func (w *AnswerWriter) Arguments(choice, call int, escaped string) {
	if c := w.choice(choice); call >= 0 && call < len(c.calls) {
		c.calls[call].arguments = append(c.calls[call].arguments, escaped...)
	}
}

// ArgumentsJSON implements Sink.
func (w *AnswerWriter) ArgumentsJSON(choice, call int, raw string) {
	if c := w.choice(choice); call >= 0 && call < len(c.calls) {
		c.calls[call].arguments = jsonview.AppendEscaped(c.calls[call].arguments, raw)
	}
}

// Carry implements Sink.
func (w *AnswerWriter) Carry(choice int, vendor, raw string) {
	c := w.choice(choice)
	c.vendor, c.carry = vendor, strings.Clone(raw)
}

// Finish implements Sink.
func (w *AnswerWriter) Finish(choice int, reason, native string) {
	c := w.choice(choice)
	c.reason, c.native = reason, strings.Clone(native)
}

// Usage implements Sink.
func (w *AnswerWriter) Usage(u tokens.Usage, raw string) { w.counted.take(u, raw) }

// Fail implements Sink. The first failure counts.
func (w *AnswerWriter) Fail(e *Error) {
	if w.failed == nil {
		w.failed = e
	}
}
