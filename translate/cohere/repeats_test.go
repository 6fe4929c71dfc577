package cohere

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func newDecoder() translate.Decoder { return &decoder{} }

func repeatsOf(d translate.Decoder) *translate.Repeats { return &d.(*decoder).repeats }

func TestEventsThatRepeatAreReadAlike(t *testing.T) {
	f := func(recognised int, data ...string) {
		t.Helper()
		events := []dialecttest.Event{{Data: `{"type":"message-start","id":"1","delta":{"message":{}}}`}}
		for _, data := range data {
			events = append(events, dialecttest.Event{Name: "content-delta", Data: data})
		}
		require.Equal(t, recognised, dialecttest.Repetitions(t, newDecoder, repeatsOf, events))
	}
	text := func(index, text string) string {
		return `{"type":"content-delta","index":` + index + `,"delta":{"message":{"content":{"text":"` + text + `"}}}}`
	}
	arguments := func(index, text string) string {
		return `{"type":"tool-call-delta","index":` + index + `,"delta":{"message":{"tool_calls":{"function":{"arguments":"` + text + `"}}}}}`
	}
	call := func(index string) string {
		return `{"type":"tool-call-start","index":` + index + `,"delta":{"message":{"tool_calls":{"id":"c` + index + `","function":{"name":"f","arguments":""}}}}}`
	}
	f(2, text("0", "a"), text("0", "b"), text("0", "c\\n"))
	f(1, text("0", "a"), text("0", "b"), text("0", ""), text("0", "c"))
	f(0, text("0", "a"), text("1", "b"))
	f(1, `{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I"}}}`, `{"type":"tool-plan-delta","delta":{"message":{"tool_plan":" will"}}}`)
	// The same event means another call after another start.
	f(2, call("0"), arguments("0", "{"), arguments("0", "}"), call("0"), arguments("0", "{"), arguments("0", "}"))
	f(0, call("0"), arguments("1", "{"), call("1"), arguments("1", "{"))
	// Of an event without a type, the name tells what it is.
	f(0, `{"delta":{"message":{"content":{"text":"a"}}}}`, `{"delta":{"message":{"content":{"text":"b"}}}}`)
	const likely = `{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}},"logprobs":{"text":"a","logprobs":[-1]}}`
	f(0, likely, likely)
	const both = `{"type":"content-delta","delta":{"message":{"content":{"text":"a","thinking":"b"}}}}`
	f(0, both, both)
}

func TestRecordedEventsThatRepeatAreReadAlike(t *testing.T) {
	recognised := 0
	dialecttest.EachRecording(t, "../../../shared/captures", "cohere-v2", func(t *testing.T, r dialecttest.Recording) {
		recognised += dialecttest.Repetitions(t, newDecoder, repeatsOf, dialecttest.Events(translate.FramingSSE, r.Body))
	})
	require.Positive(t, recognised)
}

func FuzzRepeats(f *testing.F) {
	dialecttest.FuzzRepetition(f, newDecoder, repeatsOf,
		`{"type":"message-start","id":"1","delta":{"message":{}}}
content-delta{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a\n"}}}}
content-delta{"type":"content-delta","index":0,"delta":{"message":{"content":[{"thinking":"a"}]}}}`,
		`{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I"}}}
{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c","function":{"name":"f"}}}}}
{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{"}}}}}`,
	)
}
