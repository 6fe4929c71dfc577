package translate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// wireError is how a client of the OpenAI dialect reads an error.
type wireError struct {
	Error *struct {
		Message *string
		Type    *string
		Param   *string
		Code    any
	}
}

func readError(t *testing.T, body []byte) wireError {
	t.Helper()
	var members map[string]map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &members), "%q", body)
	require.Len(t, members, 1)
	for _, name := range []string{"message", "type", "param", "code"} {
		require.Contains(t, members["error"], name)
	}
	require.Len(t, members["error"], 4)
	var e wireError
	require.NoError(t, json.Unmarshal(body, &e))
	require.NotNil(t, e.Error)
	require.NotEmpty(t, *e.Error.Message)
	require.NotEmpty(t, *e.Error.Type)
	require.False(t, strings.ContainsAny(string(body), "\r\n"), "an error is one line")
	return e
}

func TestEveryCodeMakesAWholeError(t *testing.T) {
	for code, entry := range codes {
		e := NewError(code)
		require.Equal(t, entry.status, e.Status, code)
		require.Regexp(t, `^[A-Z].*\.$`, e.Message, code)
		require.False(t, e.NoRetry, code)
		got := readError(t, e.AppendJSON(nil))
		require.Equal(t, code, got.Error.Code)
		if code != CodeBudgetSpent { // OpenAI has a type of its own for it
			require.Equal(t, TypeOfStatus(entry.status), *got.Error.Type)
		}
		require.Contains(t, e.Error(), code)
		require.NotContains(t, e.Error(), e.Message)
	}
}

func TestCodeOutsideTheListIsInternal(t *testing.T) {
	e := NewError("what is this")
	require.Equal(t, CodeInternal, e.Code)
	require.Equal(t, 500, e.Status)
}

func TestNewErrorIsTheCallers(t *testing.T) {
	NewError(CodeInternal).Message = "changed"
	require.NotEqual(t, "changed", NewError(CodeInternal).Message)
}

func TestRepeatIsDiscouragedOnlyAfterSending(t *testing.T) {
	f := func(code string, want bool) {
		t.Helper()
		require.False(t, UpstreamError(code, false).NoRetry, code)
		require.Equal(t, want, UpstreamError(code, true).NoRetry, code)
	}
	f(CodeUpstreamClosed, true)
	f(CodeUpstreamReset, true)
	f(CodeUpstreamTruncated, true)
	f(CodeUpstreamTimeout, true)
	f(CodeUpstreamBadResponse, true)
	f(CodeUpstreamBadContentType, true)
	f(CodeUpstreamBadEncoding, true)
	f(CodeInternal, true)
	f(CodeUpstreamTLS, true)
	f(CodeShuttingDown, true)

	f(CodeUpstreamConnectFailed, false)
	f(CodeUpstreamConnectTimeout, false)
	f(CodeUpstreamDNS, false)
	f(CodeUpstreamRedirect, false)
}

func TestErrorJSON(t *testing.T) {
	f := func(e *Error, want string) {
		t.Helper()
		require.Equal(t, want, string(e.AppendJSON(nil)))
	}
	f(&Error{Status: 400, Message: "m", Type: "t", Param: "p", Code: "c"},
		`{"error":{"message":"m","type":"t","param":"p","code":"c"}}`)
	f(&Error{Status: 429, Message: "m"},
		`{"error":{"message":"m","type":"rate_limit_error","param":null,"code":null}}`)
	f(&Error{Status: 400, Message: "a\"b\\c\nd\r\x00\xff\u2028<&>"},
		`{"error":{"message":"a\"b\\c\nd\r\u0000`+"\uFFFD"+`\u2028<&>","type":"invalid_request_error","param":null,"code":null}}`)
	f(DuplicateKey("stream"),
		`{"error":{"message":"'stream' appears more than once in the request body.","type":"invalid_request_error","param":"stream","code":"duplicate_key"}}`)
	f(InvalidType("n", "an integer"),
		`{"error":{"message":"'n' must be an integer.","type":"invalid_request_error","param":"n","code":"invalid_type"}}`)
	f(ModelNotFound("gpt"),
		`{"error":{"message":"The model 'gpt' does not exist or you do not have access to it.","type":"not_found_error","param":"model","code":"model_not_found"}}`)
	f(BodyTooLarge(33554432),
		`{"error":{"message":"The request body is larger than 33554432 bytes.","type":"invalid_request_error","param":null,"code":"body_too_large"}}`)
	f(ErrorOfStatus(503, "overloaded", "Later."),
		`{"error":{"message":"Later.","type":"server_error","param":null,"code":"overloaded"}}`)
}

func TestLongModelNameIsNotRepeated(t *testing.T) {
	name := strings.Repeat("x", 500)
	require.Less(t, len(ModelNotFound(name).Message), 100)
	require.NotContains(t, ModelNotFound("").Message, "''")
}

func TestErrorEvent(t *testing.T) {
	e := &Error{Status: 504, Message: "late", Code: CodeUpstreamTimeout}
	event := `data: {"error":{"message":"late","type":"timeout","param":null,"code":"upstream_timeout"}}` + "\n\n"
	require.Equal(t, event, string(AppendErrorEvent(nil, e, false)))
	require.Equal(t, event+"data: [DONE]\n\n", string(AppendErrorEvent(nil, e, true)))
	require.Equal(t, "x"+event, string(AppendErrorEvent([]byte("x"), e, false)))

	e.Message = "a\r\n\r\ndata: injected\u2028\u0085"
	out := string(AppendErrorEvent(nil, e, false))
	require.Equal(t, 2, strings.Count(out, "\n"))
	require.NotContains(t, out, "\r")
	require.True(t, strings.HasSuffix(out, "\n\n"))
}

func TestResponsesErrorIsFlatAndNested(t *testing.T) {
	require.Equal(t, "event: error\ndata: "+
		`{"type":"error","code":"upstream_reset","message":"The provider reset the connection.","param":null,`+
		`"error":{"message":"The provider reset the connection.","type":"server_error","param":null,"code":"upstream_reset"}}`+"\n\n",
		string(AppendResponsesError(nil, NewError(CodeUpstreamReset))))

	out := string(AppendResponsesError([]byte("x"), &Error{Status: 500, Message: "a\n\nb\xff", Param: "p\r"}))
	data, ok := strings.CutPrefix(out, "xevent: error\ndata: ")
	require.True(t, ok)
	require.True(t, json.Valid([]byte(data)))
	require.NotContains(t, strings.TrimSuffix(data, "\n\n"), "\n")
}

func TestSomeErrorsSayWhenToComeBack(t *testing.T) {
	require.Equal(t, time.Second, NewError(CodeShuttingDown).RetryAfter)
	require.Zero(t, NewError(CodeInvalidJSON).RetryAfter)
}

func TestQuotedStringsReadBackTheSame(t *testing.T) {
	f := func(s string) {
		t.Helper()
		quoted := AppendQuoted([]byte("x"), s)[1:]
		var back string
		require.NoError(t, json.Unmarshal(quoted, &back), "%q", quoted)
		require.Equal(t, string([]rune(s)), back, "each broken byte becomes one U+FFFD")
		require.True(t, utf8.Valid(quoted))
		require.False(t, strings.ContainsAny(string(quoted), "\r\n\u2028\u2029\x7f"))
	}
	f("")
	f("plain")
	f(`"\/`)
	f("é€😀")
	f("\u2027\u2028\u2029\u202a")
	f("a\xffb")
	f("\xe2\x80")
	f("\xf0\x9f\x98")
	f("\xed\xa0\x80x")
	f("<script>&")
	for c := range 256 {
		f("a" + string(rune(c)) + "b")
		f("a" + string([]byte{byte(c)}) + "b")
	}
}

// Clients choose by the code whether to try again.
func TestErrorsOfOtherDialectsGetOpenAIsCodes(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, want string
	}{
		{429, "", "rate_limit_exceeded"},
		{429, "RESOURCE_EXHAUSTED", "rate_limit_exceeded"},
		{429, "insufficient_quota", "insufficient_quota"},
		{401, "", "invalid_api_key"},
		{503, "", "overloaded"},
		{503, "busy", "busy"},
		{400, "", ""},
	} {
		require.Equal(t, c.want, (&Error{Status: c.status, Code: c.code}).InOpenAIsWords().Code)
	}
}
