package downstream

import (
	"errors"
	"net/http"
	"time"
)

// RequestError is a request that was refused before any handler saw it. It
// holds nothing that the client sent.
type RequestError struct {
	// Status is the HTTP status to answer with.
	Status int
	// Code is a stable snake_case word for the error body.
	Code string
	// Message is one sentence for people.
	Message string
	// RetryAfter is when to try again, in whole seconds; 0 says nothing. The server
	// adds the Retry-After field to the answer itself.
	RetryAfter time.Duration
}

// Error returns the message.
func (e *RequestError) Error() string { return e.Message }

// The codes of a RequestError.
const (
	codeBadRequest        = "bad_request"
	codeMethodNotAllowed  = "method_not_allowed"
	codeRequestTimeout    = "request_timeout"
	codeBodyTooLarge      = "body_too_large"
	codeExpectationFailed = "expectation_failed"
	codeMisdirected       = "misdirected_request"
	codeHeadersTooLarge   = "headers_too_large"
	codeInternal          = "internal"
	codeOverloaded        = "overloaded"
)

func badRequest(message string) *RequestError {
	return &RequestError{Status: http.StatusBadRequest, Code: codeBadRequest, Message: message}
}

var (
	errNotHTTP        = badRequest("The request could not be read as HTTP/1.1.")
	errRequestLine    = badRequest("The request line is malformed.")
	errTarget         = badRequest("The request target is malformed.")
	errVersion        = badRequest("Only HTTP/1.0 and HTTP/1.1 are served here.")
	errLineEnd        = badRequest("A line of the request's head does not end with CR LF.")
	errFieldName      = badRequest("A header field's name is malformed.")
	errFieldValue     = badRequest("A header field's value holds a control character.")
	errFold           = badRequest("A header field is folded over several lines.")
	errHost           = badRequest("The request needs exactly one valid Host header.")
	errContentLength  = badRequest("The Content-Length header is invalid or repeated.")
	errBothLengths    = badRequest("The request has both Content-Length and Transfer-Encoding.")
	errTransferCoding = badRequest("The only Transfer-Encoding understood is chunked, once.")
	errChunkedOld     = badRequest("HTTP/1.0 has no Transfer-Encoding.")
	errChunkSize      = badRequest("The size of a chunk is malformed.")
	errChunkExtension = badRequest("A chunk extension is malformed or too long.")
	errChunkEnd       = badRequest("A chunk does not end where its size says.")
	errTrailer        = badRequest("The trailer section is malformed or too long.")

	errMethod = &RequestError{
		Status: http.StatusMethodNotAllowed, Code: codeMethodNotAllowed,
		Message: "This method is not served here.",
	}
	errSlowHead = &RequestError{
		Status: http.StatusRequestTimeout, Code: codeRequestTimeout,
		Message: "The request's head took too long to arrive.",
	}
	errSlowBody = &RequestError{
		Status: http.StatusRequestTimeout, Code: codeRequestTimeout,
		Message: "The request's body took too long to arrive.",
	}
	errBodyTooLarge = &RequestError{
		Status: http.StatusRequestEntityTooLarge, Code: codeBodyTooLarge,
		Message: "The request's body is larger than this server accepts.",
	}
	errExpectation = &RequestError{
		Status: http.StatusExpectationFailed, Code: codeExpectationFailed,
		Message: "The only expectation understood is 100-continue.",
	}
	errForeignHost = &RequestError{
		Status: http.StatusMisdirectedRequest, Code: codeMisdirected,
		Message: "The request is addressed to another host.",
	}
	errHeadTooLarge = &RequestError{
		Status: http.StatusRequestHeaderFieldsTooLarge, Code: codeHeadersTooLarge,
		Message: "The request's head is too large or has too many fields.",
	}
	errOverloaded = &RequestError{
		Status: http.StatusServiceUnavailable, Code: codeOverloaded,
		Message:    "The server has no room for the request's body now.",
		RetryAfter: time.Second,
	}
	errPanic = &RequestError{
		Status: http.StatusInternalServerError, Code: codeInternal,
		Message: "The server failed to handle the request.",
	}
)

// errAborted ends a session whose client left in the middle of a request.
var errAborted = errors.New("downstream: the client left before the request was complete")
