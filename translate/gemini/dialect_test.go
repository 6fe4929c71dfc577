package gemini

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
)

func TestPath(t *testing.T) {
	f := func(model string, stream bool, want string) {
		t.Helper()
		require.Equal(t, want, Dialect{}.Path(&translate.Context{Model: model, Stream: stream}))
	}
	f("gemini-2.5-flash", true, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
	f("gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent")
	f("models/gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent")
	f("google/gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent")
	f("publishers/google/models/gemini-2.5-flash", false, "/models/gemini-2.5-flash:generateContent")
	f("tunedModels/mine-1", false, "/tunedModels/mine-1:generateContent")

	// No name leaves the path or names another method.
	f("../files", false, "/models/..%2Ffiles:generateContent")
	f("a/../../b", false, "/models/a%2F..%2F..%2Fb:generateContent")
	f("..", false, "/models/_:generateContent")
	f("x:countTokens?a=b#c", false, "/models/x%3AcountTokens%3Fa=b%23c:generateContent")
	f("a%2e b\r\n", false, "/models/a%252e%20b%0D%0A:generateContent")
	f("tunedModels/../x", false, "/tunedModels/..%2Fx:generateContent")
	f("", false, "/models/:generateContent")
}

func TestPathOnVertex(t *testing.T) {
	platform := translate.Platform{Platform: translate.PlatformVertex, Project: "my-project", Region: "us-central1"}
	f := func(model string, stream bool, want string) {
		t.Helper()
		c := &translate.Context{Model: model, Stream: stream, Platform: platform}
		require.Equal(t, "/projects/my-project/locations/us-central1/"+want, Dialect{}.Path(c))
	}
	f("gemini-2.5-pro", true, "publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse")
	f("models/gemini-2.5-pro", false, "publishers/google/models/gemini-2.5-pro:generateContent")
	f("publishers/acme/models/m", false, "publishers/acme/models/m:generateContent")
	f("endpoints/123", false, "endpoints/123:generateContent")
	f("publishers/../models/m", false, "publishers/google/models/publishers%2F..%2Fmodels%2Fm:generateContent")
	f("endpoints/../x", false, "endpoints/..%2Fx:generateContent")

	platform = translate.Platform{Platform: translate.PlatformVertex, Project: "..", Region: "a/b"}
	require.Equal(t, "/projects/_/locations/a%2Fb/publishers/google/models/m:generateContent",
		Dialect{}.Path(&translate.Context{Model: "m", Platform: platform}))
}

func TestFraming(t *testing.T) {
	f := func(media string, want translate.Framing, ok bool) {
		t.Helper()
		got, known := Dialect{}.Framing(media)
		require.Equal(t, want, got)
		require.Equal(t, ok, known)
	}
	f("text/event-stream", translate.FramingSSE, true)
	f("application/json", translate.FramingArray, true)
	f("text/html", translate.FramingNone, false)
	f("", translate.FramingNone, false)
}

func TestModels(t *testing.T) {
	d := Dialect{}
	require.Equal(t, "/models?pageSize=1000", d.Models(&translate.Context{}))
	require.Empty(t, d.Models(&translate.Context{Platform: translate.Platform{Platform: translate.PlatformVertex}}))

	require.Equal(t, []string{"gemini-2.5-pro", "bare"}, d.ModelNames([]byte(`{"models":[
		{"name":"models/gemini-2.5-pro","supportedGenerationMethods":["countTokens","generateContent"]},
		{"name":"models/text-embedding-004","supportedGenerationMethods":["embedContent"]},
		{"name":"bare"},{"displayName":"no name"},7],"nextPageToken":"x"}`)))
	require.Empty(t, d.ModelNames([]byte(`{"models":{}}`)))
	require.Empty(t, d.ModelNames([]byte(`<html>`)))
}

func TestError(t *testing.T) {
	f := func(status int, body string, want translate.Error) {
		t.Helper()
		require.Equal(t, want, *Dialect{}.Error(status, "application/json; charset=UTF-8", []byte(body)))
	}
	f(400, `{"error":{"code":400,"message":"Bad role.","status":"INVALID_ARGUMENT","details":[]}}`,
		translate.Error{Status: 400, Message: "Bad role.", Type: "invalid_request_error", Code: "INVALID_ARGUMENT"})
	f(400, `{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`,
		translate.Error{Status: 401, Message: "API key not valid.", Type: "authentication_error", Code: "invalid_api_key"})
	f(403, `{"error":{"code":403,"message":"No.","status":"PERMISSION_DENIED"}}`,
		translate.Error{Status: 403, Message: "No.", Type: "permission_error", Code: "PERMISSION_DENIED"})
	f(404, `{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}`,
		translate.Error{Status: 404, Message: "models/x is not found", Type: "not_found_error", Code: "model_not_found"})
	f(404, ``,
		translate.Error{Status: 404, Message: "The provider answered with status 404 (Not Found).", Type: "not_found_error"})
	f(429, `[{"error":{"code":429,"message":"Quota.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}]`,
		translate.Error{Status: 429, Message: "Quota.", Type: "rate_limit_error", Code: "RESOURCE_EXHAUSTED", RetryAfter: 34400 * time.Millisecond})
	f(429, `{"error":{"message":"Quota.","details":[{"retryDelay":"-3s"},{"retryDelay":"soon"},{"retryDelay":7}]}}`,
		translate.Error{Status: 429, Message: "Quota.", Type: "rate_limit_error"})
	f(503, `{"error":{"code":503,"message":"Overloaded.","status":"UNAVAILABLE"}}`,
		translate.Error{Status: 503, Message: "Overloaded.", Type: "server_error", Code: "overloaded"})
	f(504, `{"error":{"code":504,"message":"Late.","status":"DEADLINE_EXCEEDED"}}`,
		translate.Error{Status: 504, Message: "Late.", Type: "timeout", Code: "DEADLINE_EXCEEDED"})
	f(500, `{"error":{"code":500,"message":"Oops.","status":"INTERNAL"}}`,
		translate.Error{Status: 500, Message: "Oops.", Type: "server_error", Code: "INTERNAL"})
	f(502, `<html>bad gateway</html>`,
		translate.Error{Status: 502, Message: "The provider answered with status 502 (Bad Gateway).", Type: "server_error"})
	f(413, ``,
		translate.Error{Status: 413, Message: "The provider answered with status 413 (Request Entity Too Large).", Type: "invalid_request_error", Code: "request_too_large"})
	f(400, `{"error":{"code":"weird","message":" x "}}`,
		translate.Error{Status: 400, Message: "x", Type: "invalid_request_error", Code: "weird"})
}

// Calls of an answer without an id still have ids that no other answer has.
func TestCallsOfNamelessAnswersDiffer(t *testing.T) {
	event := []byte(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`)
	ids := make(map[string]bool)
	for range 3 {
		var got collector
		d := Dialect{}.Decoder(&translate.Context{})
		require.Equal(t, translate.More, d.Event(&got, nil, event))
		require.Equal(t, translate.Complete, d.End(&got))
		ids[got.choices[0].calls[0].id] = true
	}
	require.Len(t, ids, 3)
}
