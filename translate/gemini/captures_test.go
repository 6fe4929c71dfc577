package gemini_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
	"github.com/sluicehq/sluice/translate/gemini"
)

const capturesDir = "../../../shared/captures"

// recording is an answer that was recorded, and what its files say of it.
type recording struct {
	API    string `json:"api"`
	Status int    `json:"status"`
	dir    string
	body   []byte
	media  string
}

func recordings(t *testing.T) []recording {
	t.Helper()
	metas, err := filepath.Glob(filepath.Join(capturesDir, "*", "*", "meta.json"))
	require.NoError(t, err)
	var all []recording
	for _, meta := range metas {
		about, err := os.ReadFile(meta)
		require.NoError(t, err)
		r := recording{dir: filepath.Dir(meta)}
		require.NoError(t, json.Unmarshal(about, &r))
		if r.API != "gemini-generate" {
			continue
		}
		r.media = "text/event-stream"
		if r.body, err = os.ReadFile(filepath.Join(r.dir, "response.sse")); err != nil {
			r.media = "application/json"
			r.body, err = os.ReadFile(filepath.Join(r.dir, "response.json"))
			require.NoError(t, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		t.Skip("no recordings at " + capturesDir)
	}
	return all
}

// plainResponse is what the test itself reads of an answer.
type plainResponse struct {
	ResponseID     string `json:"responseId"`
	ModelVersion   string `json:"modelVersion"`
	PromptFeedback *struct{ BlockReason string }
	UsageMetadata  map[string]any
	Candidates     []struct {
		Index        int
		FinishReason string
		Content      *struct {
			Parts []struct {
				Text             string
				Thought          bool
				ThoughtSignature string
				InlineData       *struct{ MimeType, Data string }
				FunctionCall     *struct {
					ID, Name     string
					Args         json.RawMessage
					PartialArgs  []struct{ JSONPath, StringValue string }
					WillContinue bool
				}
			}
		}
	}
}

// plainChoice is what the test has put together of a candidate.
type plainChoice struct {
	text, reasoning, finish string
	images                  []string
	names                   []string
	args                    []any
	signatures              []string
}

func (r *recording) responses(t *testing.T) []plainResponse {
	t.Helper()
	var all []plainResponse
	if r.media == "application/json" {
		require.NoError(t, json.Unmarshal(r.body, &all))
		return all
	}
	for line := range strings.Lines(string(r.body)) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var one plainResponse
			require.NoError(t, json.Unmarshal([]byte(data), &one))
			all = append(all, one)
		}
	}
	return all
}

func readPlainly(responses []plainResponse) (map[int]*plainChoice, map[string]float64) {
	choices, counts := make(map[int]*plainChoice), make(map[string]float64)
	for _, r := range responses {
		for name, v := range r.UsageMetadata {
			if n, ok := v.(float64); ok {
				counts[name] = n
			}
		}
		if r.PromptFeedback != nil && len(r.Candidates) == 0 {
			choices[0] = &plainChoice{finish: "content_filter"}
		}
		for _, candidate := range r.Candidates {
			ch := choices[candidate.Index]
			if ch == nil {
				ch = &plainChoice{}
				choices[candidate.Index] = ch
			}
			if candidate.FinishReason != "" {
				ch.finish = map[string]string{"MAX_TOKENS": "length", "SAFETY": "content_filter"}[candidate.FinishReason]
				if ch.finish == "" {
					ch.finish = "stop"
				}
			}
			if candidate.Content == nil {
				continue
			}
			for _, p := range candidate.Content.Parts {
				switch call := p.FunctionCall; {
				case call != nil && call.Name != "":
					ch.names = append(ch.names, call.Name)
					ch.signatures = append(ch.signatures, p.ThoughtSignature)
					var args any
					if err := json.Unmarshal(call.Args, &args); err != nil {
						args = map[string]any{}
					}
					ch.args = append(ch.args, args)
				case call != nil:
					args := ch.args[len(ch.args)-1].(map[string]any)
					for _, partial := range call.PartialArgs { // of the top level, in these recordings
						name := strings.TrimPrefix(partial.JSONPath, "$.")
						before, _ := args[name].(string)
						args[name] = before + partial.StringValue
					}
				case p.InlineData != nil:
					ch.images = append(ch.images, "data:"+p.InlineData.MimeType+";base64,"+p.InlineData.Data)
				case p.Thought:
					ch.reasoning += p.Text
				default:
					ch.text += p.Text
				}
			}
		}
	}
	return choices, counts
}

// feed gives a body to a decoder in pieces of random sizes.
func (r *recording) feed(t *testing.T, to translate.Sink, random *rand.Rand) translate.Progress {
	t.Helper()
	f, ok := gemini.Dialect{}.Framing(r.media)
	require.True(t, ok)
	split := framing.New(f, 32<<20)
	decoder := gemini.Dialect{}.Decoder(&translate.Context{Carried: memory{}})
	var ev sse.Event
	for rest := r.body; len(rest) > 0; {
		n := min(1+random.IntN(700), len(rest))
		piece := append([]byte(nil), rest[:n]...)
		split.Feed(piece)
		for split.Next(&ev) {
			if ev.Data == nil {
				continue
			}
			if p := decoder.Event(to, ev.Name, ev.Data); p != translate.More {
				return p
			}
		}
		clobber(piece)
		rest = rest[n:]
	}
	if split.Flush(&ev) && ev.Data != nil {
		if p := decoder.Event(to, ev.Name, ev.Data); p != translate.More {
			return p
		}
	}
	require.NoError(t, split.Err())
	return decoder.End(to)
}

func TestRecordedStreams(t *testing.T) {
	read := 0
	for _, r := range recordings(t) {
		if r.Status != 200 || strings.HasSuffix(r.dir, "invalid-json") {
			continue
		}
		read++
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			responses := r.responses(t)
			want, counts := readPlainly(responses)
			random := rand.New(rand.NewPCG(1, uint64(len(r.body))))
			for range 5 {
				var got collector
				require.Equal(t, translate.Complete, r.feed(t, &got, random))
				require.Nil(t, got.failure)
				require.Equal(t, responses[0].ResponseID, got.id)
				require.Equal(t, responses[0].ModelVersion, got.model)
				requireChoices(t, want, got.choices)
				requireUsage(t, counts, got.usage)
			}
		})
	}
	require.Greater(t, read, 15)
}

func requireChoices(t *testing.T, want map[int]*plainChoice, got map[int]*collected) {
	t.Helper()
	require.Len(t, got, len(want))
	for index, w := range want {
		g := got[index]
		require.NotNil(t, g)
		require.Equal(t, w.text, g.text)
		require.Equal(t, w.reasoning, g.reasoning)
		require.Equal(t, w.images, g.images)
		require.Equal(t, 1, g.finishes)
		require.Equal(t, w.finish, g.finish)
		require.Len(t, g.calls, len(w.names))
		ids := make(map[string]bool)
		for i, call := range g.calls {
			require.Equal(t, w.names[i], call.name)
			var args any
			require.NoError(t, json.Unmarshal([]byte(call.arguments), &args))
			require.Equal(t, w.args[i], args)
			require.NotEmpty(t, call.id)
			require.LessOrEqual(t, len(call.id), 40)
			require.False(t, ids[call.id], "ids differ")
			ids[call.id] = true
			requireCarry(t, w.signatures[i], call.carry)
		}
	}
}

func requireCarry(t *testing.T, signature, carry string) {
	t.Helper()
	if signature == "" {
		require.Empty(t, carry)
		return
	}
	require.JSONEq(t, `{"thought_signature":"`+signature+`"}`, carry)
}

func requireUsage(t *testing.T, counts map[string]float64, got tokens.Usage) {
	t.Helper()
	total, has := counts["totalTokenCount"]
	if !has {
		return
	}
	require.True(t, got.Input.Known && got.Output.Known)
	require.Equal(t, int64(total), got.Input.N+got.Output.N)
	require.Equal(t, int64(counts["promptTokenCount"]+counts["toolUsePromptTokenCount"]), got.Input.N)
	thoughts, thought := counts["thoughtsTokenCount"]
	require.Equal(t, thought, got.OutputReasoning.Known)
	require.Equal(t, int64(thoughts), got.OutputReasoning.N)
	cached, hit := counts["cachedContentTokenCount"]
	require.Equal(t, hit, got.InputCached.Known)
	require.Equal(t, int64(cached), got.InputCached.N)
}

func TestRecordedErrors(t *testing.T) {
	read := 0
	for _, r := range recordings(t) {
		if r.Status < 400 {
			continue
		}
		read++
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			var plain struct {
				Error struct{ Message, Status string }
			}
			require.NoError(t, json.Unmarshal(r.body, &plain))
			e := gemini.Dialect{}.Error(r.Status, r.media, r.body)
			require.Equal(t, r.Status, e.Status)
			require.Equal(t, plain.Error.Message, e.Message)
			require.Equal(t, plain.Error.Status, e.Code)
		})
	}
	require.Positive(t, read)
}

// What a client of a recorded answer sends back, a signature included, is what Gemini
// gave.
func TestRecordedCallsGoBackAsTheyCame(t *testing.T) {
	for _, r := range recordings(t) {
		if r.Status != 200 || strings.HasSuffix(r.dir, "invalid-json") {
			continue
		}
		kept := memory{}
		c := &translate.Context{Carried: kept}
		var got collector
		d := gemini.Dialect{}.Decoder(c)
		responses := r.responses(t)
		for _, data := range r.events(t) {
			require.Equal(t, translate.More, d.Event(&got, nil, data))
		}
		require.Equal(t, translate.Complete, d.End(&got))
		if got.choices[0] == nil || len(got.choices[0].calls) == 0 {
			continue
		}
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			request := sendBack(t, c, got.choices[0])
			at := 0
			for _, response := range responses {
				for _, p := range response.Candidates[0].Content.Parts {
					if p.FunctionCall == nil || p.FunctionCall.Name == "" {
						continue
					}
					part := request.Contents[1].Parts[at]
					answer := request.Contents[2].Parts[at]
					require.Equal(t, p.FunctionCall.Name, part.FunctionCall.Name)
					require.Equal(t, p.FunctionCall.ID, part.FunctionCall.ID)
					require.Equal(t, p.ThoughtSignature, part.ThoughtSignature)
					require.Equal(t, p.FunctionCall.ID, answer.FunctionResponse.ID)
					require.Equal(t, p.FunctionCall.Name, answer.FunctionResponse.Name)
					at++
				}
			}
			require.Len(t, request.Contents[1].Parts, at)
			require.Len(t, request.Contents[2].Parts, at)
		})
	}
}

func (r *recording) events(t *testing.T) [][]byte {
	t.Helper()
	if r.media == "application/json" {
		var all []json.RawMessage
		require.NoError(t, json.Unmarshal(r.body, &all))
		var data [][]byte
		for _, one := range all {
			data = append(data, one)
		}
		return data
	}
	var data [][]byte
	for line := range strings.Lines(string(r.body)) {
		if one, ok := strings.CutPrefix(line, "data: "); ok {
			data = append(data, []byte(one))
		}
	}
	return data
}

type sentBack struct {
	Contents []struct {
		Parts []struct {
			ThoughtSignature string
			FunctionCall     struct{ ID, Name string }
			FunctionResponse struct{ ID, Name string }
		}
	}
}

// sendBack plays a client that drops what it does not know.
func sendBack(t *testing.T, c *translate.Context, answer *collected) sentBack {
	t.Helper()
	type function map[string]any
	var calls []function
	messages := []function{{"role": "user", "content": "go"}, nil}
	for _, call := range answer.calls {
		calls = append(calls, function{"id": call.id, "type": "function", "function": function{"name": call.name, "arguments": call.arguments}})
		messages = append(messages, function{"role": "tool", "tool_call_id": call.id, "content": "done"})
	}
	messages[1] = function{"role": "assistant", "content": nil, "tool_calls": calls}
	body, err := json.Marshal(function{"model": "m", "messages": messages})
	require.NoError(t, err)
	chat, e := translate.ParseChat(body)
	require.Nil(t, e)
	request, e := gemini.Dialect{}.Request(c, chat)
	require.Nil(t, e)
	var sent sentBack
	require.NoError(t, json.Unmarshal(request, &sent))
	return sent
}
