package translate

import (
	"strconv"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// Head is what all chunks of a stream have in common. openai-go refuses a chunk whose
// id differs from the first one, so an ending repeats what the stream began with.
type Head struct {
	ID      string
	Created int64 // seconds since 1970
	Model   string
}

// The values of a chunk's object member.
const (
	ChatChunk       = "chat.completion.chunk"
	CompletionChunk = "text_completion"
)

// AppendCancelEnding appends a well-formed end of a stream that was cut on purpose: a
// last chunk for every choice still open, the usage chunk if the client asked for
// usage (usage is not nil), and [DONE]. No choices means choice 0, for a stream that
// was cut before any chunk. If all choices have finished, use AppendStreamTail.
//
// It must not be used while a tool call is open: a finish reason would make the
// client execute half a call. object is ChatChunk or CompletionChunk.
func AppendCancelEnding(dst []byte, h Head, object string, choices []int, usage *tokens.Usage, outcome, source string) []byte {
	if len(choices) == 0 {
		choices = []int{0}
	}
	for _, index := range choices {
		dst = appendChunkHead(dst, h, object)
		dst = append(dst, `[{"index":`...)
		dst = strconv.AppendInt(dst, int64(index), 10)
		if object == CompletionChunk {
			dst = append(dst, `,"text":""`...)
		} else {
			dst = append(dst, `,"delta":{}`...)
		}
		dst = append(dst, `,"logprobs":null,"finish_reason":"stop"}]`...)
		if usage != nil {
			dst = append(dst, `,"usage":null`...)
		}
		dst = appendChunkEnd(dst, outcome, source)
	}
	return AppendStreamTail(dst, h, object, usage, outcome, source)
}

// AppendStreamTail appends what follows the last choice of a stream: the usage chunk
// if the client asked for usage, and [DONE].
func AppendStreamTail(dst []byte, h Head, object string, usage *tokens.Usage, outcome, source string) []byte {
	if usage != nil {
		dst = appendChunkHead(dst, h, object)
		dst = append(dst, `[],"usage":`...)
		dst = appendUsage(dst, *usage)
		dst = appendChunkEnd(dst, outcome, source)
	}
	return append(dst, doneEvent...)
}

func appendChunkHead(dst []byte, h Head, object string) []byte {
	dst = append(dst, dataPrefix+`{"id":`...)
	dst = AppendQuoted(dst, h.ID)
	dst = append(dst, `,"object":`...)
	dst = AppendQuoted(dst, object)
	dst = append(dst, `,"created":`...)
	dst = strconv.AppendInt(dst, h.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = AppendQuoted(dst, h.Model)
	return append(dst, `,"choices":`...)
}

func appendChunkEnd(dst []byte, outcome, source string) []byte {
	dst = append(dst, `,"sluice":{"outcome":`...)
	dst = AppendQuoted(dst, outcome)
	dst = append(dst, `,"usage_source":`...)
	dst = AppendQuoted(dst, source)
	return append(dst, `}}`+eventEnd...)
}

// appendUsage writes usage in OpenAI's form: the three counts that SDKs declare as
// always there even when they are not known, as null; the details only when there is
// something to tell.
func appendUsage(dst []byte, u tokens.Usage) []byte {
	var total tokens.Count
	if u.Input.Known && u.Output.Known {
		total.Set(u.Input.N + u.Output.N)
	}
	dst = appendCount(append(dst, `{"prompt_tokens":`...), u.Input)
	dst = appendCount(append(dst, `,"completion_tokens":`...), u.Output)
	dst = appendCount(append(dst, `,"total_tokens":`...), total)
	dst = appendDetails(dst, `,"prompt_tokens_details":{`, detail{`"cached_tokens":`, u.InputCached},
		detail{`"cache_write_tokens":`, u.InputCacheWrite}, detail{`"audio_tokens":`, u.InputAudio})
	dst = appendDetails(dst, `,"completion_tokens_details":{`, detail{`"reasoning_tokens":`, u.OutputReasoning},
		detail{`"audio_tokens":`, u.OutputAudio}, detail{})
	return append(dst, '}')
}

type detail struct {
	name  string
	count tokens.Count
}

func appendDetails(dst []byte, open string, details ...detail) []byte {
	empty := true
	for _, d := range details {
		if !d.count.Known {
			continue
		}
		if empty {
			dst = append(dst, open...)
		} else {
			dst = append(dst, ',')
		}
		empty = false
		dst = appendCount(append(dst, d.name...), d.count)
	}
	if empty {
		return dst
	}
	return append(dst, '}')
}

func appendCount(dst []byte, c tokens.Count) []byte {
	if !c.Known {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, c.N, 10)
}
