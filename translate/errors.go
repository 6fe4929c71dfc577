package translate

import (
	"net/http"
	"strconv"
	"time"
)

// Error is an error as a client of the OpenAI dialect sees it. Codes come from the
// closed list in this package or from a provider.
type Error struct {
	Status  int    // HTTP status
	Message string // for people; may quote the client's own words, so it is not for logs
	Type    string // OpenAI's error type; empty means the usual one of Status
	Param   string // the request member at fault, empty for null
	Code    string // empty for null

	// RetryAfter goes into the Retry-After header, rounded up to seconds; 0 for none.
	RetryAfter time.Duration
	// NoRetry goes out as x-should-retry: false. It is set where the upstream may
	// have run the request, so that repeating it would be billed twice.
	NoRetry bool
}

// Error names the status and code. The message stays out: logs print this.
func (e *Error) Error() string {
	text := strconv.Itoa(e.Status) + " " + e.Code
	if e.Param != "" {
		text += " (" + e.Param + ")"
	}
	return text
}

// InOpenAIsWords gives an error that a provider of another dialect reported the code that
// OpenAI has for it, where clients choose what to do by the code: the provider has none,
// or a word of its own.
func (e *Error) InOpenAIsWords() *Error {
	switch kind := e.Kind(); {
	case e.Status == http.StatusRequestEntityTooLarge && e.Code == "":
		e.Code = requestTooLarge
	case kind == KindContextLength && e.Code != requestTooLarge:
		e.Code = ContextLengthExceeded
	case kind == KindContent:
		e.Code = ContentFiltered
	case e.Status == http.StatusTooManyRequests && e.Code != "insufficient_quota":
		e.Code = "rate_limit_exceeded"
	case e.Status == http.StatusUnauthorized && e.Code == "":
		e.Code = CodeInvalidAPIKey
	case e.Status == http.StatusServiceUnavailable && e.Code == "":
		e.Code = CodeOverloaded
	}
	return e
}

// requestTooLarge is the code of a body that is too large for the provider's servers,
// whatever is in it.
const requestTooLarge = "request_too_large"

// AppendJSON appends {"error":{"message","type","param","code"}}, valid JSON on one
// line whatever bytes the fields hold.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = appendErrorUpToCode(dst, e.Status, e.Message, e.Type, e.Param)
	dst = appendQuotedOrNull(dst, e.Code)
	return append(dst, `}}`...)
}

// appendErrorUpToCode appends an error object as far as the value of its last member,
// code. An empty type becomes the usual one of the status.
func appendErrorUpToCode(dst []byte, status int, message, kind, param string) []byte {
	if kind == "" {
		kind = TypeOfStatus(status)
	}
	dst = append(dst, `{"error":{"message":`...)
	dst = AppendQuoted(dst, message)
	dst = append(dst, `,"type":`...)
	dst = AppendQuoted(dst, kind)
	dst = append(dst, `,"param":`...)
	dst = appendQuotedOrNull(dst, param)
	return append(dst, `,"code":`...)
}

func appendQuotedOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return AppendQuoted(dst, s)
}

// AppendErrorEvent appends one event that makes OpenAI clients raise e: data with a
// top-level error and no choices. done adds the [DONE] sentinel, for a stream that
// was cancelled while a tool call was open; a stream that failed must not have one,
// or readers that ignore the error take the cut answer for a whole one.
func AppendErrorEvent(dst []byte, e *Error, done bool) []byte {
	dst = append(dst, dataPrefix...)
	dst = e.AppendJSON(dst)
	dst = append(dst, eventEnd...)
	if done {
		dst = append(dst, doneEvent...)
	}
	return dst
}

// AppendResponsesError appends one error event for a stream of the Responses API. It
// is spelled both ways at once: the published event is flat, but openai-python and
// openai-go raise only on the nested error that OpenAI really sends. There is no
// sequence_number, and no [DONE] in that API.
func AppendResponsesError(dst []byte, e *Error) []byte {
	dst = append(dst, "event: error\n"+dataPrefix+`{"type":"error","code":`...)
	dst = appendQuotedOrNull(dst, e.Code)
	dst = append(dst, `,"message":`...)
	dst = AppendQuoted(dst, e.Message)
	dst = append(dst, `,"param":`...)
	dst = appendQuotedOrNull(dst, e.Param)
	dst = append(dst, ',')
	nested := len(dst)
	dst = e.AppendJSON(dst)
	dst = append(dst[:nested], dst[nested+1:]...) // its opening brace is there already
	return append(dst, eventEnd...)
}

const (
	dataPrefix = "data: "
	eventEnd   = "\n\n"
	doneEvent  = "data: [DONE]\n\n"
)
