package openai_test

import (
	"testing"

	"github.com/sluicehq/sluice/translate/openai"
)

var (
	plainEvent  = chunk(`{"content":" fox"}`, `,"system_fingerprint":"fp_0123456789","usage":null,"obfuscation":"a1B2c3"`)
	roleEvent   = chunk(`{"role":"assistant","content":" fox"}`, `,"provider":"p"`)
	usageEvent  = chunk(`{"role":"assistant","content":" fox"}`, `,"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}`)
	reasonEvent = chunk(`{"role":"assistant","content":"","reasoning":" so","reasoning_details":[{"type":"reasoning.text","text":" so","format":"unknown","index":0}]}`, "")
)

// Ordinary deltas, as they repeat through nearly all of a stream.
func BenchmarkEvent(b *testing.B) {
	f := func(name string, data []byte, o openai.Options, full bool) {
		b.Run(name, func(b *testing.B) {
			var r openai.Repair
			r.Reset(o)
			r.Event(nil, opening)
			out, _ := r.Event(nil, data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if full {
					r.Forget()
				}
				out, _ = r.Event(out[:0], data)
			}
		})
	}
	f("untouched", plainEvent, openai.Options{}, false)
	f("untouched/full", plainEvent, openai.Options{}, true)
	f("null usage hidden", plainEvent, openai.Options{HideUsage: true}, false)
	f("null usage hidden/full", plainEvent, openai.Options{HideUsage: true}, true)
	f("public name", plainEvent, openai.Options{Model: "public"}, false)
	f("role repeated", roleEvent, openai.Options{}, false)
	f("role repeated/full", roleEvent, openai.Options{}, true)
	f("reasoning twice", reasonEvent, openai.Options{}, false)
	f("running usage", usageEvent, openai.Options{}, false)
	f("think tags", plainEvent, openai.Options{ThinkTags: true}, false)
}

func BenchmarkRepairAnswer(b *testing.B) {
	body := []byte(`{"id":"c1","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		openai.RepairAnswer(nil, body, openai.Options{})
	}
}
