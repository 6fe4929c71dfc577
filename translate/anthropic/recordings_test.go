package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

const collection = "../../../shared/captures"

// recording is one answer of the collection.
type recording struct {
	API    string `json:"api"`
	Model  string `json:"model"`
	Status int    `json:"status"`
	dir    string
}

func recordings(t *testing.T) []recording {
	t.Helper()
	metas, err := filepath.Glob(collection + "/*/*/meta.json")
	require.NoError(t, err)
	if len(metas) == 0 {
		t.Skip("the collection of recorded answers is absent")
	}
	var all []recording
	for _, path := range metas {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		r := recording{dir: filepath.Dir(path)}
		require.NoError(t, json.Unmarshal(content, &r))
		claude := strings.Contains(r.Model, "claude") || r.Status >= 400
		if r.API == "anthropic-messages" || r.API == "bedrock-invoke" && claude {
			all = append(all, r)
		}
	}
	return all
}

// plainEvent is what encoding/json makes of an event, or of a whole message.
type plainEvent struct {
	Type    string       `json:"type"`
	Index   int          `json:"index"`
	Message plainMessage `json:"message"`
	Block   plainBlock   `json:"content_block"`
	Delta   struct {
		Type       string  `json:"type"`
		Text       string  `json:"text"`
		Thinking   string  `json:"thinking"`
		Partial    string  `json:"partial_json"`
		Signature  string  `json:"signature"`
		StopReason *string `json:"stop_reason"`
		Details    struct {
			Explanation string `json:"explanation"`
		} `json:"stop_details"`
	} `json:"delta"`
	Usage json.RawMessage `json:"usage"`
}

type plainMessage struct {
	ID         string          `json:"id"`
	Model      string          `json:"model"`
	Content    []plainBlock    `json:"content"`
	StopReason string          `json:"stop_reason"`
	Usage      json.RawMessage `json:"usage"`
}

type plainBlock struct {
	Type      string          `json:"type"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Text      string          `json:"text,omitempty"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature,omitempty"`
	Data      string          `json:"data,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	To        struct {
		Model string `json:"model"`
	} `json:"to"`
	arguments string
}

type plainUsage struct {
	Input   *int64 `json:"input_tokens"`
	Read    *int64 `json:"cache_read_input_tokens"`
	Written *int64 `json:"cache_creation_input_tokens"`
	Output  *int64 `json:"output_tokens"`
	Details struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// plainReading puts a message together from its events with no eye on speed.
func plainReading(t *testing.T, events []string) (m plainMessage, u plainUsage, refusal string) {
	t.Helper()
	for _, data := range events {
		var e plainEvent
		require.NoError(t, json.Unmarshal([]byte(data), &e))
		switch e.Type {
		case "message":
			require.NoError(t, json.Unmarshal([]byte(data), &m))
			require.NoError(t, json.Unmarshal(m.Usage, &u))
			for i := range m.Content {
				m.Content[i].arguments = string(m.Content[i].Input)
			}
		case "message_start":
			m = e.Message
			require.NoError(t, json.Unmarshal(m.Usage, &u))
			u.Output = nil
		case "content_block_start":
			require.Len(t, m.Content, e.Index)
			m.Content = append(m.Content, e.Block)
			if e.Block.Type == "fallback" {
				m.Model = e.Block.To.Model
			}
		case "content_block_delta":
			b := &m.Content[e.Index]
			b.Text += e.Delta.Text
			b.Thinking += e.Delta.Thinking
			b.arguments += e.Delta.Partial
			if e.Delta.Signature != "" {
				b.Signature = e.Delta.Signature
			}
		case "message_delta":
			if e.Delta.StopReason != nil {
				m.StopReason = *e.Delta.StopReason
			}
			refusal += e.Delta.Details.Explanation
			require.NoError(t, json.Unmarshal(e.Usage, &u)) // what it lacks stands
		}
	}
	return m, u, refusal
}

func known(n *int64) tokens.Count {
	if n == nil {
		return tokens.Count{}
	}
	return tokens.Known(*n)
}

func TestRecordedStreamsReadLikeAPlainReading(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, r := range recordings(t) {
		if r.Status >= 400 {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(r.dir))+"/"+filepath.Base(r.dir), func(t *testing.T) {
			c := &translate.Context{Model: r.Model, Stream: true, Carried: memory{}}
			to := &message{}
			p := translate.More
			var events []string
			each := func(d translate.Decoder) func(name, data []byte) {
				return func(name, data []byte) {
					if p == translate.More {
						p = d.Event(to, name, data)
					}
				}
			}
			if body, err := os.ReadFile(r.dir + "/response.bin"); err == nil {
				c.Platform.Platform = translate.PlatformBedrock
				event := each(Dialect{}.Decoder(c))
				frames(t, body, func(name, payload []byte) {
					var frame struct{ Bytes string }
					require.NoError(t, json.Unmarshal(payload, &frame))
					data, err := base64.StdEncoding.DecodeString(frame.Bytes)
					require.NoError(t, err)
					events = append(events, string(data))
					event(name, payload)
				})
			} else {
				body, err := os.ReadFile(r.dir + "/response.sse")
				require.NoError(t, err)
				for line := range strings.Lines(string(body)) {
					if data, ok := strings.CutPrefix(line, "data:"); ok {
						events = append(events, data)
					}
				}
				var cuts []int
				for range 40 {
					cuts = append(cuts, random.IntN(len(body)))
				}
				slices.Sort(cuts)
				scan(body, cuts, each(Dialect{}.Decoder(c)))
			}
			require.Equal(t, translate.Complete, p)
			checkReading(t, c, to, events)
		})
	}
}

func checkReading(t *testing.T, c *translate.Context, to *message, events []string) {
	t.Helper()
	m, u, refusal := plainReading(t, events)
	var text, reasoning strings.Builder
	var calls []messageCall
	var thoughts []map[string]string
	plain := true // thoughts and nothing else have come
	for _, b := range m.Content {
		switch b.Type {
		case "thinking", "redacted_thinking":
			require.True(t, plain, "what comes back is another list then")
		default:
			plain = false
		}
		switch b.Type {
		case "text":
			text.WriteString(b.Text)
		case "thinking":
			reasoning.WriteString(b.Thinking)
			thoughts = append(thoughts, map[string]string{"type": b.Type, "thinking": b.Thinking, "signature": b.Signature})
		case "redacted_thinking":
			thoughts = append(thoughts, map[string]string{"type": b.Type, "data": b.Data})
		case "tool_use":
			if b.arguments == "" {
				b.arguments = string(b.Input)
			}
			calls = append(calls, messageCall{b.ID, b.Name, b.arguments})
		}
	}
	require.Equal(t, m.ID, to.id)
	require.Equal(t, m.Model, to.model)
	require.Equal(t, text.String(), to.text)
	require.Equal(t, reasoning.String(), to.reasoning)
	require.Equal(t, refusal, to.refusal)
	require.Equal(t, calls, to.calls)
	require.Equal(t, m.StopReason, to.native)
	require.Equal(t, map[string]string{
		"end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length",
		"tool_use": "tool_calls", "refusal": "content_filter",
	}[m.StopReason], to.finish)

	if len(thoughts) > 0 {
		want, err := json.Marshal(map[string]any{"thinking_blocks": thoughts})
		require.NoError(t, err)
		require.JSONEq(t, string(want), to.carry)
		if len(calls) > 0 {
			require.Equal(t, to.carry, c.Carried.Find(calls[0].id))
		}
	} else {
		require.Empty(t, to.carry)
	}

	input := known(u.Input)
	for _, part := range []*int64{u.Read, u.Written} {
		if part != nil {
			input.N += *part
		}
	}
	require.Equal(t, tokens.Usage{
		Input: input, InputCached: known(u.Read), InputCacheWrite: known(u.Written),
		Output: known(u.Output), OutputReasoning: known(u.Details.Thinking),
	}, to.usage)
}

// Every recorded stream that is cut between two events is cut for us too.
func TestRecordedStreamsThatAreCutDoNotFinish(t *testing.T) {
	for _, r := range recordings(t) {
		body, err := os.ReadFile(r.dir + "/response.sse")
		if err != nil || strings.Contains(string(body), "event: message\n") {
			continue
		}
		at := strings.Index(string(body), `"message_delta"`)
		require.Positive(t, at, r.dir)
		body = body[:strings.LastIndex(string(body[:at]), "\n\n")+2]
		to := &message{}
		d := Dialect{}.Decoder(&translate.Context{})
		scan(body, nil, func(name, data []byte) {
			require.Equal(t, translate.More, d.Event(to, name, data))
		})
		require.Equal(t, translate.More, d.End(to))
		require.Empty(t, to.finish)
		require.Empty(t, to.carry)
		require.True(t, to.usage.Input.Known)
		require.False(t, to.usage.Output.Known, "a count from before the output")
	}
}

func TestRecordedErrorsKeepTheirMessage(t *testing.T) {
	for _, r := range recordings(t) {
		body, err := os.ReadFile(r.dir + "/response.json")
		if err != nil {
			continue
		}
		var plain struct {
			Message string
			Error   struct{ Message, Type string }
		}
		require.NoError(t, json.Unmarshal(body, &plain))
		e := Dialect{}.Error(r.Status, "application/json", body)
		require.Equal(t, plain.Message+plain.Error.Message, e.Message)
		require.Equal(t, r.Status, e.Status)
		require.Equal(t, translate.TypeOfStatus(r.Status), e.Type)
	}
}

func TestRecordedThoughtsComeBackAsTheyWere(t *testing.T) {
	for _, r := range recordings(t) {
		body, err := os.ReadFile(r.dir + "/response.sse")
		if err != nil {
			continue
		}
		to := &message{}
		d := Dialect{}.Decoder(&translate.Context{})
		scan(body, nil, func(name, data []byte) { d.Event(to, name, data) })
		if to.carry == "" {
			continue
		}
		chat, failed := translate.ParseChat([]byte(`{"reasoning_effort":"low","messages":[{"role":"user","content":"a"},
			{"role":"assistant","content":"b","extra_content":{"anthropic":` + to.carry + `}},{"role":"user","content":"c"}]}`))
		require.Nil(t, failed)
		out, failed := Dialect{}.Request(&translate.Context{Model: r.Model}, chat)
		require.Nil(t, failed)
		var sent struct {
			Messages []struct{ Content []json.RawMessage }
		}
		require.NoError(t, json.Unmarshal(out, &sent))
		content := sent.Messages[1].Content
		blocks, err := json.Marshal(map[string]any{"thinking_blocks": content[:len(content)-1]})
		require.NoError(t, err)
		require.JSONEq(t, to.carry, string(blocks))
	}
}
