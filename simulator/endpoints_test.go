package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModelsAreListedAndShown(t *testing.T) {
	s := start(t)
	var list struct {
		Object string
		Data   []struct{ ID, Object string }
	}
	require.Equal(t, 200, s.get("/v1/models", &list))
	require.Equal(t, "list", list.Object)
	require.Len(t, list.Data, len(models))
	for _, m := range list.Data {
		var shown struct{ ID, Object string }
		require.Equal(t, 200, s.get("/v1/models/"+m.ID, &shown))
		require.Equal(t, m, shown)
		require.Equal(t, "model", shown.Object)
	}
	var e map[string]any
	require.Equal(t, 404, s.get("/v1/models/gpt-4o", &e))
}

func TestTextCompletions(t *testing.T) {
	s := start(t)
	_, v := s.whole("/v1/completions", `{"model":"sim-long","prompt":["a b","c"],"n":2}`)
	require.Equal(t, "text_completion", v["object"])
	choices := v["choices"].([]any)
	require.Len(t, choices, 4)
	require.Equal(t, "length", choices[3].(map[string]any)["finish_reason"])
	require.EqualValues(t, 3, v["usage"].(map[string]any)["prompt_tokens"])
	require.EqualValues(t, 4*legacyMaxTokens, v["usage"].(map[string]any)["completion_tokens"])

	events := s.events("/v1/completions", `{"model":"sim-long","prompt":[[1,2,3]],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}`)
	require.Len(t, events, 5+1+1+1)
	text := ""
	for _, e := range events[:6] {
		var a textAnswer
		require.NoError(t, json.Unmarshal([]byte(e), &a))
		require.Equal(t, "null", string(a.Usage))
		text += a.Choices[0].Text
	}
	require.Equal(t, "A sluice is a gate", text)
	require.Contains(t, events[5], `"finish_reason":"length"`)
	require.Contains(t, events[6], `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8`)
	require.Equal(t, "[DONE]", events[7])
}

func TestEmbeddings(t *testing.T) {
	s := start(t)
	vectors := func(body string) [][]float64 {
		_, v := s.whole("/v1/embeddings", body)
		var out [][]float64
		for i, d := range v["data"].([]any) {
			require.EqualValues(t, i, d.(map[string]any)["index"])
			var one []float64
			for _, x := range d.(map[string]any)["embedding"].([]any) {
				one = append(one, x.(float64))
			}
			out = append(out, one)
		}
		return out
	}
	near := vectors(`{"model":"sim-embedding","input":["the red mill","the old mill","seven ships"]}`)
	require.Len(t, near[0], defaultDimensions)
	require.InDelta(t, 1, dot(near[0], near[0]), 1e-5)
	require.Greater(t, dot(near[0], near[1]), dot(near[0], near[2]))
	require.Len(t, vectors(`{"model":"sim-embedding","input":[1,2],"dimensions":8}`)[0], 8)

	_, v := s.whole("/v1/embeddings", `{"model":"sim-embedding","input":"the red mill","encoding_format":"base64"}`)
	raw, err := base64.StdEncoding.DecodeString(v["data"].([]any)[0].(map[string]any)["embedding"].(string))
	require.NoError(t, err)
	require.Len(t, raw, 4*defaultDimensions)
	for i, want := range near[0] {
		require.InDelta(t, want, math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])), 1e-6)
	}
	require.EqualValues(t, 3, v["usage"].(map[string]any)["prompt_tokens"])
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
