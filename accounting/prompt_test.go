package accounting

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The messages and the tool are the examples of OpenAI's cookbook, "How to
// count tokens with tiktoken", and so are the counts the API reported for them.
const (
	cookbookMessages = `[
 {"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
 {"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
 {"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
 {"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
 {"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
 {"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]`
	weatherMessages = `[
 {"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
 {"role":"user","content":"What's the weather like in San Francisco?"}]`
	weatherFunction = `{"name":"get_current_weather","description":"Get the current weather in a given location","parameters":{
 "type":"object","properties":{
  "location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
  "unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},
 "required":["location"]}}`
)

func TestPromptMatchesThePublishedExamples(t *testing.T) {
	var e Estimator
	f := func(model, body string, want int64) {
		t.Helper()
		require.Equal(t, want, e.Prompt(model, "chat/completions", []byte(body)), model)
	}

	f("gpt-3.5-turbo", `{"messages":`+cookbookMessages+`}`, 129)
	f("gpt-4", `{"messages":`+cookbookMessages+`}`, 129)
	f("gpt-4o", `{"messages":`+cookbookMessages+`}`, 124)

	tools := `{"messages":` + weatherMessages + `,"tools":[{"type":"function","function":` + weatherFunction + `}]}`
	f("gpt-3.5-turbo", tools, 105)
	f("gpt-4", tools, 105)
	f("gpt-4o", tools, 101)
	f("gpt-4o", `{"messages":`+weatherMessages+`,"functions":[`+weatherFunction+`]}`, 101)
}

func TestPromptOfEachEndpoint(t *testing.T) {
	var e Estimator
	f := func(endpoint, body string, want int64) {
		t.Helper()
		require.Equal(t, want, e.Prompt("gpt-4o", endpoint, []byte(body)), "%s %s", endpoint, body)
	}

	f("/v1/chat/completions", `{"messages":[{"role":"user","content":"hello world"}]}`, 3+1+2+3)
	f("chat_completions", `{"messages":[{"role":"user","name":"bob","content":"hello world"}]}`, 3+1+1+1+2+3)
	f("chat", `{"messages":[{"role":"user","content":[{"type":"text","text":"hello world"},{"type":"text","text":"hello world"}]}]}`, 3+1+4+3)
	f("chat", `{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"x","type":"function","function":{"name":"hello","arguments":"world"}}]}]}`, 3+1+3+2+3)
	f("chat", `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`, 3+1+3)

	f("/v1/completions", `{"prompt":"hello world"}`, 2)
	f("completions", `{"prompt":["hello world","hello world"],"suffix":"hello world"}`, 6)
	f("completions", `{"prompt":[1,2,3]}`, 3)
	f("completions", `{"prompt":[[1,2,3],[4,5]]}`, 5)

	f("/v1/embeddings", `{"input":"hello world"}`, 2)
	f("embeddings", `{"input":["hello world","hello"]}`, 3)
	f("embeddings", `{"input":[[15339,1917]]}`, 2)

	f("/v1/responses", `{"input":"hello world"}`, 3+1+2+3)
	f("responses", `{"instructions":"hello","input":[{"role":"user","content":"hello world"}]}`, 3+1+1+3+1+2+3)
	f("responses", `{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello world"}]},
		{"type":"function_call","name":"hello","arguments":"world"},{"type":"function_call_output","output":"hello world"}]}`, 6+3+2+4+2+3)

	f("", `{"messages":[{"role":"user","content":"hello world"}]}`, 9)
	f("", `{"prompt":"hello world"}`, 2)
	f("", `{"input":"hello world"}`, 2)
	f("", `{"input":[{"role":"user","content":"hello world"}]}`, 9)
}

func TestMembersThatAreNullCountNothing(t *testing.T) {
	var e Estimator
	for _, model := range []string{"gpt-4o", "deepseek-chat", "claude-sonnet-4"} {
		bare := e.Prompt(model, "chat", []byte(`{"messages":[{"role":"user","content":"hello world"}]}`))
		nulls := e.Prompt(model, "chat", []byte(`{"messages":[{"role":"user","content":"hello world","name":null,"tool_calls":null,"function_call":null}],
			"tools":null,"response_format":null,"reasoning_effort":null,"thinking":null,"max_tokens":null}`))
		require.Equal(t, bare, nulls, model)
	}
}

func TestThoughtsCountOnlyBehindTheLastQuestion(t *testing.T) {
	var e Estimator
	f := func(messages string) int64 {
		return e.Prompt("qwen3", "chat", []byte(`{"messages":[`+messages+`]}`))
	}
	const user = `{"role":"user","content":"hi"}`
	thinking, silent := `{"role":"assistant","reasoning_content":"hello world","content":"hi"}`, `{"role":"assistant","content":"hi"}`
	require.Equal(t, f(user+","+silent+","+user), f(user+","+thinking+","+user))
	require.Equal(t, f(user+","+silent)+2, f(user+","+thinking))
}

func TestAskingClaudeToThinkCosts(t *testing.T) {
	var e Estimator
	f := func(model, member string) int64 {
		return e.Prompt(model, "chat", []byte(`{"messages":[{"role":"user","content":"hi"}]`+member+`}`))
	}
	plain := f("claude-sonnet-4", "")
	for _, asking := range []string{`,"thinking":{"type":"enabled","budget_tokens":2000}`, `,"reasoning_effort":"low"`, `,"reasoning":{"max_tokens":2000}`} {
		require.Greater(t, f("claude-sonnet-4", asking), plain, asking)
		require.Equal(t, f("gpt-4o", ""), f("gpt-4o", asking), asking)
	}
	for _, not := range []string{`,"thinking":{"type":"disabled"}`, `,"reasoning_effort":"none"`, `,"reasoning":{"enabled":false}`, `,"thinking":true`} {
		require.Equal(t, plain, f("claude-sonnet-4", not), not)
	}
}

func TestToolsAsJSONCountWithTheSpacesOfTheTemplates(t *testing.T) {
	require.Equal(t, `{"a": [1, {"b": "x: \"y\", \\"}], "c": null}`, spacedJSON("{ \"a\":[1,\n {\"b\"  :\"x: \\\"y\\\", \\\\\"}],\t\"c\":null}"))
	var e Estimator
	f := func(tool string) int64 {
		return e.Prompt("mistral-small", "chat", []byte(`{"messages":[],"tools":[`+tool+`]}`))
	}
	indented := strings.ReplaceAll(`{"type":"function","function":`+weatherFunction+`}`, `,"`, ",\n    \"")
	require.Equal(t, f(`{"type":"function","function":`+weatherFunction+`}`), f(indented))
}

func TestReasoningModelsArePrimedOneLower(t *testing.T) {
	var e Estimator
	body := []byte(`{"messages":[{"role":"user","content":"hello world"}]}`)
	for _, model := range []string{"gpt-5", "gpt-5.2-2025-12-11", "o1", "o3-mini", "openai/o4-mini"} {
		require.EqualValues(t, 8, e.Prompt(model, "chat", body), model)
	}
}

func TestStructuredAnswerSchemaCountsWithoutWhiteSpace(t *testing.T) {
	var e Estimator
	compact := `{"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"person","schema":{"type":"object","properties":{"age":{"type":"integer"}}}}}}`
	spaced := strings.NewReplacer(`":`, "\":\n      ", `{"type"`, "{\n      \"type\"").Replace(compact)
	n := e.Prompt("gpt-4o", "chat", []byte(compact))
	require.Greater(t, n, int64(10))
	require.Equal(t, n, e.Prompt("gpt-4o", "chat", []byte(spaced)))
}

func TestToolDefinitionsOfResponsesCountLikeThoseOfChat(t *testing.T) {
	var e Estimator
	chat := e.Prompt("gpt-4o", "chat", []byte(`{"messages":[],"tools":[{"type":"function","function":`+weatherFunction+`}]}`))
	flat := strings.Replace(weatherFunction, `{"name"`, `{"type":"function","name"`, 1)
	responses := e.Prompt("gpt-4o", "responses", []byte(`{"input":[],"tools":[`+flat+`,{"type":"web_search"}]}`))
	require.Equal(t, chat, responses)
}

func TestNestedSchemasCount(t *testing.T) {
	var e Estimator
	f := func(parameters string) int64 {
		return e.Prompt("gpt-4o", "chat", []byte(`{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":`+parameters+`}}]}`))
	}
	flat := f(`{"properties":{"a":{"type":"object"}}}`)
	nested := f(`{"properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}}}`)
	list := f(`{"properties":{"a":{"type":"object","items":{"properties":{"b":{"type":"string"}}}}}}`)
	require.Greater(t, nested, flat)
	require.Equal(t, nested, list)
}

func TestUnreadablePromptsCountNothingAndHarmNothing(t *testing.T) {
	var e Estimator
	for _, body := range []string{
		"", "null", "[]", `"text"`, "{", `{"messages":`, `{"messages":{"role":7}}`, `{"messages":[[[[]]]]}`, "\x00\xff",
		`{"tools":"x","messages":5}`, `{"messages":[{"content":[null,1,true]}]}`,
	} {
		require.GreaterOrEqual(t, e.Prompt("gpt-4o", "chat/completions", []byte(body)), int64(0), body)
	}
	deep := `{"input":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	require.Zero(t, e.Prompt("gpt-4o", "embeddings", []byte(deep)))
	deepTool := `{"messages":[],"tools":[{"function":{"name":"f","parameters":` +
		strings.Repeat(`{"properties":{"a":`, 2000) + "{}" + strings.Repeat("}}", 2000) + `}}]}`
	require.Less(t, e.Prompt("gpt-4o", "chat", []byte(deepTool)), int64(200))
}

func TestPromptLeavesTheRequestAsItIs(t *testing.T) {
	var e Estimator
	body := []byte(`{"messages":[{"role":"user","content":"tab\there \ud83d\ude42"}]}`)
	before := string(body)
	e.Prompt("gpt-4o", "chat", body)
	require.Equal(t, before, string(body))
}

func FuzzPrompt(f *testing.F) {
	f.Add("chat", []byte(`{"messages":`+weatherMessages+`,"tools":[{"function":`+weatherFunction+`}]}`))
	f.Add("responses", []byte(`{"input":[{"type":"function_call_output","output":[{"type":"input_image"}]}]}`))
	f.Add("embeddings", []byte(`{"input":[[1,2],["a"],{"text":"b"}]}`))
	f.Add("", []byte(`{"prompt":["\ud83d"]}`))
	var e Estimator
	f.Fuzz(func(t *testing.T, endpoint string, body []byte) {
		if n := e.Prompt("gpt-4o", endpoint, body); n < 0 {
			t.Fatalf("%d tokens", n)
		}
		if limit, ok := OutputLimit(body); ok && limit <= 0 {
			t.Fatalf("limit %d", limit)
		}
	})
}

func BenchmarkEstimatorPrompt(b *testing.B) {
	var e Estimator
	body := []byte(`{"messages":` + cookbookMessages + `,"tools":[{"type":"function","function":` + weatherFunction + `}]}`)
	e.Prompt("gpt-4o", "chat", body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		e.Prompt("gpt-4o", "chat", body)
	}
}
