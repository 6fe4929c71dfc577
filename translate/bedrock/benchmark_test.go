package bedrock_test

import (
	"testing"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func BenchmarkTextDelta(b *testing.B) {
	benchmark(b, `{"contentBlockIndex":0,"delta":{"text":" functionality to other"},"p":"abcdefghijklmnopqrstuvwxyzABCDEFGH"}`)
}

func BenchmarkTextDeltaWithEscapes(b *testing.B) {
	benchmark(b, `{"contentBlockIndex":0,"delta":{"text":"Say \"hi\":\n\n- a\n- b\u00e9"},"p":"abcdefghijklmnopqrstuvwxyzABCDEFGH"}`)
}

func BenchmarkArgumentsDelta(b *testing.B) {
	benchmark(b, `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"\"city\": \"San Fran"}},"p":"abcdefghijklmnopqrs"}`)
}

func benchmark(b *testing.B, delta string) {
	b.Helper()
	var to translate.Sink = dialecttest.Discard{}
	d := dialect.Decoder(&translate.Context{})
	d.Event(to, []byte("contentBlockStart"), []byte(`{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`))
	name, data := []byte("contentBlockDelta"), []byte(delta)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if d.Event(to, name, data) != translate.More {
			b.Fatal("the event was not read")
		}
	}
}

func TestDeltasAllocateNothing(t *testing.T) {
	var to translate.Sink = dialecttest.Discard{}
	d := dialect.Decoder(&translate.Context{})
	name := []byte("contentBlockDelta")
	for _, delta := range []string{
		`{"contentBlockIndex":0,"delta":{"text":"a \"b\"\n"},"p":"abc"}`,
		`{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\""}}}`,
	} {
		data := []byte(delta)
		if n := testing.AllocsPerRun(100, func() { d.Event(to, name, data) }); n != 0 {
			t.Errorf("%s: %v allocations", delta, n)
		}
	}
}
