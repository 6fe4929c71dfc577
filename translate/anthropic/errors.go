package anthropic

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// silentFailure is for errors without a message.
const silentFailure = "The provider reported an error without saying which."

// faults are the error types of the API, with the status that OpenAI's clients know
// what to do with and a code where OpenAI has one.
//
// https://platform.claude.com/docs/en/api/errors
var faults = map[string]struct {
	status int
	code   string
}{
	"invalid_request_error": {http.StatusBadRequest, ""},
	"authentication_error":  {http.StatusUnauthorized, "invalid_api_key"},
	"billing_error":         {http.StatusPaymentRequired, "insufficient_quota"},
	"permission_error":      {http.StatusForbidden, ""},
	"not_found_error":       {http.StatusNotFound, ""},
	"request_too_large":     {http.StatusRequestEntityTooLarge, "request_too_large"},
	"rate_limit_error":      {http.StatusTooManyRequests, "rate_limit_exceeded"},
	"api_error":             {http.StatusInternalServerError, ""},
	"timeout_error":         {http.StatusGatewayTimeout, ""},
	"overloaded_error":      {http.StatusServiceUnavailable, "overloaded"},
}

// Error reads an error of the API, of Google's or AWS's front, or of anything between.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	root, _ := jsonview.Parse(translate.ReshapeError(status, contentType, body))
	return faultOf(status, root.Get("error"))
}

// Statuses that only Anthropic and Bedrock use.
const (
	statusOverloaded       = 529
	statusFailedDependency = 424 // the model failed
)

// faultOf makes an error of an error object. Inside a stream, and under a status that
// promises success, there is no status: it follows from the type.
func faultOf(status int, v jsonview.Value) *translate.Error {
	kind := v.Get("type").Text()
	known, isKnown := faults[kind]
	e := &translate.Error{
		Status: wire.Status(status), Message: strings.Clone(v.Get("message").Text()),
		Param: strings.Clone(v.Get("param").Text()), Code: known.code,
	}
	if v.IsString() {
		e.Message = strings.Clone(v.Text())
	}
	switch {
	case status >= http.StatusBadRequest:
	case isKnown:
		e.Status = known.status
	default:
		e.Status = http.StatusBadGateway
	}
	switch e.Status {
	case statusOverloaded:
		e.Status, e.Code = http.StatusServiceUnavailable, "overloaded"
	case statusFailedDependency:
		e.Status = http.StatusBadGateway
	case http.StatusRequestEntityTooLarge: // from the edge, which answers in HTML
		e.Code = "request_too_large"
	case http.StatusNotFound:
		if strings.Contains(strings.ToLower(e.Message), "model") {
			e.Code = translate.CodeModelNotFound
		}
	}
	if e.Code == "" && !isKnown {
		e.Code = otherCode(v)
	}
	if e.Code == "" && !isKnown && kind != translate.TypeOfStatus(status) {
		e.Code = plainCode(kind)
	}
	if e.Message == "" {
		e.Message = silentFailure
	}
	e.Type = translate.TypeOfStatus(e.Status)
	return e
}

// otherCode is what an error that is not Anthropic's calls itself: OpenAI's code or
// Google's status.
func otherCode(v jsonview.Value) string {
	if code := plainCode(v.Get("code").Text()); code != "" {
		return code
	}
	return plainCode(v.Get("status").Text())
}

// plainCode is a code if it looks like one.
func plainCode(code string) string {
	const longest = 64
	if len(code) > longest {
		return ""
	}
	for i := 0; i < len(code); i++ {
		if !translate.IsWord(code[i]) && code[i] != '.' {
			return ""
		}
	}
	return strings.Clone(code)
}
