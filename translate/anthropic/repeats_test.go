package anthropic

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func newDecoder() translate.Decoder {
	return Dialect{}.Decoder(&translate.Context{AnswerTool: "answer"})
}

func repeatsOf(d translate.Decoder) *translate.Repeats { return &d.(*decoder).repeats }

// onBedrock is what newDecoder makes, for Bedrock's frames, which differ in their padding.
func onBedrock(events []dialecttest.Event) []dialecttest.Event {
	wrapped := make([]dialecttest.Event, len(events))
	for i, ev := range events {
		wrapped[i].Data = strings.Replace(wrap(ev.Data), "abcdef", strings.Repeat("a", i%7), 1)
	}
	return wrapped
}

func newBedrockDecoder() translate.Decoder {
	d := newDecoder().(*decoder)
	d.bedrock = true
	return d
}

func TestEventsThatRepeatAreReadAlike(t *testing.T) {
	f := func(recognised int, data ...string) {
		t.Helper()
		events := []dialecttest.Event{{Data: `{"type":"message_start","message":{"id":"m","content":[]}}`}}
		for _, data := range data {
			events = append(events, dialecttest.Event{Data: data})
		}
		events = append(events, dialecttest.Event{Data: `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`})
		require.Equal(t, recognised, dialecttest.Repetitions(t, newDecoder, repeatsOf, events))
		dialecttest.Repetitions(t, newBedrockDecoder, repeatsOf, onBedrock(events))
	}
	start := func(index, block string) string {
		return `{"type":"content_block_start","index":` + index + `,"content_block":` + block + `}`
	}
	delta := func(index, kind, name, text, padding string) string {
		return `{"type":"content_block_delta","index":` + index + `,"delta":{"type":"` + kind + `","` + name + `":"` + text + `"}` + padding + `}`
	}
	text := func(index, piece string) string { return delta(index, "text_delta", "text", piece, "") }
	input := func(index, piece string) string {
		return delta(index, "input_json_delta", "partial_json", piece, "")
	}
	stop := func(index string) string { return `{"type":"content_block_stop","index":` + index + `}` }
	const (
		textBlock = `{"type":"text","text":""}`
		call      = `{"type":"tool_use","id":"t","name":"f","input":{"a":1}}`
		answer    = `{"type":"tool_use","id":"t","name":"answer","input":{}}`
	)
	// Events are padded with blanks.
	f(2, start("0", textBlock), text("0", "a"), delta("0", "text_delta", "text", "b\\n", "      "), delta("0", "text_delta", "text", "c", " "))
	f(2, start("0", textBlock), text("0", "a"), text("0", "b"), `{"type":"ping"}`, text("0", "c"), text("0", "d"))
	f(1, start("0", textBlock), text("0", "a"), text("0", "b"), text("0", ""), text("0", "c"))
	f(0, start("0", textBlock), text("0", "a"), text("1", "b"), text("0", "c"))
	f(1, text("0", "without a block"), text("0", "b"), start("0", call), text("0", "not in a call"), text("0", "a"))
	f(2, start("0", call), input("0", "{"), input("0", "}"), stop("0"), start("0", call), input("0", "{"), input("0", "}"), stop("0"))
	f(1, start("0", answer), input("0", "{"), input("0", "}"), stop("0"), start("1", answer), input("1", "{"), input("1", "}"), stop("1"))
	f(0, start("0", `{"type":"server_tool_use","id":"s","name":"f"}`), input("0", "{"), input("0", "}"))
	// Thoughts are carried, with their signatures.
	think := delta("0", "thinking_delta", "thinking", "a", "   ")
	sign := delta("0", "signature_delta", "signature", "c2ln", "")
	thinking := start("0", `{"type":"thinking","thinking":"","signature":""}`)
	f(3, thinking, think, think, think, sign, sign, stop("0"), thinking, think, think, sign, stop("0"))
}

func TestBedrockEventsThatRepeatAreRecognised(t *testing.T) {
	for _, delta := range deltas {
		d, data := prepared(translate.PlatformBedrock, delta.start, delta.event)
		d.Event(&counter{}, nil, data)
		require.True(t, d.(*decoder).envelope.Match(data))
		_, _, ok := d.(*decoder).repeats.Match([]byte(delta.event))
		require.True(t, ok)
	}
}

func TestBedrockFramesThatRepeatAreUnwrappedAlike(t *testing.T) {
	events := onBedrock([]dialecttest.Event{{Data: `{"type":"ping"}`}, {Data: `{"type":"a ping?>"}`}, {Data: `{}`}})
	events = append(events, dialecttest.Event{Data: `{"bytes":"e30="}`}, dialecttest.Event{Data: `{"p":"a","bytes":"Pz8\/","n":0}`})
	for seed := range uint64(1000) {
		knowing := &decoder{bedrock: true}
		for _, ev := range dialecttest.Disturbed(rand.New(rand.NewPCG(seed, 1)), events) {
			want, expected := (&decoder{bedrock: true}).unwrap(&counter{}, nil, []byte(ev.Data))
			got, progress := knowing.unwrap(&counter{}, nil, []byte(ev.Data))
			require.Equal(t, expected, progress, "%q", ev.Data)
			require.Equal(t, string(want), string(got), "%q", ev.Data)
		}
	}
}

func TestRecordedEventsThatRepeatAreReadAlike(t *testing.T) {
	recognised := 0
	dialecttest.EachRecording(t, "../../../shared/captures", "anthropic-messages", func(t *testing.T, r dialecttest.Recording) {
		if r.Status == 200 {
			events := dialecttest.Events(translate.FramingSSE, r.Body)
			recognised += dialecttest.Repetitions(t, newDecoder, repeatsOf, events)
			dialecttest.Repetitions(t, newBedrockDecoder, repeatsOf, onBedrock(events))
		}
	})
	require.Positive(t, recognised)
}

func FuzzRepeats(f *testing.F) {
	dialecttest.FuzzRepetition(f, newDecoder, repeatsOf,
		`{"type":"message_start","message":{"id":"m","content":[]}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}    }
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b\n"} }
{"type":"ping"}
{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}}
{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"a"}}
{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"c2ln"}}
{"type":"content_block_stop","index":1}
{"type":"message_delta","delta":{"stop_reason":"end_turn"}}
{"type":"message_stop"}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"answer","input":{"a":1}}}
{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}
{"type":"content_block_stop","index":0}`,
	)
}
