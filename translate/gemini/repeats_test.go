package gemini

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func newDecoder() translate.Decoder {
	return &decoder{c: &translate.Context{}, minted: "for all alike"}
}

func repeatsOf(d translate.Decoder) *translate.Repeats { return &d.(*decoder).repeats }

func TestEventsThatRepeatAreReadAlike(t *testing.T) {
	f := func(recognised int, data ...string) {
		t.Helper()
		var events []dialecttest.Event
		for _, data := range data {
			events = append(events, dialecttest.Event{Data: data})
		}
		events = append(events, dialecttest.Event{Data: `{"candidates":[{"finishReason":"STOP"}]}`})
		require.Equal(t, recognised, dialecttest.Repetitions(t, newDecoder, repeatsOf, events))
	}
	event := func(part, more string) string {
		return `{"candidates": [{"content": {"parts": [` + part + `],"role": "model"},"index": 0}]` + more + `}`
	}
	text := func(text string) string { return `{"text": "` + text + `"}` }
	usage := func(prompt, candidates int) string {
		return fmt.Sprintf(`,"usageMetadata": {"promptTokenCount": %d,"candidatesTokenCount": %d,"totalTokenCount": %d,"thoughtsTokenCount": 5,`+
			`"candidatesTokensDetails": [{"modality": "TEXT","tokenCount": %d},{"modality": "AUDIO","tokenCount": 2}]},"responseId": "r"`,
			prompt, candidates, prompt+candidates+5, candidates-2)
	}
	f(2, event(text("a"), usage(3, 9)), event(text("b\\n"), usage(3, 10)), event(text("c"), usage(3, 1234)))
	f(1, event(text("a"), usage(3, 9)), event(text("b"), usage(3, 9)), event(text("c"), usage(4, 9)))
	f(1, event(text("a"), ""), event(text("b"), ""), event(text(""), ""), event(text("c"), ""))
	f(2, `{"usageMetadata":{"totalTokenCount":1},"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`,
		`{"usageMetadata":{"totalTokenCount":20},"candidates":[{"content":{"parts":[{"text":"b"}]}}]}`,
		`{"usageMetadata":{"totalTokenCount":300},"candidates":[{"content":{"parts":[{"text":"c"}]}}]}`)
	f(2, `{"candidates":[{"index":1,"content":{"parts":[{"text":"a"}]}},{"index":0}]}`,
		`{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]}},{"index":0}]}`,
		`{"candidates":[{"index":1,"content":{"parts":[{"text":"c"}]}},{"index":0}]}`)
	f(1, event(`{"text": "a","thought": true}`, usage(3, 9)), event(`{"text": "b","thought": true}`, usage(3, 9)), event(text("c"), usage(3, 10)))
	// What states something else, and what does not say how much.
	f(1, event(text("a"), `,"usageMetadata": {"trafficType": "x"}`), event(text("b"), `,"usageMetadata": {"trafficType": "x"}`))
	f(0, event(text("a"), `,"usageMetadata": {"totalTokenCount": 1e3}`), event(text("b"), `,"usageMetadata": {"totalTokenCount": 1e3}`))
	f(0, event(text("a")+","+text("b"), ""), event(text("a")+","+text("b"), ""))
	for _, part := range []string{
		`{"text": "a","thoughtSignature": "s"}`, `{"text": "a"},{"functionCall": {"name": "f"}}`,
		`{"text": "a"},{"inlineData": {"mimeType": "image/png","data": "AA=="}}`,
	} {
		f(0, event(part, ""), event(part, ""))
	}
	const likely = `{"candidates":[{"content":{"parts":[{"text":"a"}]},"logprobsResult":{"chosenCandidates":[{"token":"a"}]}}]}`
	f(0, likely, likely)
	// Only the first time does a finish reason tell anything.
	const finished = `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`
	f(1, finished, finished, finished)
	f(0, "["+event(text("a"), "")+"]", "["+event(text("b"), "")+"]")
	f(0, `[`+event(text("a"), "")+`,`+event(text("a"), "")+`]`, event(text("a"), ""))
}

func TestRecordedEventsThatRepeatAreReadAlike(t *testing.T) {
	recognised := 0
	dialecttest.EachRecording(t, "../../../shared/captures", "gemini-generate", func(t *testing.T, r dialecttest.Recording) {
		if r.Status == 200 {
			recognised += dialecttest.Repetitions(t, newDecoder, repeatsOf, dialecttest.Events(framingOf(r), r.Body))
		}
	})
	require.Positive(t, recognised)
}

func FuzzRepeats(f *testing.F) {
	dialecttest.FuzzRepetition(f, newDecoder, repeatsOf,
		`{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":11,"totalTokenCount":15,"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":11}]},"responseId":"r"}
{"usageMetadata":{"thoughtsTokenCount":4},"candidates":[{"content":{"parts":[{"text":"a\n","thought":true}]},"index":1}]}
{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`,
		`{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"s"}]}}]}
{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}
{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x","willContinue":true}]}}]}}]}`,
	)
}
