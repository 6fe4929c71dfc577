package translate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseMessages reads a request with these messages.
func parseMessages(t *testing.T, messages string) []Message {
	t.Helper()
	chat, failed := ParseChat([]byte(`{"model":"m","messages":[` + messages + `]}`))
	require.Nil(t, failed, messages)
	return chat.Messages
}

func TestRoles(t *testing.T) {
	f := func(role string, want Role) {
		t.Helper()
		require.Equal(t, want, parseMessages(t, `{"role":"`+role+`","content":"x","tool_call_id":"c","name":"n"}`)[0].Role)
	}
	f("system", RoleSystem)
	f("developer", RoleSystem)
	f("user", RoleUser)
	f("assistant", RoleAssistant)
	f("tool", RoleTool)
	f("function", RoleTool)
	f(`us\u0065r`, RoleUser)
}

func TestContent(t *testing.T) {
	f := func(content string, want ...string) {
		t.Helper()
		var got []string
		for _, p := range parseMessages(t, `{"role":"user","content":`+content+`}`)[0].Parts {
			got = append(got, fmt.Sprintf("%d %s %s", p.Kind, p.Text.Raw, p.Path))
		}
		require.Equal(t, want, got, content)
	}
	f(`"hi\n"`, `0 "hi\n" messages.0.content`)
	f(`""`)
	f(`null`)
	f(`[]`)
	f(`[{"type":"text","text":"a"},{"type":"text","text":""},{"type":"text","text":" "}]`, `0 "a" messages.0.content.0`, `0 " " messages.0.content.2`)
	f(`["a","",{"type":"refusal","refusal":"no"}]`, `0 "a" messages.0.content.0`, `1 "no" messages.0.content.2`)
	require.Empty(t, parseMessages(t, `{"role":"user"}`)[0].Parts)
	// Of two members of one name the last one counts, as with most parsers.
	require.Len(t, parseMessages(t, `{"role":"user","content":"a","content":"b"}`)[0].Parts, 1)
}

func TestCacheControlIsKept(t *testing.T) {
	m := parseMessages(t, `{"role":"user","cache_control":{"type":"ephemeral"},"content":[{"type":"text","text":"a","cache_control":{"type":"x"}},{"type":"text","text":"b","cache_control":null}]}`)[0]
	require.Equal(t, `{"type":"ephemeral"}`, m.CacheControl.Raw)
	require.Equal(t, `{"type":"x"}`, m.Parts[0].CacheControl.Raw)
	require.False(t, m.Parts[1].CacheControl.Exists())
}

func TestImages(t *testing.T) {
	f := func(image string, want Part) {
		t.Helper()
		want.Kind, want.Path = PartImage, "messages.0.content.0"
		require.Equal(t, want, parseMessages(t, `{"role":"user","content":[{"type":"image_url","image_url":`+image+`}]}`)[0].Parts[0])
	}
	f(`{"url":"https://x.test/a.png","detail":"low"}`, Part{URL: "https://x.test/a.png", Detail: "low"})
	f(`"https:\/\/x.test/a.png"`, Part{URL: "https://x.test/a.png"})
	f(`{"url":"gs://bucket/a.png","detail":null}`, Part{URL: "gs://bucket/a.png"})
	f(`{"url":"data:image/png;base64,AA=="}`, Part{Media: "image/png", Data: "AA=="})
	f(`{"url":"DATA:Image/JPEG;Base64,AA=="}`, Part{Media: "image/jpeg", Data: "AA=="})
	f(`{"url":"data:image/svg+xml;charset=utf-8;base64,AA=="}`, Part{Media: "image/svg+xml", Data: "AA=="})
	f(`{"url":"data:;base64,AA=="}`, Part{Media: "text/plain", Data: "AA=="})
}

func TestAudioAndFiles(t *testing.T) {
	f := func(part string, want Part) {
		t.Helper()
		want.Path = "messages.0.content.0"
		require.Equal(t, want, parseMessages(t, `{"role":"user","content":[`+part+`]}`)[0].Parts[0])
	}
	f(`{"type":"input_audio","input_audio":{"data":"AA","format":"WAV"}}`, Part{Kind: PartAudio, Media: "audio/wav", Data: "AA"})
	f(`{"type":"input_audio","input_audio":{"data":"data:audio/mp3;base64,AA","format":"mp3"}}`, Part{Kind: PartAudio, Media: "audio/mp3", Data: "AA"})
	f(`{"type":"file","file":{"file_data":"AA","filename":"a.pdf"}}`, Part{Kind: PartFile, Media: "application/pdf", Data: "AA", FileName: "a.pdf"})
	f(`{"type":"file","file":{"file_data":"data:text/csv;base64,AA"}}`, Part{Kind: PartFile, Media: "text/csv", Data: "AA"})
	f(`{"type":"file","file":{"file_id":"file-1"}}`, Part{Kind: PartFile, FileID: "file-1"})
}

func TestAssistantMessages(t *testing.T) {
	m := parseMessages(t, `{"role":"assistant","content":null,"refusal":null,"name":"bot","reasoning_content":"thought","extra_content":{"google":{}},"prefix":true,
		"audio":{"id":"a"},"annotations":[],"index":0,"finish_reason":"stop","function_call":null,"tool_calls":[
		{"id":"call_1","type":"function","index":0,"function":{"name":"f","arguments":"{\"a\":\"\\u0041\"}"},"extra_content":{"google":{"thought_signature":"s"}}},
		{"id":"call_2","type":null,"function":{"name":"g","arguments":""}},
		{"id":"call_3","function":{"name":"h","arguments":{"b" : 1}}},
		{"id":"call_4","function":{"name":"i","arguments":null}},
		{"function":{"name":"j"}}]}`)[0]
	require.Equal(t, "bot", m.Name)
	require.Empty(t, m.Parts)
	require.Equal(t, `"thought"`, m.Reasoning.Raw)
	require.Equal(t, `{"google":{}}`, m.Extra.Raw)
	require.True(t, m.Prefix)
	require.Len(t, m.Calls, 5)
	require.Equal(t, `{"google":{"thought_signature":"s"}}`, m.Calls[0].Extra.Raw)
	var calls []string
	for _, c := range m.Calls {
		calls = append(calls, c.ID+" "+c.Name+" "+c.Arguments+" "+c.Path)
	}
	require.Equal(t, []string{
		`call_1 f {"a":"\u0041"} messages.0.tool_calls.0`,
		`call_2 g  messages.0.tool_calls.1`,
		`call_3 h {"b" : 1} messages.0.tool_calls.2`,
		`call_4 i  messages.0.tool_calls.3`,
		`j j  messages.0.tool_calls.4`,
	}, calls)

	m = parseMessages(t, `{"role":"assistant","refusal":"no","content":"but","reasoning":"r","partial":true}`)[0]
	require.Equal(t, PartText, m.Parts[0].Kind)
	require.Equal(t, Part{Kind: PartRefusal, Text: m.Parts[1].Text, Path: "messages.0.refusal"}, m.Parts[1])
	require.Equal(t, `"no"`, m.Parts[1].Text.Raw)
	require.Equal(t, `"r"`, m.Reasoning.Raw)
	require.True(t, m.Prefix)
	require.False(t, parseMessages(t, `{"role":"assistant","reasoning_content":"","refusal":""}`)[0].Reasoning.Exists())
}

func TestLegacyFunctionMessages(t *testing.T) {
	all := parseMessages(t, `{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"}`)
	require.Equal(t, []AssistantCall{{ID: "f", Name: "f", Arguments: "{}", Path: "messages.0.function_call"}}, all[0].Calls)
	require.Equal(t, RoleTool, all[1].Role)
	require.Equal(t, "f", all[1].CallID)
	require.Equal(t, "f", all[1].Name)
	require.Equal(t, "c", parseMessages(t, `{"role":"tool","tool_call_id":"c"}`)[0].CallID)
}

func TestMessagesAreRefusedByName(t *testing.T) {
	f := func(message, param string) {
		t.Helper()
		refuseChat(t, `{"model":"m","messages":[{"role":"user","content":"x"},`+message+`]}`, CodeInvalidType, "messages.1"+param)
	}
	f(`"hi"`, ".role")
	f(`null`, ".role")
	f(`{}`, ".role")
	f(`{"role":"bot"}`, ".role")
	f(`{"role":1}`, ".role")
	f(`{"role":"user","content":1}`, ".content")
	f(`{"role":"user","content":{"type":"text"}}`, ".content")
	f(`{"role":"user","content":[1]}`, ".content.0.type")
	f(`{"role":"user","content":["a",{"text":"b"}]}`, ".content.1.type")
	f(`{"role":"user","content":[{"type":"image"}]}`, ".content.0.type")
	f(`{"role":"user","content":[{"type":"text"}]}`, ".content.0.text")
	f(`{"role":"user","content":[{"type":"text","text":null}]}`, ".content.0.text")
	f(`{"role":"user","content":[{"type":"refusal","text":"a"}]}`, ".content.0.refusal")
	f(`{"role":"user","content":[{"type":"image_url"}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"image_url","image_url":""}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"image_url","image_url":{"url":1}}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,AA"}}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,"}}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64"}}]}`, ".content.0.image_url.url")
	f(`{"role":"user","content":[{"type":"input_audio"}]}`, ".content.0.input_audio")
	f(`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA"}}]}`, ".content.0.input_audio")
	f(`{"role":"user","content":[{"type":"input_audio","input_audio":{"format":"wav","data":"data:audio/wav"}}]}`, ".content.0.input_audio")
	f(`{"role":"user","content":[{"type":"file"}]}`, ".content.0.file")
	f(`{"role":"user","content":[{"type":"file","file":{"filename":"a"}}]}`, ".content.0.file")
	f(`{"role":"user","content":[{"type":"file","file":{"file_data":"data:x"}}]}`, ".content.0.file.file_data")
	f(`{"role":"user","name":1}`, ".name")
	f(`{"role":"tool","content":"x"}`, ".tool_call_id")
	f(`{"role":"tool","tool_call_id":""}`, ".tool_call_id")
	f(`{"role":"tool","tool_call_id":1}`, ".tool_call_id")
	f(`{"role":"function","content":"x"}`, ".name")
	f(`{"role":"assistant","refusal":[]}`, ".refusal")
	f(`{"role":"assistant","tool_calls":{}}`, ".tool_calls")
	f(`{"role":"assistant","tool_calls":[1]}`, ".tool_calls.0.function.name")
	f(`{"role":"assistant","tool_calls":[{"id":"c"}]}`, ".tool_calls.0.function.name")
	f(`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[]}}]}`, ".tool_calls.0.function.arguments")
	f(`{"role":"assistant","function_call":{"arguments":"{}"}}`, ".function_call.name")
	f(`{"role":"assistant","function_call":{"name":"f","arguments":1}}`, ".function_call.arguments")
	refuseChat(t, `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"type":"custom","custom":{}}]}]}`, CodeUnsupported, "messages.0.tool_calls.0.type")
}

func TestMembersOfMessagesThatNobodyKnows(t *testing.T) {
	f := func(messages string, want ...string) {
		t.Helper()
		chat, failed := ParseChat([]byte(`{"model":"m","messages":[` + messages + `]}`))
		require.Nil(t, failed)
		require.Equal(t, want, chat.stray)
	}
	f(`{"role":"user","content":"a","x":null}`)
	f(`{"role":"user","x":1,"id":"m_1"},{"role":"assistant","x":2,"reasoning_details":[]},{"role":"user","id":"m_2"}`,
		"messages.0.x", "messages.0.id", "messages.1.reasoning_details")
	f(`{"role":"user","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1}`,
		"messages.0.a", "messages.0.b", "messages.0.c", "messages.0.d", "messages.0.e", "messages.0.f", "messages.0.g", "messages.0.h")
}
