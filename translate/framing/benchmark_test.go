package framing_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
)

// BenchmarkSplit reads pieces of sixteen events, the last of which is cut.
func BenchmarkSplit(b *testing.B) {
	const event = `{"contentBlockIndex":0,"delta":{"text":"some words of an \"answer\"\n"},"p":"abcdefgh"}`
	for _, c := range []struct {
		name    string
		framing translate.Framing
		event   string
	}{
		{"lines", translate.FramingLines, event + "\n"},
		{"array", translate.FramingArray, event + "\n,\r\n"},
		{"frames", translate.FramingAWS, frame("contentBlockDelta", event)},
		{"sse", translate.FramingSSE, "data: " + event + "\n\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := framing.New(c.framing, 0)
			var ev sse.Event
			if c.framing == translate.FramingArray {
				s.Feed([]byte("["))
				s.Next(&ev)
			}
			body := []byte(strings.Repeat(c.event, 16))
			cut := len(body) - 20
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range [][]byte{body[:cut], body[cut:]} {
					for s.Feed(p); s.Next(&ev); {
					}
				}
			}
			if s.Err() != nil || !s.AtBoundary() {
				b.Fatal("the body was not read")
			}
		})
	}
}
