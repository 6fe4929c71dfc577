package translate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/jsonview"
)

const oneMessage = `"messages":[{"role":"user","content":"hi"}]`

// parseChat reads a request with one message and the members given.
func parseChat(t *testing.T, members string) *Chat {
	t.Helper()
	chat, failed := ParseChat([]byte(`{"model":"m",` + oneMessage + members + `}`))
	require.Nil(t, failed, members)
	return chat
}

// refuseChat requires that a request is refused, and names the member at fault.
func refuseChat(t *testing.T, body, code, param string) {
	t.Helper()
	_, accepted := ParseRequest(ChatCompletions, []byte(body))
	require.Nil(t, accepted, "the body must be one that goes further: %s", body)
	chat, failed := ParseChat([]byte(body))
	require.Nil(t, chat, body)
	require.NotNil(t, failed, body)
	require.Equal(t, code, failed.Code, body)
	require.Equal(t, param, failed.Param, body)
	require.Equal(t, 400, failed.Status, body)
	require.Contains(t, failed.Message, "'"+param+"'", body)
}

func raw(values []jsonview.Value) string {
	var all []string
	for _, v := range values {
		all = append(all, v.Raw)
	}
	return strings.Join(all, " ")
}

func TestChatOfMembersThatAreNotSent(t *testing.T) {
	chat := parseChat(t, ``)
	require.Equal(t, []string{"messages"}, chat.present)
	require.Empty(t, chat.stray)
	require.Empty(t, chat.Unknown)
	require.Equal(t, "m", chat.Model)
	require.False(t, chat.Stream)
	require.Equal(t, 1, chat.N)
	require.True(t, chat.ParallelTools)
	require.Zero(t, chat.MaxTokens)
	require.Zero(t, chat.Choice)
	require.Zero(t, chat.Format)
	require.False(t, chat.Temperature.Exists() || chat.TopP.Exists() || chat.Seed.Exists() || chat.User.Exists())
}

// What says what is the case anyway must not be refused by a provider without it.
func TestMembersThatSayNothing(t *testing.T) {
	for _, member := range []string{
		`"n":1`, `"n":0`, `"n":1.0`, `"store":false`, `"parallel_tool_calls":true`, `"logprobs":false`, `"top_logprobs":0`,
		`"frequency_penalty":0`, `"presence_penalty":0.0`, `"presence_penalty":-0`, `"service_tier":"auto"`, `"modalities":["text"]`, `"modalities":[]`,
		`"metadata":{}`, `"logit_bias":{}`, `"tools":[]`, `"functions":[]`, `"stop":[]`, `"stop":""`, `"stop":["",""]`,
		`"response_format":{"type":"text"}`, `"stream":true`, `"stream_options":{"include_usage":true}`,
	} {
		chat := parseChat(t, ","+member)
		require.Equal(t, []string{"messages"}, chat.present, member)
		require.Empty(t, chat.Unknown, member)
	}
	for _, name := range ChatMembers {
		if name == "messages" {
			continue
		}
		chat := parseChat(t, `,"`+name+`":null`)
		require.Equal(t, []string{"messages"}, chat.present, name)
		require.Empty(t, chat.Unknown, name)
	}
}

func TestMembersThatSaySomething(t *testing.T) {
	values := map[string]string{
		"messages": `[{"role":"user"}]`, "tools": `[{"type":"function","function":{"name":"f"}}]`, "functions": `[{"name":"f"}]`,
		"tool_choice": `"auto"`, "function_call": `"none"`, "parallel_tool_calls": `false`, "response_format": `{"type":"json_object"}`,
		"reasoning_effort": `"low"`, "verbosity": `"low"`, "max_tokens": `5`, "max_completion_tokens": `5`, "temperature": `1`, "top_p": `1`,
		"frequency_penalty": `0.1`, "presence_penalty": `-0.1`, "stop": `"x"`, "n": `2`, "seed": `0`, "logprobs": `true`, "top_logprobs": `2`,
		"logit_bias": `{"1":2}`, "user": `"u"`, "safety_identifier": `"s"`, "service_tier": `"flex"`, "metadata": `{"a":"b"}`, "store": `true`,
		"modalities": `["text","audio"]`, "audio": `{"voice":"alloy"}`, "prediction": `{"type":"content"}`, "prompt_cache_key": `"k"`,
		"prompt_cache_retention": `"24h"`, "web_search_options": `{}`,
	}
	for _, name := range ChatMembers {
		require.Contains(t, values, name)
		body := `{"model":"m","` + name + `":` + values[name] + `,` + oneMessage + `}`
		if name == "messages" {
			body = `{"model":"m","messages":` + values[name] + `}`
		}
		chat, failed := ParseChat([]byte(body))
		require.Nil(t, failed, body)
		require.True(t, slices.Contains(chat.present, name), body)
		require.Empty(t, chat.Unknown, body)
	}
	require.Len(t, values, len(ChatMembers))
}

func TestMembersAreRead(t *testing.T) {
	chat := parseChat(t, `,"stream":true,"n":3,"temperature":0.70,"top_p":1e-1,"frequency_penalty":1,"presence_penalty":-2,"seed":12.0,
		"user":"u\n","safety_identifier":"s","service_tier":"flex","reasoning_effort":"hi\u0067h","logprobs":true,"top_logprobs":4,
		"parallel_tool_calls":false,"modalities":["text","audio"],"audio":{"voice":"v"},"stop":["a","b\n"],"max_tokens":7`)
	require.True(t, chat.Stream)
	require.Equal(t, 3, chat.N)
	require.Equal(t, `0.70 1e-1 1 -2 12.0 "u\n" "s" "flex"`, raw([]jsonview.Value{
		chat.Temperature, chat.TopP, chat.FrequencyPenalty, chat.PresencePenalty, chat.Seed, chat.User, chat.SafetyIdentifier, chat.ServiceTier,
	}))
	require.Equal(t, "high", chat.Effort)
	require.True(t, chat.Logprobs)
	require.Equal(t, int64(4), chat.TopLogprobs)
	require.False(t, chat.ParallelTools)
	require.Equal(t, `["text","audio"] {"voice":"v"}`, raw([]jsonview.Value{chat.Modalities, chat.Audio}))
	require.Equal(t, `"a" "b\n"`, raw(chat.Stop))
	require.Equal(t, int64(7), chat.MaxTokens)
	require.Equal(t, `"x"`, raw(parseChat(t, `,"stop":"x"`).Stop))
	require.Equal(t, `"x"`, raw(parseChat(t, `,"stop":["","x"]`).Stop))
}

func TestBoundsOnTokens(t *testing.T) {
	f := func(members string, want int64) {
		t.Helper()
		require.Equal(t, want, parseChat(t, members).MaxTokens, members)
	}
	f(``, 0)
	f(`,"max_tokens":10`, 10)
	f(`,"max_completion_tokens":10`, 10)
	f(`,"max_tokens":10,"max_completion_tokens":20`, 20)
	f(`,"max_completion_tokens":20,"max_tokens":30`, 20)
	f(`,"max_completion_tokens":null,"max_tokens":30`, 30)
	f(`,"max_tokens":-1`, 0)
	f(`,"max_tokens":1e2`, 100)
}

func TestUnknownMembersAreKeptInOrder(t *testing.T) {
	chat := parseChat(t, `,"top_k":40,"thinking":{"type":"enabled"},"top_k":41,"x":null,"mod\u0065l2":"y","Temperature":1`)
	var unknown []string
	for _, m := range chat.Unknown {
		unknown = append(unknown, m.Name+"="+m.Value.Raw)
	}
	require.Equal(t, []string{`top_k=40`, `thinking={"type":"enabled"}`, `top_k=41`, `model2="y"`, `Temperature=1`}, unknown)
	require.Equal(t, []string{"messages"}, chat.present)
}

func TestResponseFormats(t *testing.T) {
	chat := parseChat(t, `,"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type":"object"},"strict":true}}`)
	require.Equal(t, "json_schema", chat.Format.Type)
	require.Equal(t, "n", chat.Format.Name)
	require.Equal(t, `"d" {"type":"object"} true`, raw([]jsonview.Value{chat.Format.Description, chat.Format.Schema, chat.Format.Strict}))
	chat = parseChat(t, `,"response_format":{"type":"json_schema","json_schema":{"name":"n","description":null,"schema":null,"strict":null}}`)
	require.False(t, chat.Format.Description.Exists() || chat.Format.Schema.Exists() || chat.Format.Strict.Exists())
	require.Equal(t, Format{Type: "json_object"}, parseChat(t, `,"response_format":{"type":"json_object"}`).Format)
}

func TestMembersOfTheWrongTypeAreRefusedByName(t *testing.T) {
	f := func(members, param string) {
		t.Helper()
		refuseChat(t, `{"model":"m",`+oneMessage+`,`+members+`}`, CodeInvalidType, param)
	}
	for _, name := range []string{"top_logprobs", "seed"} {
		f(`"`+name+`":"1"`, name)
		f(`"`+name+`":1.5`, name)
		f(`"`+name+`":1e400`, name)
	}
	for _, name := range []string{"logprobs", "parallel_tool_calls", "store"} {
		f(`"`+name+`":"true"`, name)
		f(`"`+name+`":1`, name)
	}
	for _, name := range []string{"temperature", "top_p", "frequency_penalty", "presence_penalty"} {
		f(`"`+name+`":"1"`, name)
		f(`"`+name+`":[]`, name)
	}
	for _, name := range []string{"reasoning_effort", "user", "safety_identifier", "service_tier"} {
		f(`"`+name+`":1`, name)
		f(`"`+name+`":{}`, name)
	}
	for _, name := range []string{"metadata", "logit_bias"} {
		f(`"`+name+`":"x"`, name)
		f(`"`+name+`":[1]`, name)
	}
	f(`"modalities":"text"`, "modalities")
	f(`"stop":1`, "stop")
	f(`"stop":["a",2]`, "stop.1")
	f(`"stop":[null]`, "stop.0")
	f(`"response_format":"json"`, "response_format.type")
	f(`"response_format":{}`, "response_format.type")
	f(`"response_format":{"type":"grammar"}`, "response_format.type")
	f(`"response_format":{"type":"json_schema"}`, "response_format.json_schema")
	f(`"response_format":{"type":"json_schema","json_schema":{"schema":"s"}}`, "response_format.json_schema.schema")
	f(`"response_format":{"type":"json_schema","json_schema":{"description":1}}`, "response_format.json_schema.description")
	f(`"response_format":{"type":"json_schema","json_schema":{"strict":"yes"}}`, "response_format.json_schema.strict")
}

func TestDuplicateMembersAreRefused(t *testing.T) {
	for _, members := range []string{
		`"temperature":1,"temperature":1`, `"temperature":1,"t\u0065mperature":2`,
	} {
		refuseChat(t, `{"model":"m",`+oneMessage+`,`+members+`}`, CodeDuplicateKey, "temperature")
	}
	refuseChat(t, `{"model":"m",`+oneMessage+`,`+oneMessage+`}`, CodeDuplicateKey, "messages")
	// null is absent, also beside a value.
	require.Equal(t, "1", parseChat(t, `,"temperature":null,"temperature":1,"temperature":null`).Temperature.Raw)
}

func TestARequestNeedsMessages(t *testing.T) {
	for _, body := range []string{
		`{"model":"m"}`, `{"model":"m","messages":null}`, `{"model":"m","messages":[]}`, `{"model":"m","messages":"hi"}`, `{"model":"m","messages":{"role":"user"}}`,
	} {
		refuseChat(t, body, CodeInvalidType, "messages")
	}
	for _, body := range []string{``, `[]`, `{`, `null`} {
		_, failed := ParseChat([]byte(body))
		require.NotNil(t, failed)
		require.Equal(t, CodeInvalidJSON, failed.Code)
	}
}

func TestABodyIsNotWrittenTo(t *testing.T) {
	body := []byte(`{"model":"m","messages":[{"role":"user","content":["a\n",{"type":"text","text":"\u0041"}]}],"x":1}`)
	before := string(body)
	_, failed := ParseChat(body)
	require.Nil(t, failed)
	require.Equal(t, before, string(body))
}

func FuzzParseChat(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"m","messages":[{"role":"assistant","content":[{"type":"text","text":"a"},"b",{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}],"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}]}`,
		`{"model":"m","messages":[{"role":"function","name":"f","content":null},{"role":"assistant","function_call":{"name":"f","arguments":{}},"refusal":"no","x":1}],"functions":[{"name":"f"}],"function_call":{"name":"f"}}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}},{"type":"file","file":{"file_data":"data:,"}}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"stop":["a"],"response_format":{"type":"json_schema","json_schema":{}}}`,
		`{"model":"m","messages":[],"n":1e3,"max_tokens":-1,"temperature":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		if _, failed := ParseRequest(ChatCompletions, body); failed != nil {
			return
		}
		chat, failed := ParseChat(body)
		require.Equal(t, before, string(body))
		if failed != nil {
			require.Nil(t, chat)
			require.Equal(t, 400, failed.Status)
			require.True(t, json.Valid(failed.AppendJSON(nil)), "%q", body)
			return
		}
		requireSound(t, chat)
		var c Context
		rules := Rules{}
		for _, name := range ChatMembers {
			rules[name] = Dropped
		}
		require.Nil(t, rules.Apply(&c, chat))
		for _, warning := range c.Warnings {
			require.Less(t, len(warning), 256)
			require.False(t, strings.ContainsFunc(warning, func(r rune) bool { return r < ' ' || r > '~' }), "%q", warning)
		}
		require.LessOrEqual(t, len(c.Warnings), len(ChatMembers)+maxStray)
	})
}

// requireSound holds a chat to what its documentation says.
func requireSound(t *testing.T, chat *Chat) {
	t.Helper()
	require.NotEmpty(t, chat.Messages)
	require.GreaterOrEqual(t, chat.N, 1)
	require.GreaterOrEqual(t, chat.MaxTokens, int64(0))
	require.LessOrEqual(t, len(chat.stray), maxStray)
	for _, m := range chat.Unknown {
		require.True(t, m.Value.Exists() && !m.Value.IsNull())
	}
	for _, s := range chat.Stop {
		require.NotEmpty(t, s.Inside())
	}
	for _, tool := range chat.Tools {
		require.NotEmpty(t, tool.Name)
		require.True(t, !tool.Parameters.Exists() || tool.Parameters.IsObject())
	}
	for i, m := range chat.Messages {
		require.Equal(t, at("messages", i), m.Path)
		require.Contains(t, []Role{RoleSystem, RoleUser, RoleAssistant, RoleTool}, m.Role)
		require.True(t, m.Role != RoleTool || m.CallID != "")
		for _, call := range m.Calls {
			require.NotEmpty(t, call.ID)
			require.NotEmpty(t, call.Name)
		}
		for _, part := range m.Parts {
			requireSoundPart(t, part)
		}
	}
}

func requireSoundPart(t *testing.T, p Part) {
	t.Helper()
	switch p.Kind {
	case PartText, PartRefusal:
		require.NotEmpty(t, p.Text.Inside())
	case PartImage:
		require.True(t, (p.URL != "") != (p.Data != "" && p.Media != ""))
	case PartAudio:
		require.NotEmpty(t, p.Data)
		require.NotEqual(t, "audio/", p.Media)
	case PartFile:
		require.True(t, p.FileID != "" || p.Data != "" || p.URL != "")
	}
	require.True(t, strings.HasPrefix(p.Path, "messages."))
}
