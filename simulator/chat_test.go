package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ask makes the body of a chat request: extra members go before the message.
func ask(model, extra string) string {
	return fmt.Sprintf(`{"model":%q,%s"messages":[{"role":"user","content":"hello there"}]}`, model, extra)
}

const weatherTools = `"tools":[
 {"type":"function","function":{"name":"get_weather","description":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":2}},"required":["city"]}}},
 {"type":"function","function":{"name":"get_time"}}],`

// wholeChoice decodes one choice of a whole answer.
func wholeChoice(t *testing.T, v map[string]any, i int) (message wholeMessage, finish string) {
	t.Helper()
	choice := v["choices"].([]any)[i].(map[string]any)
	require.EqualValues(t, i, choice["index"])
	raw, err := json.Marshal(choice["message"])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &message))
	return message, choice["finish_reason"].(string)
}

func TestStreamsFollowTheGrammarAndSayWhatWholeAnswersSay(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ name, model, extra, finish string }{
		{"plain", "sim", "", "stop"},
		{"long", "sim-long", "", "stop"},
		{"several choices", "sim", `"n":3,`, "stop"},
		{"reasoning", "sim-reasoning", "", "stop"},
		{"reasoning cut by the limit", "sim-reasoning", `"max_completion_tokens":5,`, "length"},
		{"limit", "sim", `"max_tokens":4,`, "length"},
		{"limit above the length", "sim", `"max_tokens":4000,`, "stop"},
		{"stop sequence", "sim-long", `"stop":["mill","oak"],`, "stop"},
		{"stop before the first word", "sim-long", `"stop":"A",`, "stop"},
		{"json object", "sim", `"response_format":{"type":"json_object"},"n":2,`, "stop"},
		{"tools", "sim-tools", weatherTools, "tool_calls"},
		{"tools in two choices", "sim-tools", weatherTools + `"n":2,`, "tool_calls"},
		{"tool call cut by the limit", "sim-tools", weatherTools + `"max_tokens":3,`, "length"},
		{"tools unused", "sim", weatherTools, "stop"},
		{"tool required", "sim", weatherTools + `"tool_choice":"required",`, "tool_calls"},
		{"tool named", "sim", weatherTools + `"tool_choice":{"type":"function","function":{"name":"get_time"}},`, "tool_calls"},
		{"tools forbidden", "sim-tools", weatherTools + `"tool_choice":"none",`, "stop"},
		{"slow", "sim-slow", "", "stop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sim{t: t, server: s.server, base: s.base, client: s.client}
			status, whole := s.whole("/v1/chat/completions", ask(c.model, c.extra))
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "chat.completion", whole["object"])
			for _, asked := range []bool{false, true} {
				extra := c.extra + `"stream":true,`
				if asked {
					extra += `"stream_options":{"include_usage":true},`
				}
				choices, counted := readStream(t, s.events("/v1/chat/completions", ask(c.model, extra)), asked)
				require.Len(t, choices, len(whole["choices"].([]any)))
				pieces := 0
				for i, got := range choices {
					message, finish := wholeChoice(t, whole, i)
					require.Equal(t, c.finish, got.finish)
					require.Equal(t, finish, got.finish)
					requireSame(t, message, got)
					pieces += got.pieces
				}
				if asked {
					raw, err := json.Marshal(whole["usage"])
					require.NoError(t, err)
					require.JSONEq(t, string(raw), string(mustJSON(counted)))
					require.Equal(t, pieces, counted.Completion, "a token is a chunk")
					require.Equal(t, counted.Prompt+counted.Completion, counted.Total)
				}
			}
		})
	}
}

func requireSame(t *testing.T, want wholeMessage, got told) {
	t.Helper()
	content := ""
	if want.Content != nil {
		content = *want.Content
	}
	require.Equal(t, content, got.content)
	require.Equal(t, want.Reasoning, got.reasoning)
	require.Len(t, got.calls, len(want.ToolCalls))
	for i, call := range want.ToolCalls {
		require.Equal(t, call.Function, got.calls[i])
	}
}

func TestUsageCountsTheWords(t *testing.T) {
	s := start(t)
	_, v := s.whole("/v1/chat/completions", `{"model":"sim-reasoning","max_tokens":30,"messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":[{"type":"text","text":"one two"},{"type":"image_url","image_url":{"url":"data:x"}}]}]}`)
	used := v["usage"].(map[string]any)
	require.EqualValues(t, 3+2+tokensOfMedia, used["prompt_tokens"])
	require.EqualValues(t, 30, used["completion_tokens"])
	require.EqualValues(t, len(tokenize(reasoningText)), used["completion_tokens_details"].(map[string]any)["reasoning_tokens"])
	require.Len(t, tokenize(longAnswer), 400)
}

func TestToolCallsFitTheSchema(t *testing.T) {
	s := start(t)
	f := func(model, user, extra string, want ...string) {
		t.Helper()
		_, v := s.whole("/v1/chat/completions", fmt.Sprintf(`{"model":%q,%s%s"messages":[{"role":"user","content":%q}]}`, model, weatherTools, extra, user))
		message, _ := wholeChoice(t, v, 0)
		var got []string
		for _, c := range message.ToolCalls {
			require.True(t, strings.HasPrefix(c.ID, "call_"))
			got = append(got, c.Function.Name+c.Function.Arguments)
		}
		require.Equal(t, want, got)
	}
	weather, clock := `get_weather{"city":"Paris","days":2}`, `get_time{}`
	f("sim-tools", "hi", "", weather)
	f("sim-tools", "please get_time", "", clock)
	f("sim-tools", "get_time and get_weather", "", weather, clock)
	f("sim-tools", "get_time and get_weather", `"parallel_tool_calls":false,`, weather)
	f("sim", "hi", `"tool_choice":{"type":"function","function":{"name":"get_time"}},`, clock)
	f("sim", "hi", `"tool_choice":"auto",`)
}

func TestToolResultIsAnsweredWithText(t *testing.T) {
	s := start(t)
	_, v := s.whole("/v1/chat/completions", `{"model":"sim-tools",`+weatherTools+`"messages":[
		{"role":"user","content":"weather?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"sunny"}]}`)
	message, finish := wholeChoice(t, v, 0)
	require.Equal(t, "stop", finish)
	require.Equal(t, afterToolText, *message.Content)
}

func TestSameRequestGetsTheSameWordsAndNothingIsEchoed(t *testing.T) {
	s := start(t)
	body := `{"model":"sim","n":2,"messages":[{"role":"user","content":"canary-7f3a my password"}]}`
	_, one := s.whole("/v1/chat/completions", body)
	_, two := s.whole("/chat/completions", body)
	require.Equal(t, one["choices"], two["choices"])
	require.NotEqual(t, one["id"], two["id"])
	require.NotContains(t, string(mustJSON(one)), "canary")
}

func TestSchemaModeAnswersWithAnInstance(t *testing.T) {
	s := start(t)
	_, v := s.whole("/v1/chat/completions", ask("sim", `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":
		{"type":"object","properties":{"z":{"type":"boolean"},"a":{"enum":["red"]}},"required":["z","a"]}}},`))
	message, _ := wholeChoice(t, v, 0)
	require.Equal(t, `{"z":true,"a":"red"}`, *message.Content)
}

func TestErrorsHaveTheOpenAIShape(t *testing.T) {
	s := start(t)
	f := func(path, body string, status int, code any) {
		t.Helper()
		got, v := s.whole(path, body)
		require.Equal(t, status, got, "%s %s", path, body)
		e := v["error"].(map[string]any)
		require.NotEmpty(t, e["message"])
		require.NotEmpty(t, e["type"])
		require.Contains(t, e, "param")
		require.Equal(t, code, e["code"])
	}
	chat := "/v1/chat/completions"
	f(chat, `{"model":`, 400, nil)
	f(chat, `[]`, 400, nil)
	f(chat, `null`, 400, nil)
	f(chat, ``, 400, nil)
	f(chat, `{}`, 400, nil)
	f(chat, `{"model":"sim"}`, 400, nil)
	f(chat, `{"model":7}`, 400, nil)
	f(chat, `{"model":"sim","messages":"hi"}`, 400, nil)
	f(chat, `{"model":"sim","messages":[{"role":"user","content":5}]}`, 400, nil)
	f(chat, `{"model":"sim","messages":[{"role":"nobody","content":""}]}`, 400, nil)
	f(chat, ask("gpt-4o", ""), 404, "model_not_found")
	f(chat, ask("sim-embedding", ""), 400, nil)
	for _, extra := range []string{
		`"n":0,`, `"n":129,`, `"max_tokens":0,`, `"max_completion_tokens":0,`, `"stop":["a","b","c","d","e"],`, `"stop":3,`,
		`"stream_options":{"include_usage":true},`, `"tools":[{"type":"web"}],`, `"tool_choice":"required",`,
		weatherTools + `"tool_choice":"sometimes",`, weatherTools + `"tool_choice":{"type":"function","function":{"name":"none"}},`,
		`"response_format":{"type":"xml"},`, `"response_format":{"type":"json_schema"},`,
	} {
		f(chat, ask("sim", extra), 400, nil)
	}
	for _, stream := range []string{"", `"stream":true,`} {
		f(chat, ask("sim-error-401", stream), 401, "invalid_api_key")
		f(chat, ask("sim-error-429", stream), 429, "rate_limit_exceeded")
		f(chat, ask("sim-error-500", stream), 500, "internal_error")
	}
	f(chat, ask("sim-error-midstream", ""), 500, "internal_error")
	f("/v1/unknown", `{}`, 404, "unknown_url")
	f("/v1/models", `{}`, 405, "method_not_supported")
	f("/v1/completions", `{"model":"sim","prompt":"x","echo":true}`, 400, nil)
	f("/v1/completions", `{"model":"sim","prompt":{}}`, 400, nil)
	f("/v1/embeddings", `{"model":"sim","input":"x"}`, 400, nil)
	f("/v1/embeddings", `{"model":"sim-embedding"}`, 400, nil)
	f("/v1/embeddings", `{"model":"sim-embedding","input":"x","dimensions":0}`, 400, nil)
	f("/v1/embeddings", `{"model":"sim-embedding","input":"x","encoding_format":"hex"}`, 400, nil)
	f("/v1/embeddings", `{`, 400, nil)
	f(chat, `{"model":"`+strings.Repeat("x", maxBody)+`"}`, 413, "request_too_large")

	require.Equal(t, "1", s.post(chat, ask("sim-error-429", "")).Header.Get("Retry-After"))
}
