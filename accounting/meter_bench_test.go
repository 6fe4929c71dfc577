package accounting

import "testing"

const (
	benchHead = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,` +
		`"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_06737a9306","choices":[{"index":0,`
	benchText = benchHead + `"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a8Kd0Qm"}`
	benchTool = benchHead + `"delta":{"tool_calls":[{"index":0,"function":{"arguments":" \"city"}}]},"logprobs":null,"finish_reason":null}],"usage":null}`
	benchUse  = benchHead + `"delta":{"content":" token"},"finish_reason":null}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}`
	benchResp = `{"type":"response.output_text.delta","sequence_number":41,"item_id":"msg_67c9a8","output_index":0,"content_index":0,` +
		`"delta":" token","logprobs":[],"obfuscation":"k2Bz9"}`
)

// keepReading stops the text buffer from deciding the figures: a million
// chunks are more than one exchange has.
func keepReading(b *testing.B, shape Shape, chunk string, learn bool) {
	b.ReportAllocs()
	b.SetBytes(int64(len(chunk)))
	var m Meter
	m.Reset(shape)
	data := []byte(chunk)
	m.Observe(nil, data)
	for i := 0; b.Loop(); i++ {
		if i%100_000 == 0 {
			m.texts.reset()
			m.tools = nil
			m.Observe(nil, data)
		}
		if !learn {
			m.tmpl.frame.Forget()
		}
		m.Observe(nil, data)
	}
}

func BenchmarkMeterTemplate(b *testing.B) {
	b.Run("Chat", func(b *testing.B) { keepReading(b, ShapeChat, benchText, true) })
	b.Run("ToolArguments", func(b *testing.B) { keepReading(b, ShapeChat, benchTool, true) })
	b.Run("Responses", func(b *testing.B) { keepReading(b, ShapeResponses, benchResp, true) })
}

func BenchmarkMeterFullParse(b *testing.B) {
	b.Run("Chat", func(b *testing.B) { keepReading(b, ShapeChat, benchText, false) })
	b.Run("ToolArguments", func(b *testing.B) { keepReading(b, ShapeChat, benchTool, false) })
	b.Run("RunningUsage", func(b *testing.B) { keepReading(b, ShapeChat, benchUse, false) })
	b.Run("Responses", func(b *testing.B) { keepReading(b, ShapeResponses, benchResp, false) })
}
