package sse_test

import (
	"bytes"
	"testing"

	"github.com/sluicehq/sluice/sse"
)

const chatChunk = `data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,` +
	`"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_06737a9306","choices":[{"index":0,` +
	`"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a8Kd0Qm"}` + "\n\n"

// BenchmarkScanner reads streams of 64 events per Feed; one op is one event.
func BenchmarkScanner(b *testing.B) {
	named := `event: response.output_text.delta` + "\n" + chatChunk
	for name, stream := range map[string][]byte{
		"DataLF":       bytes.Repeat([]byte(chatChunk), 64),
		"EventAndData": bytes.Repeat([]byte(named), 64),
		"DataCRLF":     bytes.ReplaceAll(bytes.Repeat([]byte(chatChunk), 64), []byte("\n"), []byte("\r\n")),
	} {
		b.Run(name, func(b *testing.B) { benchmarkScan(b, stream, len(stream)) })
		b.Run(name+"Cut", func(b *testing.B) { benchmarkScan(b, stream, 1000) })
	}
}

func benchmarkScan(b *testing.B, stream []byte, read int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(stream) / 64))
	var s sse.Scanner
	var ev sse.Event
	for events := 0; events < b.N; {
		for rest := stream; len(rest) > 0; {
			n := min(read, len(rest))
			s.Feed(rest[:n])
			for s.Next(&ev) {
				events++
			}
			rest = rest[n:]
		}
	}
}
