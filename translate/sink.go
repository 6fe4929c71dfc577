package translate

import "github.com/sluicehq/sluice/accounting/tokens"

// Sink takes in an answer piece by piece, in the words of the hub. ChunkWriter makes a
// stream of it and AnswerWriter one object; a dialect that reads an answer does not
// know which.
//
// Strings named escaped are the insides of JSON strings as the provider wrote them, and
// raw are whole JSON values: both are borrowed for the length of the call.
type Sink interface {
	// Head says what the provider calls the answer. Empty and 0 mean that it has not
	// said; of what is said twice, the first counts.
	Head(id, model string, created int64)
	// Served replaces the model of Head: the provider changed it under way.
	Served(model string)
	// Open begins a choice before there is anything in it.
	Open(choice int)
	Text(choice int, escaped string)
	Reasoning(choice int, escaped string)
	Refusal(choice int, escaped string)
	// Image adds a picture the model has made, as a URL (escaped), usually a data URI.
	Image(choice int, escapedURL string)
	// Logprobs adds {"content":[…]} for text that has been or will be added.
	Logprobs(choice int, raw string)
	// Call opens a tool call and returns the number that Arguments needs. Numbers run
	// from 0 within a choice, in the order of the calls. An empty id gets one made up.
	Call(choice int, call Call) int
	// Arguments appends a fragment of the JSON text of a call's arguments.
	Arguments(choice, call int, escaped string)
	// ArgumentsJSON gives the arguments as the JSON value they are, all at once.
	ArgumentsJSON(choice, call int, raw string)
	// Carry attaches a provider's own data to the message for the turns that follow,
	// as {"<vendor>":raw} in extra_content; raw is an object. Call it once for a choice.
	Carry(choice int, vendor, raw string)
	// Finish ends a choice. reason is one of the Finish constants, native the
	// provider's own word for it. What comes for the choice later is dropped; a second
	// Finish is ignored. Finish stops being FinishStop where the choice has tool calls.
	Finish(choice int, reason, native string)
	// Usage states cumulative counts: a known one replaces what was said before. raw is
	// the provider's own usage object.
	Usage(u tokens.Usage, raw string)
	// Fail states that the provider reported a failure instead of going on.
	Fail(e *Error)
}

// Call is what a tool call begins with.
type Call struct {
	ID, Name string // decoded
	// Carry is an object to attach to the call for the turns that follow, as
	// {"<vendor>":raw} in its extra_content. Empty for none.
	Vendor, Carry string
}

// The finish reasons of the hub. SDKs declare them as closed enums.
const (
	FinishStop    = "stop"
	FinishLength  = "length"
	FinishTools   = "tool_calls"
	FinishContent = "content_filter"
)

// Progress says how a stream stands after an event.
type Progress uint8

const (
	// More means that the answer goes on.
	More Progress = iota
	// Complete means that the answer is whole: the provider said so.
	Complete
	// Failed means that the provider reported an error, which Sink.Fail was told.
	Failed
	// Malformed means that the event could not be read. What came before stands.
	Malformed
)

// Decoder reads one streamed answer of a provider. It belongs to one exchange and keeps
// no reference to what it is given.
type Decoder interface {
	// Event reads one event, its framing removed. name is the type that the framing
	// states for it, often empty.
	Event(to Sink, name, data []byte) Progress
	// End is called when the body has ended before Event said Complete. It returns
	// Complete if the answer is whole all the same, and More if it was cut.
	End(to Sink) Progress
}

// Dialect is the wire format of a provider's chat API, in the four moments of an
// exchange. Implementations have no state; what one exchange needs is in its Context.
type Dialect interface {
	// Path is the operation's path and query below the provider's base URL, with the
	// model's name escaped in it where it belongs there.
	Path(c *Context) string
	// Request writes the provider's request for a chat request, in new memory. It
	// refuses by name what the provider cannot do.
	Request(c *Context, chat *Chat) ([]byte, *Error)
	// Framing tells how an answer to a stream request is framed, from the content type
	// of the answer, in lower case without parameters. FramingNone means that the body
	// is one whole answer; ok is false for a content type that is none of this dialect.
	Framing(media string) (f Framing, ok bool)
	// Decoder reads a streamed answer.
	Decoder(c *Context) Decoder
	// Answer reads a whole answer, and returns Complete, Failed or Malformed.
	Answer(c *Context, to Sink, body []byte) Progress
	// Error reads the body of an error status. It always yields an error with a
	// message; its status may differ from the provider's where that one would mislead.
	Error(status int, contentType string, body []byte) *Error
	// Rules say for each member of a chat request what becomes of it.
	Rules() Rules
	// Models is the path below the base URL that lists the provider's models, empty
	// where there is none, and ModelNames reads the answer.
	Models(c *Context) string
	ModelNames(body []byte) []string
}

// Framing is how events lie in the body of a stream.
type Framing uint8

const (
	// FramingNone is no stream: the body is one JSON value.
	FramingNone Framing = iota
	// FramingSSE is text/event-stream.
	FramingSSE
	// FramingLines is one JSON value on each line.
	FramingLines
	// FramingArray is one JSON array whose elements are the events.
	FramingArray
	// FramingAWS is application/vnd.amazon.eventstream: binary frames with checksums.
	FramingAWS
)
