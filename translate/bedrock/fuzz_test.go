package bedrock_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func FuzzDecoder(f *testing.F) {
	for _, seed := range [][2]string{
		{"", begin},
		{"", end},
		{"", metadata},
		{"messageStop", `{"stopReason":"end_turn"}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a\n\"b\""},"p":"abc"}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"c2ln"}}}`},
		{"contentBlockDelta", `{"contentBlockIndex":-1e3,"delta":{"toolUse":{"input":{}}}}`},
		{"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`},
		{"contentBlockStop", `{"contentBlockIndex":0}`},
		{"exception x", `{"message":1}`},
		{"", `{"xException":[]}`},
		{"", `{"`},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		w := translate.NewChunkWriter(translate.Head{ID: "id", Model: "m"}, translate.WriterOptions{Extensions: true})
		w.Lend(nil)
		d := dialect.Decoder(&translate.Context{Carried: kept{}})
		for _, event := range [][2]string{
			{"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`},
			{name, string(data)},
			{name, string(data)},
			{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"x"}}}`},
			{name, string(data)},
			{"messageStop", `{"stopReason":"end_turn"}`},
		} {
			if d.Event(w, []byte(event[0]), []byte(event[1])) != translate.More {
				break
			}
		}
		d.End(w)
		for data := range w.Events(w.Take(), 0) {
			require.True(t, json.Valid(data), "%s", data)
		}
		dialect.Answer(&translate.Context{}, &dialecttest.Recorder{}, data)
		require.NotEmpty(t, dialect.Error(500, name, data).Message)
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"file","file":{"file_data":"AAAA","filename":"a.pdf"}}]},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":""}],"tools":[{"type":"function","function":{"name":"f","parameters":{"x":1}}}],"thinking":{},"additionalModelRequestFields":{"a":1},"reasoning_effort":"low","response_format":{"type":"json_schema","json_schema":{"schema":{"a":"\\\""}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		chat, failed := translate.ParseChat(body)
		if failed != nil {
			return
		}
		if out, failed := dialect.Request(&translate.Context{}, chat); failed == nil {
			require.True(t, json.Valid(out), "%s", out)
		}
	})
}
