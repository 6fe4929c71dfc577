package openai_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate/openai"
)

// What is no chunk, and chunks that say nothing of the stream they belong to, are left
// alone but for what the client must not see.
func TestWhatDoesNotClaimToBeOpenAIsIsLeftAlone(t *testing.T) {
	for _, data := range []string{
		`{"a":1}`, `{"choices":[{"index":0`, `[]`, `{"choices":{}}`,
		`{"choices":[{"delta":{"content":"a"}}],"usage":null}`,
	} {
		var r openai.Repair
		r.Reset(openai.Options{ChatID: "c", Asked: "m"})
		out, verdict := r.Event(nil, []byte(data))
		require.Equal(t, openai.Untouched, verdict, data)
		require.Empty(t, out)
		require.Empty(t, r.Done(nil))
	}

	var r openai.Repair
	r.Reset(openai.Options{HideUsage: true})
	out, verdict := r.Event(nil, []byte(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`))
	require.Equal(t, openai.Replaced, verdict)
	require.Equal(t, `data: {"choices":[{"delta":{"content":"a"}}]}`+"\n\n", string(out))
	out, verdict = r.Event(nil, []byte(`{"choices":[],"usage":{"prompt_tokens":1}}`))
	require.Equal(t, openai.Replaced, verdict)
	require.Empty(t, out)
}
