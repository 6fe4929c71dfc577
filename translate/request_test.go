package translate

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRequestReadsWhatSluiceActsOn(t *testing.T) {
	f := func(ep Endpoint, body string, want Request) {
		t.Helper()
		got, failed := ParseRequest(ep, []byte(body))
		require.Nil(t, failed, body)
		require.Equal(t, ep, got.Endpoint)
		require.Equal(t, want.Model, got.Model, body)
		require.Equal(t, want.Stream, got.Stream, body)
		require.Equal(t, want.IncludeUsage, got.IncludeUsage, body)
		require.Equal(t, want.ContinuousUsage, got.ContinuousUsage, body)
		require.Equal(t, max(want.N, 1), got.N, body)
		require.Equal(t, want.MaxTokens, got.MaxTokens, body)
	}
	f(ChatCompletions, `{"model":"m"}`, Request{Model: "m"})
	f(ChatCompletions, " \r\n\t{ \"model\" : \"m\" }\n", Request{Model: "m"})
	f(ChatCompletions, `{"model":"org/m-1.5:free"}`, Request{Model: "org/m-1.5:free"})
	f(ChatCompletions, `{"model":"\u006d\u00e9\ud83d\ude00"}`, Request{Model: "mé😀"})
	f("images/generations", `{"model":"m","n":4}`, Request{Model: "m", N: 4})

	f(ChatCompletions, `{"model":"m","stream":true}`, Request{Model: "m", Stream: true})
	f(ChatCompletions, `{"model":"m","stream":false}`, Request{Model: "m"})
	f(ChatCompletions, `{"stream":true,"model":"m","stream_options":{"include_usage":true}}`,
		Request{Model: "m", Stream: true, IncludeUsage: true})
	f(ChatCompletions, `{"stream":true,"model":"m","stream_options":{"continuous_usage_stats":true,"include_usage":true}}`,
		Request{Model: "m", Stream: true, IncludeUsage: true, ContinuousUsage: true})

	// null is absent
	f(ChatCompletions, `{"model":"m","stream":null,"stream_options":null,"n":null,"max_tokens":null}`, Request{Model: "m"})
	f(ChatCompletions, `{"model":"m","stream_options":{"include_usage":null,"other":{"include_usage":true}}}`, Request{Model: "m"})

	// counts in any spelling; what makes no sense is for the upstream to refuse
	f(ChatCompletions, `{"model":"m","n":3}`, Request{Model: "m", N: 3})
	f(ChatCompletions, `{"model":"m","n":2.0}`, Request{Model: "m", N: 2})
	f(ChatCompletions, `{"model":"m","n":0}`, Request{Model: "m", N: 1})
	f(ChatCompletions, `{"model":"m","n":-7}`, Request{Model: "m", N: 1})
	f(ChatCompletions, `{"model":"m","n":9000000000000000000}`, Request{Model: "m", N: math.MaxInt32})
	f(ChatCompletions, `{"model":"m","max_tokens":1e3}`, Request{Model: "m", MaxTokens: 1000})
	f(ChatCompletions, `{"model":"m","max_tokens":-1}`, Request{Model: "m"})
	f(ChatCompletions, `{"model":"m","max_completion_tokens":9007199254740993}`, Request{Model: "m", MaxTokens: 9007199254740993})
	f(Responses, `{"model":"m","max_output_tokens":5}`, Request{Model: "m", MaxTokens: 5})
	f(ChatCompletions, `{"model":"m","max_tokens":10,"max_completion_tokens":20}`, Request{Model: "m", MaxTokens: 20})

	// only the top level counts
	f(ChatCompletions, `{"a":{"model":1,"stream":"x"},"model":"m","b":[{"n":"x"}]}`, Request{Model: "m"})
	f(ChatCompletions, `{"mod\u0065l":"m","\u0073tream":true}`, Request{Model: "m", Stream: true})
	f(ChatCompletions, `{"a":{"MODEL":"x","Stream":true},"model":"m","stream_options":{"other":{"Include_Usage":1}}}`, Request{Model: "m"})
	f(ChatCompletions, `{"":1,"model":"m","mode\\l":2,"model ":3,"model\u0000":4}`, Request{Model: "m"})

	// members unknown to sluice may repeat
	f(ChatCompletions, `{"x":1,"x":2,"X":3,"model":"m"}`, Request{Model: "m"})
	f(ChatCompletions, `{"messages":[],"Messages":[],"model":"m"}`, Request{Model: "m"})
	f(ChatCompletions, `{"models":1,"mode":2,"stream-options":3,"streamoptions":4,"max_Tokenz":5,"model":"m"}`, Request{Model: "m"})
}

func TestParseRequestRefuses(t *testing.T) {
	f := func(body, code, param string) {
		t.Helper()
		r, failed := ParseRequest(ChatCompletions, []byte(body))
		require.NotNil(t, failed, body)
		require.Nil(t, r)
		require.Equal(t, code, failed.Code, body)
		require.Equal(t, param, failed.Param, body)
		want := 400
		if code == CodeModelNotFound {
			want = 404
		}
		require.Equal(t, want, failed.Status, body)
		require.True(t, json.Valid(failed.AppendJSON(nil)))
	}
	f(`{"model":1}`, CodeInvalidType, "model")
	f(`{"model":["a"]}`, CodeInvalidType, "model")
	f(`{"model":{"id":"a"}}`, CodeInvalidType, "model")
	f(`{"model":true}`, CodeInvalidType, "model")
	f(`{"model":"a","stream":"true"}`, CodeInvalidType, "stream")
	f(`{"model":"a","stream":1}`, CodeInvalidType, "stream")
	f(`{"model":"a","stream":[true]}`, CodeInvalidType, "stream")
	f(`{"model":"a","stream_options":true}`, CodeInvalidType, "stream_options")
	f(`{"model":"a","stream_options":[]}`, CodeInvalidType, "stream_options")
	f(`{"model":"a","stream_options":"include_usage"}`, CodeInvalidType, "stream_options")
	f(`{"model":"a","stream_options":{"include_usage":1}}`, CodeInvalidType, "stream_options.include_usage")
	f(`{"model":"a","stream_options":{"continuous_usage_stats":"x"}}`, CodeInvalidType, "stream_options.continuous_usage_stats")
	f(`{"model":"a","n":"2"}`, CodeInvalidType, "n")
	f(`{"model":"a","n":1.5}`, CodeInvalidType, "n")
	f(`{"model":"a","n":1e30}`, CodeInvalidType, "n")
	f(`{"model":"a","n":1e400}`, CodeInvalidType, "n")
	f(`{"model":"a","n":`+strings.Repeat("1", 100)+`}`, CodeInvalidType, "n")
	f(`{"model":"a","n":true}`, CodeInvalidType, "n")
	f(`{"model":"a","max_tokens":"100"}`, CodeInvalidType, "max_tokens")
	f(`{"model":"a","max_completion_tokens":[]}`, CodeInvalidType, "max_completion_tokens")
	f(`{"model":"a","max_output_tokens":0.1}`, CodeInvalidType, "max_output_tokens")

	f(`{}`, CodeMissingModel, "model")
	f(`{"model":""}`, CodeMissingModel, "model")
	f(`{"model":null}`, CodeMissingModel, "model")
	f(`{"a":{"model":"x"}}`, CodeMissingModel, "model")

	// names that no model can have
	f(`{"model":"`+strings.Repeat("m", maxModelLength+1)+`"}`, CodeModelNotFound, "model")
	f(`{"model":"`+strings.Repeat("m", 100_000)+`"}`, CodeModelNotFound, "model")
	f("{\"model\":\"a\xff\"}", CodeModelNotFound, "model")
	f(`{"model":"a\ud800"}`, CodeModelNotFound, "model")
	f(`{"model":"a\r\nX-Other: b"}`, CodeModelNotFound, "model")
	f(`{"model":"a\u0000"}`, CodeModelNotFound, "model")

	f("\xef\xbb\xbf{\"model\":\"a\"}", CodeInvalidJSON, "")
	f(`[{"model":"a"}]`, CodeInvalidJSON, "")
	f(`"model"`, CodeInvalidJSON, "")
	f(`null`, CodeInvalidJSON, "")
	f(`1`, CodeInvalidJSON, "")
	f(``, CodeInvalidJSON, "")
	f(` `, CodeInvalidJSON, "")
}

func TestModelNameAtItsLimit(t *testing.T) {
	name := strings.Repeat("m", maxModelLength)
	r, failed := ParseRequest(Embeddings, []byte(`{"model":"`+name+`"}`))
	require.Nil(t, failed)
	require.Equal(t, name, r.Model)

	spelled := strings.Repeat(`\u006d`, maxModelLength)
	r, failed = ParseRequest(Embeddings, []byte(`{"model":"`+spelled+`"}`))
	require.Nil(t, failed)
	require.Equal(t, name, r.Model)
}

func TestRequestSharesNoMemoryWithItsBody(t *testing.T) {
	body := []byte(`{"model":"abc","stream":true}`)
	r, failed := ParseRequest(ChatCompletions, body)
	require.Nil(t, failed)
	clear(body)
	require.Equal(t, "abc", r.Model)
}
