package translate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRewriteAnswer(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		in := []byte(body)
		require.Equal(t, want, string(RewriteAnswer(nil, in, "fast")))
		require.Equal(t, body, string(in), "the answer is not written to")
	}
	f(`{"model":"gpt-4o-mini-2024"}`, `{"model":"fast"}`)
	f("\n{ \"id\":\"x\", \"model\" : \"y\" ,\"usage\":{\"total_tokens\":1.50}}\n", "\n{ \"id\":\"x\", \"model\" : \"fast\" ,\"usage\":{\"total_tokens\":1.50}}\n")
	f(`{"choices":[{"model":"a","message":{"content":"\"model\":\"b\""}}],"model":"c"}`,
		`{"choices":[{"model":"a","message":{"content":"\"model\":\"b\""}}],"model":"fast"}`)
	f(`{"mod\u0065l":""}`, `{"mod\u0065l":"fast"}`)
	f(`{"model":"a","model":"b"}`, `{"model":"fast","model":"fast"}`)

	same := func(body string) {
		t.Helper()
		in := []byte(body)
		out := RewriteAnswer(nil, in, "fast")
		require.Equal(t, body, string(out))
		if len(in) > 0 {
			require.Same(t, &in[0], &out[0])
		}
	}
	same(``)
	same(`{}`)
	same(`{"model":"fast"}`)
	same(`{"model":"\u0066ast"}`)
	same(`{"model":null}`)
	same(`{"Model":"a"}`)
	same(`[{"model":"a"}]`)
	same(`"model"`)
	same(`<html>`)
	same(`{"model":"a"`)
	same(`{"model":"a",`)
	same(`{"model":"a"}}`)
	same(`{"model":"a}`)
}
