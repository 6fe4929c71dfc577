package gemini

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

const (
	tail = `],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 161,"candidatesTokenCount": 48,` +
		`"totalTokenCount": 413,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 161}],"thoughtsTokenCount": 204},` +
		`"modelVersion": "gemini-3.1-pro-preview","responseId": "ciS5aZnUG9KqkdUP5eK_kAY"}`
	start       = `{"candidates": [{"content": {"parts": [`
	plainEvent  = start + `{"text": " to the grandeur of French monarchy and its culture"}` + tail
	escapeEvent = start + `{"text": "\n\n**Culture and \"Lifestyle\":**\n\n*   **Art** \u00e9"}` + tail
	reasonEvent = start + `{"text": "**Mapping the Inquiry**\n\nI've successfully","thought": true}` + tail
	pieceOfArgs = start + `{"functionCall": {"partialArgs": [{"jsonPath": "$.text","stringValue": "more\n","willContinue": true}],"willContinue": true}}` + tail
)

func BenchmarkEvent(b *testing.B) {
	for _, c := range []struct{ name, event string }{
		{"Text", plainEvent}, {"TextEscaped", escapeEvent}, {"Reasoning", reasonEvent}, {"Arguments", pieceOfArgs},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkEvent(b, c.event) })
	}
}

func benchmarkEvent(b *testing.B, event string) {
	var sink translate.Sink = dialecttest.Discard{}
	d := Dialect{}.Decoder(&translate.Context{})
	d.Event(sink, nil, []byte(start+`{"functionCall": {"name": "f","willContinue": true}}`+tail))
	data := []byte(event)
	d.Event(sink, nil, data)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if d.Event(sink, nil, data) != translate.More {
			b.Fatal("the event was not read")
		}
	}
}

func TestDeltasAllocateNothing(t *testing.T) {
	for _, event := range []string{plainEvent, escapeEvent, reasonEvent, pieceOfArgs} {
		var sink translate.Sink = dialecttest.Discard{}
		d := Dialect{}.Decoder(&translate.Context{})
		d.Event(sink, nil, []byte(start+`{"functionCall": {"name": "f","willContinue": true}}`+tail))
		data := []byte(event)
		d.Event(sink, nil, data)
		require.Zero(t, testing.AllocsPerRun(100, func() { d.Event(sink, nil, data) }))
	}
}
