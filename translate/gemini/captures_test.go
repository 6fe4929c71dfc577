package gemini

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

// eachRecording runs a subtest for each recording, except for what is no answer at all.
func eachRecording(t *testing.T, run func(t *testing.T, r dialecttest.Recording)) {
	t.Helper()
	dialecttest.EachRecording(t, "../../../shared/captures", "gemini-generate", func(t *testing.T, r dialecttest.Recording) {
		if !strings.HasSuffix(t.Name(), "invalid-json") {
			run(t, r)
		}
	})
}

// framingOf is how a recorded stream is framed.
func framingOf(r dialecttest.Recording) translate.Framing {
	if len(r.Body) > 0 && r.Body[0] == '[' {
		return translate.FramingArray
	}
	return translate.FramingSSE
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

func plainResponses(t *testing.T, r dialecttest.Recording) []plainResponse {
	t.Helper()
	var all []plainResponse
	if framingOf(r) == translate.FramingArray {
		require.NoError(t, json.Unmarshal(r.Body, &all))
		return all
	}
	for line := range strings.Lines(string(r.Body)) {
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

func TestRecordedStreams(t *testing.T) {
	eachRecording(t, func(t *testing.T, r dialecttest.Recording) {
		if r.Status != 200 {
			return
		}
		responses := plainResponses(t, r)
		want, counts := readPlainly(responses)
		for _, size := range []int{1, 13, 700, len(r.Body)} {
			var got collector
			require.Equal(t, translate.Complete, dialecttest.Stream(Dialect{}, &got, framingOf(r), r.Body, size))
			require.Nil(t, got.failure)
			require.Equal(t, responses[0].ResponseID, got.id)
			require.Equal(t, responses[0].ModelVersion, got.model)
			requireChoices(t, want, got.choices)
			requireUsage(t, counts, got.usage)
		}
		dialecttest.Chunked(t, Dialect{}, framingOf(r), r.Body)
	})
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
	eachRecording(t, func(t *testing.T, r dialecttest.Recording) {
		if r.Status < 400 {
			return
		}
		var plain struct {
			Error struct{ Message, Status string }
		}
		require.NoError(t, json.Unmarshal(r.Body, &plain))
		e := Dialect{}.Error(r.Status, r.Media, r.Body)
		require.Equal(t, r.Status, e.Status)
		require.Equal(t, plain.Error.Message, e.Message)
		require.Equal(t, plain.Error.Status, e.Code)
	})
}

// What a client of a recorded answer sends back, a signature included, is what Gemini
// gave.
func TestRecordedCallsGoBackAsTheyCame(t *testing.T) {
	eachRecording(t, func(t *testing.T, r dialecttest.Recording) {
		if r.Status != 200 {
			return
		}
		c := &translate.Context{Carried: memory{}}
		var got collector
		d := Dialect{}.Decoder(c)
		for _, ev := range dialecttest.Events(framingOf(r), r.Body) {
			require.Equal(t, translate.More, d.Event(&got, nil, []byte(ev.Data)))
		}
		require.Equal(t, translate.Complete, d.End(&got))
		if got.choices[0] == nil || len(got.choices[0].calls) == 0 {
			return
		}
		request := sendBack(t, c, got.choices[0])
		at := 0
		for _, response := range plainResponses(t, r) {
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
	request, e := Dialect{}.Request(c, chat)
	require.Nil(t, e)
	var sent sentBack
	require.NoError(t, json.Unmarshal(request, &sent))
	return sent
}
