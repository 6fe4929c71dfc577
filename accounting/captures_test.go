package accounting_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// recordings returns the folders of recorded streams of the OpenAI formats, the
// small ones kept beside the tests and the large collection where it is present.
func recordings(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/streams/*/response.sse")
	require.NoError(t, err)
	more, err := filepath.Glob("../../shared/captures/*/*/response.sse")
	require.NoError(t, err)
	if len(more) == 0 {
		t.Log("the collection of recordings is absent; only testdata is read")
	}
	return append(all, more...)
}

func shapeOf(api string) (accounting.Shape, bool) {
	switch api {
	case "openai-chat":
		return accounting.ShapeChat, true
	case "openai-completions":
		return accounting.ShapeCompletion, true
	case "openai-responses":
		return accounting.ShapeResponses, true
	}
	return 0, false
}

// payloads reads the data lines of a recording in the plainest way there is.
func payloads(stream []byte) [][]byte {
	var out [][]byte
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("data:")); ok {
			out = append(out, bytes.TrimSpace(data))
		}
	}
	return out
}

// plainChunk is what encoding/json makes of an event.
type plainChunk struct {
	Usage    *plainUsage `json:"usage"`
	Groq     plainHolder `json:"x_groq"`
	Response plainHolder `json:"response"`
	Choices  []struct {
		Delta *struct {
			Content any `json:"content"`
		} `json:"delta"`
		Text string `json:"text"`
	} `json:"choices"`
	Type  string `json:"type"`
	Delta any    `json:"delta"`
}

type plainHolder struct {
	Usage *plainUsage `json:"usage"`
}

type plainUsage struct {
	Prompt     *int64 `json:"prompt_tokens"`
	Input      *int64 `json:"input_tokens"`
	Completion *int64 `json:"completion_tokens"`
	Output     *int64 `json:"output_tokens"`
	Total      *int64 `json:"total_tokens"`
	Details    struct {
		Reasoning *int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// plainReading is the expectation: the last usage, and the text of all deltas.
func plainReading(events [][]byte) (input, output *int64, content string) {
	for _, data := range events {
		var c plainChunk
		if json.Unmarshal(data, &c) != nil {
			continue
		}
		for _, u := range []*plainUsage{c.Usage, c.Groq.Usage, c.Response.Usage} {
			if u == nil {
				continue
			}
			input = later(input, u.Prompt, u.Input)
			completion := later(nil, u.Completion, u.Output)
			if r := u.Details.Reasoning; r != nil && *r > 0 && completion != nil && *u.Total == *u.Prompt+*completion+*r {
				sum := *completion + *r
				completion = &sum
			}
			output = later(output, completion)
		}
		for _, choice := range c.Choices {
			// Some servers repeat the delta's text beside it.
			if choice.Delta != nil {
				content += plainContent(choice.Delta.Content)
			} else {
				content += choice.Text
			}
		}
		if s, ok := c.Delta.(string); ok && c.Type == "response.output_text.delta" {
			content += s
		}
	}
	return input, output, content
}

// plainContent joins the text of a string or of an array of parts.
func plainContent(v any) (text string) {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, part := range v {
			if part, ok := part.(map[string]any); ok {
				s, _ := part["text"].(string)
				text += s
			}
		}
	}
	return text
}

func later(prev *int64, next ...*int64) *int64 {
	for _, n := range next {
		if n != nil {
			return n
		}
	}
	return prev
}

func count(n *int64) tokens.Count {
	if n == nil {
		return tokens.Count{}
	}
	return tokens.Known(*n)
}

func unquoted(t *testing.T, inside []byte) string {
	t.Helper()
	var s string
	require.NoError(t, json.Unmarshal([]byte(`"`+string(inside)+`"`), &s))
	return s
}

func TestRecordedStreamsReadLikeAPlainReading(t *testing.T) {
	for _, file := range recordings(t) {
		var meta struct{ API string }
		b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "meta.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &meta))
		shape, ok := shapeOf(meta.API)
		if !ok {
			continue
		}
		stream, err := os.ReadFile(file)
		require.NoError(t, err)
		dir := filepath.Dir(file)
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) {
			events := payloads(stream)
			var m accounting.Meter
			m.Reset(shape)
			bad := 0
			for _, data := range events {
				c := m.Observe(nil, data)
				if c.NullUsage != (accounting.Span{}) {
					rest := append(bytes.Clone(data[:c.NullUsage.Start]), data[c.NullUsage.End:]...)
					require.True(t, json.Valid(rest))
				}
				if c.Model != (accounting.Span{}) {
					require.True(t, json.Valid(data[c.Model.Start:c.Model.End]))
				}
				if len(data) > 0 && string(data) != "[DONE]" && !json.Valid(data) {
					bad++
				}
			}
			input, output, content := plainReading(events)
			u, _ := m.Usage()
			require.Equal(t, count(input), u.Input)
			require.Equal(t, count(output), u.Output)
			if shape == accounting.ShapeResponses || content != "" {
				require.Equal(t, content, unquoted(t, m.Text().Content))
			}
			require.Equal(t, int64(bad), m.Stats().BadEvents)
			require.False(t, m.Stats().Degraded)
			for _, c := range m.ToolCalls() {
				require.NotEmpty(t, c.Name)
			}
			t.Logf("complete %v, calls %d, finish %v, code %q", m.Complete(), len(m.ToolCalls()), m.FinishReasons(), m.ErrorCode())
		})
	}
}
