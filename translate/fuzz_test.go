package translate

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkPrepare holds ParseRequest and Prepare against encoding/json: what is accepted
// is read the same, and what is sent differs in nothing but the intended members.
func checkPrepare(t *testing.T, ep Endpoint, body []byte, model string, ask Ask) {
	t.Helper()
	before := bytes.Clone(body)
	r, failed := ParseRequest(ep, body)
	require.Equal(t, before, body, "the client's body is not written to")
	if failed != nil {
		require.Nil(t, r)
		require.True(t, json.Valid(failed.AppendJSON(nil)))
		require.True(t, failed.Status == 400 || failed.Status == 404)
		if failed.Code == CodeInvalidJSON {
			var object map[string]json.RawMessage
			require.Error(t, unmarshalObject(body, &object))
		}
		return
	}
	var was, is map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &was))
	checkRead(t, r, was)

	out := r.Prepare(nil, body, model, ask)
	require.Equal(t, before, body, "the client's body is not written to")
	require.NoError(t, json.Unmarshal(out, &is), "%q", out)

	if model == "" {
		model = r.Model
	}
	require.Equal(t, string([]rune(model)), decoded[string](t, is["model"]))
	asks := r.Stream && (ep == ChatCompletions || ep == Completions) && ask != (Ask{})
	if asks {
		checkOptions(t, was["stream_options"], is["stream_options"], ask)
	}
	for _, changed := range []string{"model", "stream_options"} {
		if changed == "model" || asks {
			delete(was, changed)
			delete(is, changed)
		}
	}
	require.Equal(t, was, is, "all else keeps its bytes")
}

// unmarshalObject fails for everything that is no object, null too.
func unmarshalObject(body []byte, into *map[string]json.RawMessage) error {
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	if *into == nil {
		return os.ErrInvalid
	}
	return nil
}

func decoded[T any](t *testing.T, raw json.RawMessage) (value T) {
	t.Helper()
	if raw != nil {
		require.NoError(t, json.Unmarshal(raw, &value), "%q", raw)
	}
	return value
}

func checkRead(t *testing.T, r *Request, members map[string]json.RawMessage) {
	t.Helper()
	require.Equal(t, decoded[string](t, members["model"]), r.Model)
	require.Equal(t, decoded[bool](t, members["stream"]), r.Stream)
	options := decoded[map[string]json.RawMessage](t, members["stream_options"])
	require.Equal(t, decoded[bool](t, options["include_usage"]), r.IncludeUsage)
	require.Equal(t, decoded[bool](t, options["continuous_usage_stats"]), r.ContinuousUsage)
	n := decoded[float64](t, members["n"])
	require.InDelta(t, min(max(n, 1), math.MaxInt32), float64(r.N), 0)
	require.GreaterOrEqual(t, float64(r.MaxTokens), decoded[float64](t, members["max_tokens"])*(1-1e-15))
}

func checkOptions(t *testing.T, was, is json.RawMessage, ask Ask) {
	t.Helper()
	before := decoded[map[string]json.RawMessage](t, was)
	after := decoded[map[string]json.RawMessage](t, is)
	require.True(t, decoded[bool](t, after["include_usage"]))
	if ask.ContinuousUsage {
		require.True(t, decoded[bool](t, after["continuous_usage_stats"]))
		delete(before, "continuous_usage_stats")
		delete(after, "continuous_usage_stats")
	}
	delete(before, "include_usage")
	delete(after, "include_usage")
	require.Len(t, after, len(before))
	for name, value := range before {
		require.Equal(t, string(value), string(after[name]))
	}
}

func FuzzPrepare(f *testing.F) {
	paths, err := filepath.Glob("testdata/prepare/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(parseGolden(string(text))["input"], "up", uint8(3))
	}
	for i, value := range append(validValues, invalidValues...) {
		f.Add(`{"model":"m","stream":true,"x":`+value+`}`, "é\"\xff", uint8(i))
		f.Add(`{"model":"m","n":`+value+`,"max_tokens":`+value+`}`, "", uint8(i))
		f.Add(`{"stream":true,"stream_options":`+value+`,"model":"m"}`, "up", uint8(i))
	}
	endpoints := []Endpoint{ChatCompletions, Completions, Embeddings, Responses}
	f.Fuzz(func(t *testing.T, body, model string, rule uint8) {
		ask := Ask{IncludeUsage: rule&1 != 0, ContinuousUsage: rule&2 != 0}
		checkPrepare(t, endpoints[rule>>2&3], []byte(body), model, ask)
	})
}

func FuzzReshapeError(f *testing.F) {
	paths, err := filepath.Glob("testdata/errors/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		file := parseGolden(string(text))
		f.Add(500, file.rules("rule")["content_type"], file["input"])
	}
	for _, value := range append(validValues, invalidValues...) {
		f.Add(400, "", value)
		f.Add(400, "application/json", `{"error":`+value+`}`)
		f.Add(400, "application/json", `{"message":`+value+`,"code":`+value+`}`)
	}
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		in := []byte(body)
		out := ReshapeError(status, contentType, in)
		require.Equal(t, body, string(in))
		requireMessage(t, out)
		if len(in) > 0 && &in[0] == &out[0] {
			require.Len(t, out, len(in))
			return
		}
		again := ReshapeError(status, "application/json", out)
		require.Equal(t, string(out), string(again), "a shaped error keeps its shape")
	})
}

func FuzzRewriteAnswer(f *testing.F) {
	f.Add(`{"id":"a","model":"b","choices":[{"model":"c"}]}`, "fast")
	f.Add(`{"model":"a","mod\u0065l":"b"`, "\xff")
	for _, value := range append(validValues, invalidValues...) {
		f.Add(`{"x":`+value+`,"model":"m"}`, "fast")
		f.Add(`{"model":`+value+`}`, "fast")
	}
	f.Fuzz(func(t *testing.T, body, model string) {
		out := RewriteAnswer(nil, []byte(body), model)
		if !json.Valid([]byte(body)) {
			return
		}
		require.True(t, json.Valid(out), "%q", out)
		var was, is map[string]json.RawMessage
		if unmarshalObject([]byte(body), &was) != nil {
			require.Equal(t, body, string(out))
			return
		}
		require.NoError(t, json.Unmarshal(out, &is))
		if strings.HasPrefix(string(was["model"]), `"`) {
			require.Equal(t, string([]rune(model)), decoded[string](t, is["model"]))
			delete(was, "model")
			delete(is, "model")
		}
		require.Equal(t, was, is)
	})
}

func FuzzAppendQuoted(f *testing.F) {
	f.Add("plain")
	f.Add("\xff\u2028\"\\\n\x00😀")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		require.NoError(t, json.Unmarshal(AppendQuoted(nil, s), &back))
		require.Equal(t, string([]rune(s)), back)
	})
}
