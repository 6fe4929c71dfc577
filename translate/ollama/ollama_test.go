package ollama

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func TestGolden(t *testing.T) {
	dialecttest.Golden(t, Dialect{}, translate.FramingLines)
}

func TestEveryMemberHasARule(t *testing.T) { dialecttest.Rules(t, Dialect{}) }

func TestPlaces(t *testing.T) {
	c := &translate.Context{Model: "m"}
	require.Equal(t, "/chat", Dialect{}.Path(c))
	require.Equal(t, "/tags", Dialect{}.Models(c))
}

func TestModelNames(t *testing.T) {
	list := `{"models":[{"name":"qwen3:4b","model":"x"},{"model":"gpt-oss:20b"},{"size":1}]}`
	require.Equal(t, []string{"qwen3:4b", "gpt-oss:20b"}, Dialect{}.ModelNames([]byte(list)))
	require.Empty(t, Dialect{}.ModelNames([]byte(`{"models":`)))
}

func TestFraming(t *testing.T) {
	for media, want := range map[string]translate.Framing{
		"application/x-ndjson": translate.FramingLines, "application/json": translate.FramingNone,
	} {
		got, ok := Dialect{}.Framing(media)
		require.True(t, ok, media)
		require.Equal(t, want, got, media)
	}
	for _, media := range []string{"", "text/html", "text/event-stream"} {
		_, ok := Dialect{}.Framing(media)
		require.False(t, ok, media)
	}
}

func TestUsageKeepsTheProvidersOwnNumbers(t *testing.T) {
	r := &dialecttest.Recorder{}
	Dialect{}.Answer(&translate.Context{}, r, []byte(
		`{"model":"m","message":{"content":"secret"},"done":true,"eval_count":5,"total_duration":9,"eval_duration":null}`))
	require.JSONEq(t, `{"eval_count":5,"total_duration":9}`, r.RawUsage)
	require.Equal(t, tokens.Known(5), r.Counts.Output)
	require.False(t, r.Counts.Input.Known)
}

// recorded is a line as encoding/json reads it.
type recorded struct {
	Message struct {
		Content, Thinking string
		Calls             []struct {
			ID       string
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	Done   bool
	Reason string `json:"done_reason"`
	Input  *int64 `json:"prompt_eval_count"`
	Output *int64 `json:"eval_count"`
	Error  string
}

// read reads a recorded stream the simple way.
func read(t *testing.T, body []byte) dialecttest.Expectation {
	t.Helper()
	var e dialecttest.Expectation
	for text := range bytes.Lines(body) {
		var line recorded
		require.NoError(t, json.Unmarshal(text, &line))
		if line.Error != "" {
			e.Failed = true
			return e
		}
		e.Content += line.Message.Content
		e.Thoughts += line.Message.Thinking
		for _, call := range line.Message.Calls {
			e.Calls = append(e.Calls, dialecttest.Call{
				ID: call.ID, Name: call.Function.Name, Arguments: string(call.Function.Arguments),
			})
		}
		if line.Input != nil {
			e.Input = tokens.Known(*line.Input)
		}
		if line.Output != nil {
			e.Output = tokens.Known(*line.Output)
		}
		if line.Done {
			e.Native, e.Reason = line.Reason, "stop"
			if line.Reason == "length" {
				e.Reason = "length"
			}
		}
	}
	return e
}

func TestRecordings(t *testing.T) {
	const root = "../../../shared/captures"
	dialecttest.EachRecording(t, root, "ollama-chat", func(t *testing.T, r dialecttest.Recording) {
		if r.Status >= 400 {
			var body struct{ Error string }
			require.NoError(t, json.Unmarshal(r.Body, &body))
			e := Dialect{}.Error(r.Status, r.Media, r.Body)
			require.Equal(t, body.Error, e.Message)
			require.Equal(t, r.Status, e.Status)
			return
		}
		_, ok := Dialect{}.Framing(r.Media)
		require.True(t, ok)
		want := read(t, r.Body)
		for _, size := range []int{1, 13, len(r.Body)} {
			to := &dialecttest.Recorder{}
			want.Check(t, to, dialecttest.Stream(Dialect{}, to, translate.FramingLines, r.Body, size))
		}
		whole := &dialecttest.Recorder{}
		want.Check(t, whole, Dialect{}.Answer(&translate.Context{}, whole, r.Body))
		dialecttest.Chunked(t, Dialect{}, translate.FramingLines, r.Body)
	})
}

func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","created_at":"2024-01-01T00:00:00Z","message":{"role":"assistant","content":"a\n","thinking":"b"},"done":false}`,
		`{"message":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":[1.0]}}},{"function":{"arguments":"{"}},3]}}`,
		`{"message":{"content":"a","images":["/9j/",""]},"logprobs":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[{},{"token":"b","logprob":-2}]},{}]}`,
		`{"done":true,"done_reason":"length","prompt_eval_count":-1,"eval_count":1e3}`,
		`{"error":"no"}`, `{"error":{"message":"no"}}`, `[]`, `{`,
	} {
		f.Add([]byte(seed), []byte(`{"done":true}`))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		d := &decoder{}
		w := translate.NewChunkWriter(translate.Head{ID: "i", Model: "m"}, translate.WriterOptions{Extensions: true})
		w.Lend(nil)
		for _, data := range [][]byte{one, two, one, one, two} {
			if d.Event(w, nil, data) != translate.More {
				break
			}
			require.Empty(t, d.scratch)
		}
		d.End(w)
		for data := range w.Events(w.Take(), 0) {
			require.True(t, json.Valid(data), "%s", data)
		}
		if _, raw, _ := w.Counted(); len(raw) > 0 {
			require.True(t, json.Valid(raw), "%s", raw)
		}
		Dialect{}.Answer(&translate.Context{}, &dialecttest.Recorder{}, bytes.Join([][]byte{one, two}, []byte("\n")))
		require.NotEmpty(t, Dialect{}.Error(500, "application/json", one).Message)
		Dialect{}.ModelNames(one)
	})
}

func BenchmarkText(b *testing.B) {
	dialecttest.BenchmarkEvent(b, Dialect{},
		`{"model":"m","created_at":"2026-08-17T08:22:52.7Z","message":{"role":"assistant","content":"a"},"done":false}`,
		`{"model":"m","created_at":"2026-08-17T08:22:52.736335Z","message":{"role":"assistant","content":" perhaps\n"},"done":false}`)
}
