package gemini_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/gemini"
)

// deaf is a Sink that does nothing.
type deaf struct{ bytes int }

func (d *deaf) Head(string, string, int64)       {}
func (d *deaf) Served(string)                    {}
func (d *deaf) Open(int)                         {}
func (d *deaf) Text(_ int, s string)             { d.bytes += len(s) }
func (d *deaf) Reasoning(_ int, s string)        { d.bytes += len(s) }
func (d *deaf) Refusal(int, string)              {}
func (d *deaf) Image(int, string)                {}
func (d *deaf) Logprobs(int, string)             {}
func (d *deaf) Call(int, translate.Call) int     { return 0 }
func (d *deaf) Arguments(_, _ int, s string)     { d.bytes += len(s) }
func (d *deaf) ArgumentsJSON(_, _ int, s string) { d.bytes += len(s) }
func (d *deaf) Carry(int, string, string)        {}
func (d *deaf) Finish(int, string, string)       {}
func (d *deaf) Usage(tokens.Usage, string)       {}
func (d *deaf) Fail(*translate.Error)            {}

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
	var sink deaf
	d := gemini.Dialect{}.Decoder(&translate.Context{})
	d.Event(&sink, nil, []byte(start+`{"functionCall": {"name": "f","willContinue": true}}`+tail))
	data := []byte(event)
	d.Event(&sink, nil, data)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if d.Event(&sink, nil, data) != translate.More {
			b.Fatal("the event was not read")
		}
	}
}

func TestDeltasAllocateNothing(t *testing.T) {
	for _, event := range []string{plainEvent, escapeEvent, reasonEvent, pieceOfArgs} {
		var sink deaf
		d := gemini.Dialect{}.Decoder(&translate.Context{})
		d.Event(&sink, nil, []byte(start+`{"functionCall": {"name": "f","willContinue": true}}`+tail))
		data := []byte(event)
		d.Event(&sink, nil, data)
		before := sink.bytes
		require.Zero(t, testing.AllocsPerRun(100, func() { d.Event(&sink, nil, data) }))
		require.Greater(t, sink.bytes, before)
	}
}
