package fakeprovider

import (
	"fmt"
	"net/http"
)

// VoiceRetry is how many seconds a refusal with 429 asks to wait, in the dialects that
// say so.
const VoiceRetry = 7

// RetriesSaid tells whether such a refusal says it at all.
func (v *Voice) RetriesSaid() bool {
	switch v.Dialect {
	case "openai", "gemini":
		return true
	}
	return v.Dialect == "anthropic" && !v.Enveloped
}

// Refuse answers with an error status, 400 or 429, in the provider's own words.
func (v *Voice) Refuse(e *Exchange, status int, message string) {
	bad, busy := v.refusals()
	word, limited := bad, status == http.StatusTooManyRequests
	if limited {
		word = busy
	}
	var retry []string
	if limited {
		retry = []string{fmt.Sprintf("Retry-After: %d", VoiceRetry)}
	}
	quoted := quote(message)
	switch {
	case v.Dialect == "bedrock" || v.Enveloped:
		e.JSON(status, `{"message":`+quoted+`}`, "x-amzn-ErrorType: "+word+":http://internal.amazon.com/coral/com.amazon.bedrock/")
	case v.Dialect == "gemini":
		details := ""
		if limited {
			details = fmt.Sprintf(`,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%d.4s"}]`, VoiceRetry-1)
		}
		e.JSON(status, fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%q%s}}`, status, quoted, word, details))
	case v.Dialect == "cohere":
		e.JSON(status, `{"id":"c1","message":`+quoted+`}`)
	case v.Dialect == "ollama":
		e.JSON(status, `{"error":`+quoted+`}`)
	case v.Dialect == "anthropic":
		e.JSON(status, fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%s},"request_id":"req_1"}`, word, quoted), retry...)
	default:
		e.JSON(status, ErrorBody(message, word, word), retry...)
	}
}

// refusals are the provider's words for a request that is wrong, and for one too many.
func (v *Voice) refusals() (bad, busy string) {
	switch {
	case v.Dialect == "bedrock" || v.Enveloped:
		return "ValidationException", "ThrottlingException"
	case v.Dialect == "anthropic":
		return "invalid_request_error", "rate_limit_error"
	case v.Dialect == "gemini":
		return "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"
	}
	return "invalid_request_error", "rate_limit_exceeded"
}

// FailedAnswer is a whole answer that reports a failure although its status is good;
// empty in the dialects that have none.
func (v *Voice) FailedAnswer(message string) string {
	quoted := quote(message)
	switch v.Dialect {
	case "anthropic":
		return `{"type":"error","error":{"type":"overloaded_error","message":` + quoted + `}}`
	case "gemini":
		return `{"error":{"code":503,"message":` + quoted + `,"status":"UNAVAILABLE"}}`
	case "cohere":
		return `{"id":"c1","finish_reason":"ERROR","error":` + quoted + `,"message":{"role":"assistant","content":[]}}`
	case "ollama":
		return `{"error":` + quoted + `}`
	case "openai":
		return ErrorBody(message, "server_error", "overloaded")
	}
	return ""
}
