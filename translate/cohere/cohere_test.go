package cohere

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func TestGolden(t *testing.T) {
	dialecttest.Golden(t, Dialect{}, translate.FramingSSE)
}

func TestEveryMemberHasARule(t *testing.T) { dialecttest.Rules(t, Dialect{}) }

func TestPlaces(t *testing.T) {
	c := &translate.Context{Model: "m"}
	require.Equal(t, "/chat", Dialect{}.Path(c))
	require.Empty(t, Dialect{}.Models(c))
	require.Empty(t, Dialect{}.ModelNames([]byte(`{"models":[{"name":"a"}]}`)))
}

func TestFraming(t *testing.T) {
	for media, want := range map[string]translate.Framing{
		"text/event-stream": translate.FramingSSE, "application/json": translate.FramingNone,
	} {
		got, ok := Dialect{}.Framing(media)
		require.True(t, ok, media)
		require.Equal(t, want, got, media)
	}
	for _, media := range []string{"", "text/html", "application/stream+json"} {
		_, ok := Dialect{}.Framing(media)
		require.False(t, ok, media)
	}
}

func TestCitationsAreBounded(t *testing.T) {
	d := Dialect{}.Decoder(&translate.Context{})
	r := &dialecttest.Recorder{}
	event := `{"type":"citation-start","delta":{"message":{"citations":{"text":"` + strings.Repeat("x", 1000) + `"}}}}`
	for range 200 {
		require.Equal(t, translate.More, d.Event(r, nil, []byte(event)))
	}
	require.Empty(t, r.Lines)
	require.Equal(t, translate.Complete, d.Event(r, nil, []byte(`{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}`)))
	carried, ok := strings.CutPrefix(r.Lines[0], "carry cohere ")
	require.True(t, ok)
	require.True(t, json.Valid([]byte(carried)))
	require.Greater(t, len(carried), maxCitations/2)
	require.Less(t, len(carried), maxCitations+1000)
}

func TestCallsAreBounded(t *testing.T) {
	d := &decoder{}
	r := &dialecttest.Recorder{}
	for range 2 * maxOpenCalls {
		d.Event(r, nil, []byte(`{"type":"tool-call-start","index":5,"delta":{"message":{"tool_calls":{"id":"i","function":{"name":"f"}}}}}`))
	}
	require.Len(t, d.calls, maxOpenCalls)
	d.Event(r, nil, []byte(`{"type":"tool-call-delta","index":5,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}}`))
	require.Equal(t, "{}", r.Calls[2*maxOpenCalls-1].Arguments)
}

// recorded is an answer as encoding/json reads it.
type recorded struct {
	Type         string
	Index        int
	FinishReason string `json:"finish_reason"`
	Error        string
	Usage        *struct {
		Tokens *struct {
			Input  *float64 `json:"input_tokens"`
			Output *float64 `json:"output_tokens"`
		}
		Cached *float64 `json:"cached_tokens"`
	}
	Delta struct {
		FinishReason string `json:"finish_reason"`
		Error        string
		Usage        json.RawMessage
		Message      struct {
			Content  json.RawMessage
			ToolPlan string          `json:"tool_plan"`
			Calls    json.RawMessage `json:"tool_calls"`
		}
	}
}

type recordedCall struct {
	ID       string
	Function struct{ Name, Arguments string }
}

// read reads a recorded stream the simple way.
func read(t *testing.T, body []byte) dialecttest.Expectation {
	t.Helper()
	var e dialecttest.Expectation
	calls := map[int]int{}
	for line := range bytes.Lines(body) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		var event recorded
		require.NoError(t, json.Unmarshal(data, &event))
		message := event.Delta.Message
		switch event.Type {
		case "content-start", "content-delta":
			var block struct{ Text, Thinking string }
			require.NoError(t, json.Unmarshal(message.Content, &block))
			e.Content += block.Text
			e.Thoughts += block.Thinking
		case "tool-plan-delta":
			e.Thoughts += message.ToolPlan
		case "tool-call-start", "tool-call-delta":
			var call recordedCall
			require.NoError(t, json.Unmarshal(message.Calls, &call))
			if event.Type == "tool-call-start" {
				calls[event.Index] = len(e.Calls)
				e.Calls = append(e.Calls, dialecttest.Call{ID: call.ID, Name: call.Function.Name})
			}
			e.Calls[calls[event.Index]].Arguments += call.Function.Arguments
		case "message-end":
			readEnd(t, &e, event.Delta.FinishReason, event.Delta.Usage)
		}
	}
	return e
}

func readEnd(t *testing.T, e *dialecttest.Expectation, reason string, usage json.RawMessage) {
	t.Helper()
	var end recorded
	require.NoError(t, json.Unmarshal([]byte(`{"usage":`+string(usage)+`}`), &end))
	if u := end.Usage; u != nil {
		e.Cached = number(u.Cached)
		if u.Tokens != nil {
			e.Input, e.Output = number(u.Tokens.Input), number(u.Tokens.Output)
		}
	}
	if reason == "ERROR" {
		e.Failed = true
		return
	}
	e.Native = reason
	e.Reason = map[string]string{
		"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls",
	}[reason]
}

func number(n *float64) tokens.Count {
	if n == nil {
		return tokens.Count{}
	}
	return tokens.Known(int64(*n))
}

func TestRecordings(t *testing.T) {
	const root = "../../../shared/captures"
	dialecttest.EachRecording(t, root, "cohere-v2", func(t *testing.T, r dialecttest.Recording) {
		if r.Status >= 400 {
			var body struct{ Message string }
			require.NoError(t, json.Unmarshal(r.Body, &body))
			e := Dialect{}.Error(r.Status, r.Media, r.Body)
			require.Equal(t, body.Message, e.Message)
			require.Equal(t, r.Status, e.Status)
			return
		}
		framing, ok := Dialect{}.Framing(r.Media)
		require.True(t, ok)
		require.Equal(t, translate.FramingSSE, framing)
		want := read(t, r.Body)
		for _, size := range []int{1, 13, len(r.Body)} {
			to := &dialecttest.Recorder{}
			want.Check(t, to, dialecttest.Stream(Dialect{}, to, framing, r.Body, size))
		}
		dialecttest.Chunked(t, Dialect{}, framing, r.Body)
	})
}

func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		`{"type":"message-start","id":"1","delta":{"message":{"content":[]}}}`,
		`{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a\n","thinking":"b"}}},"logprobs":{"text":"a","logprobs":[-1,-2]}}`,
		`{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":1}}}]}}}`,
		`{"type":"tool-call-delta","index":1e0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{"}}}}}`,
		`{"type":"citation-start","delta":{"message":{"citations":[{"a":1},2]}}}`,
		`{"type":"message-end","delta":{"finish_reason":"ERROR","error":"no","usage":{"tokens":{"input_tokens":-1}}}}`,
		`{"message":"no"}`, `[DONE]`, `[]`, `{`,
	} {
		f.Add([]byte(seed), []byte(`{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}`))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		d := &decoder{}
		w := translate.NewChunkWriter(translate.Head{ID: "i", Model: "m"}, translate.WriterOptions{Extensions: true})
		w.Lend(nil)
		for _, data := range [][]byte{one, two, one, one, two} {
			if d.Event(w, two, data) != translate.More {
				break
			}
		}
		d.End(w)
		for data := range w.Events(w.Take(), 0) {
			require.True(t, json.Valid(data), "%s", data)
		}
		require.LessOrEqual(t, len(d.calls), maxOpenCalls)
		require.LessOrEqual(t, len(d.citations.list), maxCitations+1)
		Dialect{}.Answer(&translate.Context{}, &dialecttest.Recorder{}, one)
		require.NotEmpty(t, Dialect{}.Error(500, "application/json", one).Message)
	})
}

func BenchmarkText(b *testing.B) {
	dialecttest.BenchmarkEvent(b, Dialect{},
		`{"id":"1","type":"message-start","delta":{"message":{}}}`,
		`{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" difficult\n"}}}}`)
}

func BenchmarkArguments(b *testing.B) {
	dialecttest.BenchmarkEvent(b, Dialect{},
		`{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"1","function":{"name":"f","arguments":""}}}}}`,
		`{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\n    \""}}}}}`)
}
