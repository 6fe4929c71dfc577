package translate

import (
	"strconv"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// WriterOptions say how an answer is to look to the client.
type WriterOptions struct {
	// IncludeUsage: the client asked for usage. Every chunk then has the member usage,
	// null but in the last.
	IncludeUsage bool
	// Model is the name to show, empty for the provider's own.
	Model string
	// Extensions allows members that OpenAI does not have, but for reasoning_content.
	Extensions bool
}

// ChunkWriter is a Sink that writes a stream of chat.completion.chunk events which
// strict SDKs accept. What they trip over:
//
//   - openai-go refuses a chunk whose id differs from the first one's, takes any
//     top-level error for a failure, adds up the usage of all chunks, and overwrites a
//     finish reason with what comes later for the same choice;
//   - openai-python concatenates repeated strings of a delta, so that role, id, type
//     and name may come once, and wants tool calls indexed densely from 0.
//
// Chunks of one kind differ in their text alone, so that the meter need not parse
// each. The writer holds no text: what it wrote is taken from it after every read.
type ChunkWriter struct {
	o       WriterOptions
	is      identity
	prefix  []byte // up to the value of choices, once the first chunk is written
	out     []byte
	ends    []int // in out, of each event
	choices []chunkChoice
	counted counted
	failed  *Error
}

// chunkChoice is what has to be known of a choice that is being written.
type chunkChoice struct {
	index    int
	finished bool
	calls    []bool // for each tool call, whether it has arguments
	images   int
}

// counted is the usage that a provider has stated.
type counted struct {
	usage tokens.Usage
	raw   []byte
	news  bool
}

// maxRawUsage bounds the provider's own usage object that is kept.
const maxRawUsage = 16 << 10

func (c *counted) take(u tokens.Usage, raw string) {
	c.usage = tokens.Merge(c.usage, u)
	c.news = true
	if len(raw) <= maxRawUsage {
		c.raw = append(c.raw[:0], raw...)
	}
}

// NewChunkWriter makes a writer for one exchange. h has what a chunk says of the stream
// where the provider says nothing.
func NewChunkWriter(h Head, o WriterOptions) *ChunkWriter {
	return &ChunkWriter{o: o, is: identity{Head: h}}
}

// Lend gives the writer memory to append events to. It must get it before it is used.
func (w *ChunkWriter) Lend(buf []byte) { w.out, w.ends = buf, w.ends[:0] }

// Take returns the memory with the events that were written behind what was in it.
func (w *ChunkWriter) Take() []byte {
	out := w.out
	w.out = nil
	return out
}

// Events iterates over the data of the events in the memory that Take returned, which
// began with skip other bytes.
func (w *ChunkWriter) Events(out []byte, skip int) func(yield func(data []byte) bool) {
	return func(yield func(data []byte) bool) {
		from := skip
		for _, end := range w.ends {
			if !yield(out[from+len(dataPrefix) : end-len(eventEnd)]) {
				return
			}
			from = end
		}
	}
}

// Counted returns what the provider has said of usage, its own words, and whether
// that is news since the last call. raw belongs to the writer.
func (w *ChunkWriter) Counted() (u tokens.Usage, raw []byte, news bool) {
	news, w.counted.news = w.counted.news, false
	return w.counted.usage, w.counted.raw, news
}

// Failure is what Fail was told, nil if nothing.
func (w *ChunkWriter) Failure() *Error { return w.failed }

// Finished reports whether n choices, and all that have begun, have ended.
func (w *ChunkWriter) Finished(n int) bool {
	for i := range w.choices {
		if !w.choices[i].finished {
			return false
		}
	}
	return len(w.choices) >= n
}

// AppendTail appends what follows the last choice: the usage chunk if the client asked
// for usage and the provider stated any, and [DONE].
func (w *ChunkWriter) AppendTail(dst []byte) []byte {
	if w.o.IncludeUsage && w.counted.usage.Any() {
		w.begin()
		dst = append(dst, w.prefix...)
		dst = append(dst, `[],"usage":`...)
		dst = appendUsage(dst, w.counted.usage)
		dst = append(dst, "}"+eventEnd...)
	}
	return append(dst, doneEvent...)
}

// Head implements Sink.
func (w *ChunkWriter) Head(id, model string, created int64) {
	if w.prefix == nil {
		w.is.say(id, model, created)
	}
}

// Served implements Sink. All chunks must name the same model, so it has no effect
// once there is one.
func (w *ChunkWriter) Served(model string) {
	if w.prefix == nil {
		w.is.served(model)
	}
}

// begin settles what all chunks have in common.
func (w *ChunkWriter) begin() {
	if w.prefix == nil {
		w.prefix = appendChunkHead(make([]byte, 0, 256), w.is.shown(w.o.Model), ChatChunk)
	}
}

// choice returns a choice that has not ended, with its first chunk written; nil if it
// has ended.
func (w *ChunkWriter) choice(index int) *chunkChoice {
	for i := range w.choices {
		if c := &w.choices[i]; c.index == index {
			if c.finished {
				return nil
			}
			return c
		}
	}
	w.begin()
	w.choices = append(w.choices, chunkChoice{index: index})
	w.open(index)
	w.out = append(w.out, `"role":"assistant","content":""`...)
	w.close()
	return &w.choices[len(w.choices)-1]
}

// open begins a chunk, up to the inside of its delta; close ends it.
func (w *ChunkWriter) open(index int) {
	w.out = append(w.out, w.prefix...)
	w.out = append(w.out, `[{"index":`...)
	w.out = strconv.AppendInt(w.out, int64(index), 10)
	w.out = append(w.out, `,"delta":{`...)
}

func (w *ChunkWriter) close() {
	w.out = append(w.out, `},"logprobs":null,"finish_reason":null}]`...)
	w.end()
}

// end ends a chunk behind its choices.
func (w *ChunkWriter) end() {
	if w.o.IncludeUsage {
		w.out = append(w.out, `,"usage":null`...)
	}
	w.out = append(w.out, "}"+eventEnd...)
	w.ends = append(w.ends, len(w.out))
}

// Open implements Sink.
func (w *ChunkWriter) Open(choice int) { w.choice(choice) }

// Text implements Sink.
func (w *ChunkWriter) Text(choice int, escaped string) { w.text(choice, `"content":"`, escaped) }

// Reasoning implements Sink. The name is DeepSeek's, which most clients know.
func (w *ChunkWriter) Reasoning(choice int, escaped string) {
	w.text(choice, `"reasoning_content":"`, escaped)
}

// Refusal implements Sink.
func (w *ChunkWriter) Refusal(choice int, escaped string) { w.text(choice, `"refusal":"`, escaped) }

func (w *ChunkWriter) text(choice int, name, escaped string) {
	if escaped == "" || w.choice(choice) == nil {
		return
	}
	w.open(choice)
	w.out = append(w.out, name...)
	w.out = append(w.out, escaped...)
	w.out = append(w.out, '"')
	w.close()
}

// Image implements Sink.
func (w *ChunkWriter) Image(choice int, escapedURL string) {
	c := w.choice(choice)
	if c == nil || !w.o.Extensions {
		return
	}
	w.open(choice)
	w.out = append(w.out, `"images":[`...)
	w.out = append(appendImage(w.out, c.images, escapedURL), ']')
	w.close()
	c.images++
}

// Logprobs implements Sink.
func (w *ChunkWriter) Logprobs(choice int, raw string) {
	if w.choice(choice) == nil {
		return
	}
	w.open(choice)
	w.out = append(w.out, `},"logprobs":`...)
	w.out = append(w.out, raw...)
	w.out = append(w.out, `,"finish_reason":null}]`...)
	w.end()
}

// Call implements Sink.
func (w *ChunkWriter) Call(choice int, call Call) int {
	c := w.choice(choice)
	if c == nil {
		return -1
	}
	index := len(c.calls)
	c.calls = append(c.calls, false)
	if call.ID == "" {
		call.ID = MintCallID(w.is.ID, choice, index)
	}
	w.openCall(choice, index)
	w.out = append(w.out, `"id":`...)
	w.out = AppendQuoted(w.out, call.ID)
	w.out = append(w.out, `,"type":"function","function":{"name":`...)
	w.out = AppendQuoted(w.out, call.Name)
	w.out = append(w.out, `,"arguments":""}`...)
	if call.Carry != "" && w.o.Extensions {
		w.out = append(w.out, ',')
		w.out = appendExtra(w.out, call.Vendor, call.Carry)
	}
	w.out = append(w.out, `}]`...)
	w.close()
	return index
}

func (w *ChunkWriter) openCall(choice, index int) {
	w.open(choice)
	w.out = append(w.out, `"tool_calls":[{"index":`...)
	w.out = strconv.AppendInt(w.out, int64(index), 10)
	w.out = append(w.out, ',')
}

// Arguments implements Sink.
func (w *ChunkWriter) Arguments(choice, call int, escaped string) {
	if escaped == "" || !w.openArguments(choice, call) {
		return
	}
	w.out = append(w.out, escaped...)
	w.closeArguments()
}

// ArgumentsJSON implements Sink.
func (w *ChunkWriter) ArgumentsJSON(choice, call int, raw string) {
	if raw == "" || !w.openArguments(choice, call) {
		return
	}
	w.out = jsonview.AppendEscaped(w.out, raw)
	w.closeArguments()
}

func (w *ChunkWriter) openArguments(choice, call int) bool {
	c := w.choice(choice)
	if c == nil || call < 0 || call >= len(c.calls) {
		return false
	}
	c.calls[call] = true
	w.openCall(choice, call)
	w.out = append(w.out, `"function":{"arguments":"`...)
	return true
}

func (w *ChunkWriter) closeArguments() {
	w.out = append(w.out, `"}}]`...)
	w.close()
}

// Carry implements Sink.
func (w *ChunkWriter) Carry(choice int, vendor, raw string) {
	if !w.o.Extensions || w.choice(choice) == nil {
		return
	}
	w.open(choice)
	w.out = appendExtra(w.out, vendor, raw)
	w.close()
}

// Finish implements Sink.
func (w *ChunkWriter) Finish(choice int, reason, native string) {
	c := w.choice(choice)
	if c == nil {
		return
	}
	for call, has := range c.calls {
		if !has {
			w.Arguments(choice, call, "{}")
		}
	}
	if reason == FinishStop && len(c.calls) > 0 {
		reason = FinishTools
	}
	c.finished = true
	w.open(choice)
	w.out = append(w.out, `},"logprobs":null,"finish_reason":`...)
	w.out = AppendQuoted(w.out, reason)
	w.out = append(w.out, `}]`...)
	if native != "" && w.o.Extensions {
		w.out = appendNative(w.out, native)
	}
	w.end()
}

// Usage implements Sink.
func (w *ChunkWriter) Usage(u tokens.Usage, raw string) { w.counted.take(u, raw) }

// Fail implements Sink. The first failure counts.
func (w *ChunkWriter) Fail(e *Error) {
	if w.failed == nil {
		w.failed = e
	}
}
