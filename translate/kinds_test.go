package translate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/anthropic"
	"github.com/sluicehq/sluice/translate/bedrock"
	"github.com/sluicehq/sluice/translate/cohere"
	"github.com/sluicehq/sluice/translate/gemini"
	"github.com/sluicehq/sluice/translate/ollama"
)

// What servers of OpenAI's dialect answer, in their words but with other numbers.
func TestKindsOfErrorAnswers(t *testing.T) {
	f := func(want translate.ErrorKind, status int, body string) {
		t.Helper()
		require.Equal(t, want.String(), translate.ClassifyError(status, "application/json", []byte(body)).String(), body)
		if shaped := translate.ReshapeError(status, "application/json", []byte(body)); strings.Contains(body, `"error":{"message":"`) && !strings.Contains(body, `"message":""`) {
			require.Equal(t, body, string(shaped), "a body in OpenAI's form stays as it is")
		}
	}
	message := func(want translate.ErrorKind, status int, messages ...string) {
		t.Helper()
		for _, m := range messages {
			quoted := string(translate.AppendQuoted(nil, m))
			f(want, status, `{"error":{"message":`+quoted+`,"type":"invalid_request_error","param":null,"code":null}}`)
			f(want, status, `{"error":`+quoted+`}`)
			f(want, status, `{"object":"error","message":`+quoted+`,"type":"BadRequestError","code":`+fmt.Sprint(status)+`}`)
			require.Equal(t, want.String(), translate.ClassifyError(status, "text/plain", []byte(m)).String(), m)
		}
	}
	message(translate.KindContextLength, 400,
		"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.",
		"Your input exceeds the context window of this model. Please adjust your input and try again.",
		"'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 tokens and your request has 2104 input tokens (2000 > 4096 - 2104).",
		"The input (9001 tokens) is longer than the model's context length (8192 tokens).",
		"Requested token count exceeds the model's maximum context length of 8192 tokens.",
		"the request exceeds the available context size, try increasing it",
		"Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
		"This endpoint's maximum context length is 8192 tokens. However, you requested about 9001 tokens.",
		"This model's maximum prompt length is 131072 but the request contains 200001 tokens.",
		"Please reduce the length of the messages or completion.",
		"prompt too long; exceeded max context length by 12 tokens (ref: 1)",
		"Trying to keep the first 6000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens",
		"Your request exceeded model token limit: 8192 (requested: 9001)",
		"Range of input length should be [1, 98304]",
		"invalid params, context window exceeds limit (2013)",
		"prompt token count of 9001 exceeds the limit of 8192",
		"Input is too long for requested model.",
	)
	message(translate.KindContextLength, 422,
		"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`",
		"Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
	)
	message(translate.KindContextLength, 500, "the request exceeds the available context size. try increasing the context size or enable context shift")
	f(translate.KindContextLength, 400, `{"error":{"message":"Too long.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`)
	f(translate.KindContextLength, 400, `{"error":{"message":"The total length of all messages is too long.","type":"too_many_prompt_tokens","code":400}}`)
	f(translate.KindContextLength, 400, `{"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}`)
	f(translate.KindContextLength, 413, `{"error":{"message":"Request body too large for the model.","code":"tokens_limit_reached"}}`)
	f(translate.KindContextLength, 413, ``)
	f(translate.KindContextLength, 400, `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"type\":\"error\",\"error\":{\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}"}}}`)

	message(translate.KindContent, 400,
		"The response was filtered due to the prompt triggering the content management policy. Please modify your prompt and retry.",
		"Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt.",
		"Content Exists Risk",
		"The request was rejected because it was considered high risk",
		"Output data may contain inappropriate content.",
		"Output blocked by content filtering policy",
		"Your request was rejected as a result of our safety system.",
	)
	message(translate.KindContent, 403, `model requires moderation. Your input was flagged for "violence"`, "Content violates usage guidelines. Failed check: X")
	f(translate.KindContent, 400, `{"error":{"message":"Filtered.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}`)
	f(translate.KindContent, 400, `{"error":{"message":"Filtered.","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`)
	f(translate.KindContent, 400, `{"error":{"message":"x","type":"data_inspection_failed","param":null,"code":"data_inspection_failed"}}`)

	for _, status := range []int{429, 503, 529} {
		message(translate.KindOverloaded, status, "Wait.", "Too many tokens, please wait before trying again.", "")
		f(translate.KindOverloaded, status, `<html><body>busy</body></html>`)
	}
	f(translate.KindOverloaded, 413, `{"error":{"message":"Request too large on tokens per minute (TPM): Limit 6000, Requested 7000","type":"tokens","code":"rate_limit_exceeded"}}`)
	f(translate.KindOverloaded, 400, `{"error":{"message":"x","code":"insufficient_quota"}}`)
	f(translate.KindContextLength, 429, `{"error":{"message":"x","code":"context_length_exceeded"}}`)

	message(translate.KindOther, 400, "Invalid value", "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
		"`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model", "")
	for _, status := range []int{401, 404, 408, 504} {
		message(translate.KindOther, status, "maximum context length", "content policy", "overloaded")
	}
	message(translate.KindOther, 500, "The server is overloaded.") // it may have run
	message(translate.KindOther, 502, "", "rate limit")
	f(translate.KindOther, 403, `{"error":{"message":"Project has no access to a model with a context length that exceeds 8192"}}`)
	f(translate.KindOther, 400, `{"error":{"message":{},"code":["x"],"type":7,"status":{"a":1}}}`)
	f(translate.KindOther, 400, `{"error":{"message":"x","code":"`+strings.Repeat("x", 1<<20)+`"}}`)
}

func TestKindsOfErrorEvents(t *testing.T) {
	f := func(want translate.ErrorKind, events ...string) {
		t.Helper()
		for _, data := range events {
			require.Equal(t, want.String(), translate.ClassifyErrorEvent([]byte(data)).String(), data)
		}
	}
	f(translate.KindOverloaded,
		`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
		`{"type":"error","error":{"type":"rate_limit_error","message":"x"}}`,
		`{"error":{"code":429,"message":"x"}}`, `{"error":{"code":"503","message":"x"}}`, `{"error":{"message":"x","code":529},"choices":[]}`,
		`{"error":{"message":"x","type":"server_error","code":"rate_limit_exceeded"}}`,
		`{"error":{"message":"x","type":"y","code":"z","status_code":429}}`,
		`{"error":{"message":"x","status":"RESOURCE_EXHAUSTED"}}`, `[{"error":{"message":"x","status":"UNAVAILABLE"}}]`,
		`{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}`,
		`{"type":"error","code":"server_is_overloaded","message":"x"}`,
		`{"throttlingException":{"message":"x"}}`, `{"serviceUnavailableException":{"message":"x"}}`,
		`{"error":"The server is overloaded"}`, `{"error":{"message":"Rate limit reached for requests"}}`, `{"object":"error","message":"x","code":429}`,
	)
	f(translate.KindContextLength,
		`{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}`, `{"type":"error","code":"context_length_exceeded","message":"x"}`,
		`{"type":"response.failed","response":{"error":{"code":"context_length_exceeded","message":"x"}}}`,
		`{"validationException":{"message":"Input is too long for requested model."}}`,
	)
	f(translate.KindContent, `{"error":{"code":"content_filter","message":"x"}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`)
	f(translate.KindOther, ``, ` `, `[DONE]`, `{`, `null`, `[]`, `{}`, `"x"`, `{"error":null}`, `{"error":{}}`, `{"error":{"message":"x","code":500}}`,
		`{"modelStreamErrorException":{"message":"x"}}`, `{"id":"c","choices":[{"index":0,"delta":{"content":"overloaded"}}]}`,
		strings.Repeat("[", 100_000))
}

// Clients choose by the code, so it is OpenAI's where the provider has another word or
// none; what the provider says of it stays.
func TestErrorsOfEveryDialectGetTheCodesThatClientsKnow(t *testing.T) {
	for _, c := range []struct {
		dialect translate.Dialect
		status  int
		body    string
		code    string
		kind    translate.ErrorKind
	}{
		{anthropic.Dialect{}, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{anthropic.Dialect{}, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"input length and 'max_tokens' exceed context limit: 9 + 9 > 8"}}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{anthropic.Dialect{}, 413, `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, "request_too_large", translate.KindContextLength},
		{anthropic.Dialect{}, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`, translate.ContentFiltered, translate.KindContent},
		{anthropic.Dialect{}, 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, "overloaded", translate.KindOverloaded},
		{anthropic.Dialect{}, 400, `{"message":"Input is too long for requested model."}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{gemini.Dialect{}, 400, `{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{gemini.Dialect{}, 400, `{"error":{"code":400,"message":"Unable to submit request because the input token count is 9 but model only supports up to 8.","status":"INVALID_ARGUMENT"}}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{gemini.Dialect{}, 400, `{"error":{"code":400,"message":"The prompt could not be submitted. This prompt contains sensitive words that violate the Responsible AI practices.","status":"INVALID_ARGUMENT"}}`, translate.ContentFiltered, translate.KindContent},
		{gemini.Dialect{}, 429, `{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}`, "rate_limit_exceeded", translate.KindOverloaded},
		{gemini.Dialect{}, 503, `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`, "overloaded", translate.KindOverloaded},
		{cohere.Dialect{}, 400, `{"error_type":"TOO_MANY_TOKENS","id":"i","message":"too many tokens: size limit exceeded by 9 tokens."}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{cohere.Dialect{}, 413, ``, "request_too_large", translate.KindContextLength},
		{cohere.Dialect{}, 400, `{"message":"x"}`, "", translate.KindOther},
		{bedrock.Dialect{}, 400, `{"message":"Input is too long for requested model."}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{bedrock.Dialect{}, 400, `{"__type":"a#ValidationException","message":"Too many input tokens. Max input tokens: 8, request input token count: 9"}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{bedrock.Dialect{}, 400, `{"message":"This request has been blocked by our content filters."}`, translate.ContentFiltered, translate.KindContent},
		{bedrock.Dialect{}, 429, `{"message":"Too many tokens, please wait before trying again."}`, "rate_limit_exceeded", translate.KindOverloaded},
		{bedrock.Dialect{}, 400, `{"__type":"a#ServiceQuotaExceededException","message":"x"}`, "ServiceQuotaExceededException", translate.KindOverloaded},
		{bedrock.Dialect{}, 424, `{"message":"The model failed."}`, "", translate.KindOther},
		{ollama.Dialect{}, 400, `{"error":"prompt too long; exceeded max context length by 9 tokens"}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{ollama.Dialect{}, 500, `{"error":"input length exceeds the context length"}`, translate.ContextLengthExceeded, translate.KindContextLength},
		{ollama.Dialect{}, 503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`, "overloaded", translate.KindOverloaded},
	} {
		e := c.dialect.Error(c.status, "application/json", []byte(c.body))
		require.Equal(t, c.kind.String(), e.Kind().String(), c.body)
		said := e.Message
		e = e.InOpenAIsWords()
		require.Equal(t, c.code, e.Code, c.body)
		require.Equal(t, said, e.Message)
		require.Equal(t, c.kind.String(), e.Kind().String(), "it stays what it is: %s", c.body)
		require.Equal(t, c.kind, translate.ClassifyError(e.Status, "application/json", e.AppendJSON(nil)), "the client sees the same: %s", c.body)
	}
}

// An error that comes instead of an answer, with a status that promises one.
func TestErrorsInsideOfAnswersHaveAKindToo(t *testing.T) {
	for _, c := range []struct {
		dialect    translate.Dialect
		name, data string
		kind       translate.ErrorKind
	}{
		{anthropic.Dialect{}, "error", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, translate.KindOverloaded},
		{anthropic.Dialect{}, "error", `{"type":"error","error":{"type":"api_error","message":"x"}}`, translate.KindOther},
		{gemini.Dialect{}, "", `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`, translate.KindOverloaded},
		{gemini.Dialect{}, "", `{"error":{"message":"x","status":"RESOURCE_EXHAUSTED"}}`, translate.KindOverloaded},
		{cohere.Dialect{}, "", `{"type":"message-end","delta":{"finish_reason":"ERROR_LIMIT"}}`, translate.KindContextLength},
		{cohere.Dialect{}, "", `{"type":"message-end","delta":{"finish_reason":"ERROR_TOXIC"}}`, translate.KindContent},
		{cohere.Dialect{}, "", `{"type":"message-end","delta":{"finish_reason":"ERROR","error":"x"}}`, translate.KindOther},
		{bedrock.Dialect{}, "exception throttlingException", `{"message":"Too many tokens"}`, translate.KindOverloaded},
		{bedrock.Dialect{}, "exception validationException", `{"message":"Input is too long for requested model."}`, translate.KindContextLength},
		{bedrock.Dialect{}, "exception modelStreamErrorException", `{"message":"x"}`, translate.KindOther},
		{ollama.Dialect{}, "", `{"error":"server busy, please try again"}`, translate.KindOverloaded},
		{ollama.Dialect{}, "", `{"error":"the model has crashed"}`, translate.KindOther},
	} {
		w := translate.NewChunkWriter(translate.Head{}, translate.WriterOptions{})
		require.Equal(t, translate.Failed, c.dialect.Decoder(&translate.Context{}).Event(w, []byte(c.name), []byte(c.data)))
		e := w.Failure()
		require.Equal(t, c.kind.String(), e.Kind().String(), c.data)
		require.Equal(t, c.kind.String(), e.InOpenAIsWords().Kind().String(), c.data)
	}
}

func TestReshapedErrorsGetTheCodesThatClientsKnow(t *testing.T) {
	f := func(status int, body, code string) {
		t.Helper()
		var e struct {
			Error struct{ Message, Code string }
		}
		require.NoError(t, json.Unmarshal(translate.ReshapeError(status, "application/json", []byte(body)), &e))
		require.Equal(t, code, e.Error.Code, body)
		require.NotEmpty(t, e.Error.Message)
	}
	f(400, `{"error":"prompt is too long"}`, translate.ContextLengthExceeded)
	f(400, `{"detail":"Content Exists Risk"}`, translate.ContentFiltered)
	f(400, `{"error":{"msg":"prompt is too long","more":1}}`, translate.ContextLengthExceeded)
	f(400, `{"error":{"msg":"prompt is too long","code":null}}`, translate.ContextLengthExceeded)
	f(400, `{"code":"own","message":"prompt is too long"}`, "own")
	f(413, `<html>too large</html>`, "")
	f(429, `{"message":"Wait"}`, "")
}

func TestRecordedErrorsAreOfTheRightKind(t *testing.T) {
	paths, err := filepath.Glob("../../shared/captures/*/*-http-*/response.json")
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skip("the recordings are not here")
	}
	tooLong := map[string]bool{"cohere/v2-http-400": true, "ollama/chat-http-400": true, "perplexity/chat-http-400": true}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		var meta struct{ Status int }
		described, err := os.ReadFile(filepath.Join(filepath.Dir(path), "meta.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(described, &meta))
		name, err := filepath.Rel("../../shared/captures", filepath.Dir(path))
		require.NoError(t, err)
		want := translate.KindOther
		switch {
		case tooLong[name]:
			want = translate.KindContextLength
		case meta.Status == 429:
			want = translate.KindOverloaded
		}
		require.Equal(t, want.String(), translate.ClassifyError(meta.Status, "application/json", body).String(), name)
	}
}

func FuzzClassifyError(f *testing.F) {
	f.Add(400, "application/json", `{"error":{"message":"prompt is too long","code":"x","innererror":{"code":"y"},"metadata":{"raw":"z"}}}`)
	f.Add(0, "", `[{"error":{"status":"UNAVAILABLE"}}]`)
	f.Add(529, "text/html", "<html>")
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		kind := translate.ClassifyError(status, contentType, []byte(body))
		require.NotEmpty(t, kind.String())
		if status == 429 || status == 503 || status == 529 {
			require.NotEqual(t, translate.KindOther, kind)
		}
		require.NotEmpty(t, translate.ClassifyErrorEvent([]byte(body)).String())
	})
}
