package ollama

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func newDecoder() translate.Decoder { return &decoder{} }

func repeatsOf(d translate.Decoder) *translate.Repeats { return &d.(*decoder).repeats }

func TestLinesThatRepeatAreReadAlike(t *testing.T) {
	f := func(recognised int, lines ...string) {
		t.Helper()
		var events []dialecttest.Event
		for _, line := range lines {
			events = append(events, dialecttest.Event{Data: line})
		}
		require.Equal(t, recognised, dialecttest.Repetitions(t, newDecoder, repeatsOf, events))
	}
	line := func(at, message, more string) string {
		return `{"model":"m","created_at":"2026-08-17T08:22:` + at + `Z","message":{"role":"assistant",` + message + `}` + more + `,"done":false}`
	}
	f(2, line("52.084959", `"content":" the"`, ""), line("52.1", `"content":" user\\n"`, ""), line("53", `"content":"."`, ""))
	f(1, line("1", `"content":"","thinking":"a"`, ""), line("2", `"content":"","thinking":"b"`, ""), line("3", `"content":"c"`, ""))
	f(0, line("1", `"content":"a"`, ""), line("2", `"content":""`, ""), line("3", `"content":"c"`, ""))
	f(0, line("1", `"content":"a","thinking":"b"`, ""), line("2", `"content":"a","thinking":"b"`, ""))
	likely := line("1", `"content":"a"`, `,"logprobs":[{"token":"a","logprob":-1}]`)
	f(0, likely, likely)
	calling := line("1", `"content":"a","tool_calls":[{"function":{"name":"f","arguments":{}}}]`, "")
	f(0, calling, calling)
	drawing := line("1", `"content":"a","images":["/9j/"]`, "")
	f(0, drawing, drawing)
	counting := line("1", `"content":"a"`, `,"eval_count":3`)
	f(0, counting, counting)
}

func TestRecordedLinesThatRepeatAreReadAlike(t *testing.T) {
	recognised := 0
	dialecttest.EachRecording(t, "../../../shared/captures", "ollama-chat", func(t *testing.T, r dialecttest.Recording) {
		recognised += dialecttest.Repetitions(t, newDecoder, repeatsOf, dialecttest.Events(translate.FramingLines, r.Body))
	})
	require.Positive(t, recognised)
}

func FuzzRepeats(f *testing.F) {
	dialecttest.FuzzRepetition(f, newDecoder, repeatsOf,
		`{"model":"m","created_at":"2026-08-17T08:22:52.084959Z","message":{"role":"assistant","content":" the"},"done":false}
{"model":"m","created_at":"2026-08-17T08:22:52.1Z","message":{"role":"assistant","content":" user\n"},"done":false}
{"created_at":"1","message":{"thinking":"a"}}
{"message":{"content":"a"},"eval_count":3}
{"done":true}`,
	)
}
