package gemini

import (
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Error implements translate.Dialect.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	root, _ := jsonview.Parse(translate.ReshapeError(status, contentType, body))
	return errorOf(status, root.Get("error"))
}

// failure is the error that a body of status 200 holds. Its status is the one it states.
func failure(v jsonview.Value) *translate.Error {
	status := http.StatusBadGateway
	if code, ok := v.Get("code").Int(); ok && code >= 400 && code < 600 {
		status = int(code)
	} else if stated, known := statuses[v.Get("status").Text()]; known {
		status = stated
	}
	if v.IsString() && strings.TrimSpace(v.Text()) != "" {
		return translate.ErrorOfStatus(status, "", strings.Clone(v.Text()))
	}
	return errorOf(status, v)
}

// statuses are those of google.rpc.Code as Google maps them to HTTP.
var statuses = map[string]int{
	"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401,
	"PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409,
	"RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500,
	"UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}

// errorOf reads {"code","message","status","details"}. A key that is not valid comes as
// 400, which would tell the client that its request is malformed.
func errorOf(status int, v jsonview.Value) *translate.Error {
	word := v.Get("status").Text()
	e := translate.ErrorOfStatus(status, "", strings.Clone(strings.TrimSpace(v.Get("message").Text())))
	for _, detail := range v.Get("details").Elements {
		if detail.Get("reason").Is("API_KEY_INVALID") {
			status, word = http.StatusUnauthorized, "UNAUTHENTICATED"
		}
		if delay := retryDelay(detail.Get("retryDelay").Text()); delay > 0 {
			e.RetryAfter = delay
		}
	}
	status = wire.Status(status)
	if word == "" {
		word = v.Get("code").Text() // of somebody else, before Google's servers
	}
	e.Status, e.Type, e.Code = status, translate.TypeOfStatus(status), codeOf(status, word, e.Message)
	if e.Message == "" {
		e.Message = "The provider reported an error without a message."
	}
	return e
}

// codeOf is OpenAI's code where it has one, else the provider's own word.
func codeOf(status int, word, message string) string {
	switch {
	case status == http.StatusUnauthorized:
		return translate.CodeInvalidAPIKey
	case status == http.StatusNotFound && strings.Contains(strings.ToLower(message), "model"):
		return translate.CodeModelNotFound
	case status == http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case status == http.StatusServiceUnavailable:
		return "overloaded"
	}
	return strings.Clone(word)
}

// retryDelay reads a google.protobuf.Duration in JSON, as in "34.4s".
func retryDelay(s string) time.Duration {
	if !strings.HasSuffix(s, "s") {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d
}
