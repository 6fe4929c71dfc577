package gemini

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// FuzzDecoder feeds lines as events. Whatever they are, what comes out of the real
// writer is JSON.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(plainEvent + "\n" + escapeEvent + "\n" + reasonEvent))
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"x"}]},"finishReason":"STOP"}]}`))
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}` + "\n" +
		`{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a[0]['b']","stringValue":"\\x","willContinue":true},{"jsonPath":"$.c","numberValue":1}]}}]}}]}`))
	f.Add([]byte(`[{"error":{"code":503,"message":"x"}}]`))
	f.Add([]byte(`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"totalTokenCount":1e3}}`))
	f.Add([]byte(`{"candidates":[{"index":1e9}]}`))
	f.Add([]byte(`{"candidates":[{"logprobsResult":{"chosenCandidates":[{}],"topCandidates":[{"candidates":[{"token":1}]}]}}]}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := &dialecttest.Recorder{}
		w := translate.NewChunkWriter(translate.Head{ID: "id", Model: "m"}, translate.WriterOptions{Extensions: true})
		w.Lend(nil)
		for _, sink := range []translate.Sink{s, w} {
			d := Dialect{}.Decoder(&translate.Context{Carried: memory{}})
			p := translate.More
			for line := range bytes.Lines(stream) {
				if p = d.Event(sink, nil, bytes.Clone(bytes.TrimSpace(line))); p != translate.More {
					break
				}
			}
			if p == translate.More {
				d.End(sink)
			}
			Dialect{}.Answer(&translate.Context{}, sink, bytes.Clone(stream))
		}
		for line := range bytes.Lines(w.Take()) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				require.True(t, json.Valid(data), "%s", data)
			}
		}
		require.Less(t, len(strings.Join(s.Lines, "\n")), 64<<10+200*len(stream))
	})
}

// FuzzRequest checks that whatever is not refused becomes JSON, and always the same.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"a","parameters":{"type":["string","null"],"$ref":"#/x"}}}]}`))
	f.Add([]byte(`{"messages":[{"role":"system","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"{\"a\":1}"}]}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}],"max_tokens":3,"reasoning_effort":"low","generationConfig":{"top_k":1,"thinkingConfig":{}},"toolConfig":{}}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"anyOf":[{"type":"object","properties":{"a":true}},{"allOf":[{"enum":[1]}]}]}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		chat, e := translate.ParseChat(body)
		if e != nil {
			return
		}
		known := modeldata.Model{
			Traits:    []string{modeldata.TraitOpenAPISchemas, modeldata.TraitThoughtSignatures},
			Reasoning: modeldata.Reasoning{Style: modeldata.StyleLevel, Words: map[string]string{"low": "low"}},
		}
		for _, known := range []modeldata.Model{{}, known} {
			first, e := Dialect{}.Request(&translate.Context{Known: known}, chat)
			again, _ := Dialect{}.Request(&translate.Context{Known: known}, chat)
			require.Equal(t, first, again)
			if e == nil {
				require.True(t, json.Valid(first), "%s", first)
			} else {
				require.Nil(t, first)
			}
		}
	})
}
