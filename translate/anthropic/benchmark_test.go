package anthropic

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
)

// counter is a Sink that only counts the bytes of text.
type counter struct{ bytes int }

func (c *counter) Head(string, string, int64)     {}
func (c *counter) Served(string)                  {}
func (c *counter) Open(int)                       {}
func (c *counter) Text(_ int, s string)           { c.bytes += len(s) }
func (c *counter) Reasoning(_ int, s string)      { c.bytes += len(s) }
func (c *counter) Refusal(int, string)            {}
func (c *counter) Image(int, string)              {}
func (c *counter) Logprobs(int, string)           {}
func (c *counter) Call(int, translate.Call) int   { return 0 }
func (c *counter) Arguments(_, _ int, s string)   { c.bytes += len(s) }
func (c *counter) ArgumentsJSON(int, int, string) {}
func (c *counter) Carry(int, string, string)      {}
func (c *counter) Finish(int, string, string)     {}
func (c *counter) Usage(tokens.Usage, string)     {}
func (c *counter) Fail(*translate.Error)          {}

var deltas = []struct{ name, start, event string }{
	{
		"text", `{"type":"text","text":""}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"The quick brown fox jumps"}}`,
	},
	{
		"escapes", `{"type":"text","text":""}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"- one\n- \"two\"\n- tr\u00e9s"} }`,
	},
	{
		"arguments", `{"type":"tool_use","id":"toolu_1","name":"f","input":{}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Par"}   }`,
	},
}

// prepared is a decoder in the middle of a block, and its next event.
func prepared(platform, start, event string) (translate.Decoder, []byte) {
	d := Dialect{}.Decoder(&translate.Context{Platform: translate.Platform{Platform: platform}})
	data := func(event string) []byte {
		if platform == translate.PlatformBedrock {
			return []byte(wrap(event))
		}
		return []byte(event)
	}
	d.Event(&counter{}, nil, data(`{"type":"message_start","message":{"id":"msg_1","model":"m","content":[]}}`))
	d.Event(&counter{}, nil, data(`{"type":"content_block_start","index":0,"content_block":`+start+`}`))
	return d, data(event)
}

func BenchmarkDelta(b *testing.B) {
	for _, platform := range []string{translate.PlatformNone, translate.PlatformBedrock} {
		for _, delta := range deltas {
			b.Run(platform+delta.name, func(b *testing.B) {
				d, data := prepared(platform, delta.start, delta.event)
				to := &counter{}
				name := []byte("chunk")
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					d.Event(to, name, data)
				}
			})
		}
	}
}

func TestDeltasAllocateNothing(t *testing.T) {
	for _, platform := range []string{translate.PlatformNone, translate.PlatformBedrock} {
		for _, delta := range deltas {
			d, data := prepared(platform, delta.start, delta.event)
			to := &counter{}
			allocated := testing.AllocsPerRun(100, func() { d.Event(to, nil, data) })
			require.Zero(t, allocated, platform+delta.name)
			require.Positive(t, to.bytes)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	chat, failed := translate.ParseChat([]byte(`{"model":"m","max_tokens":100,"temperature":0.5,"messages":[
		{"role":"system","content":"You are helpful."},{"role":"user","content":"What is the weather in Paris?"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"sunny"}],
		"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}`))
	if failed != nil {
		b.Fatal(failed)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, failed := (Dialect{}).Request(&translate.Context{Model: "claude"}, chat); failed != nil {
			b.Fatal(failed)
		}
	}
}
