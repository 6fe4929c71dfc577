package bedrock

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/translate"
)

func newDecoder() translate.Decoder {
	return Dialect{}.Decoder(&translate.Context{AnswerTool: "answer"})
}

func repeatsOf(d translate.Decoder) *translate.Repeats { return &d.(*decoder).repeats }

func TestEventsThatRepeatAreReadAlike(t *testing.T) {
	f := func(recognised int, events ...[2]string) {
		t.Helper()
		all := []dialecttest.Event{{Name: "messageStart", Data: `{"role":"assistant"}`}}
		for _, ev := range events {
			all = append(all, dialecttest.Event{Name: ev[0], Data: ev[1]})
		}
		all = append(all, dialecttest.Event{Name: "messageStop", Data: `{"stopReason":"end_turn"}`})
		require.Equal(t, recognised, dialecttest.Repetitions(t, newDecoder, repeatsOf, all))
	}
	delta := func(index, delta, padding string) [2]string {
		return [2]string{deltaEvent, `{"contentBlockIndex":` + index + `,"delta":` + delta + padding + `}`}
	}
	start := func(index, tool string) [2]string {
		return [2]string{"contentBlockStart", `{"contentBlockIndex":` + index + `,"start":{"toolUse":{"toolUseId":"` + tool + index + `","name":"` + tool + `"}}}`}
	}
	stop := [2]string{"contentBlockStop", `{"contentBlockIndex":0}`}
	f(2, delta("0", `{"text":"a"}`, `,"p":"abc"`), delta("0", `{"text":"b\\n"}`, `,"p":""`), delta("0", `{"text":"c"}`, `,"p":"abcdefghijkl"`))
	f(1, delta("0", `{"text":"a"}`, ""), delta("0", `{"text":"b"}`, ""), delta("1", `{"text":"c"}`, ""))
	// What has the form of a repetition but another name is none.
	f(1, delta("0", `{"text":"a"}`, ""), [2]string{"contentBlockStart", `{"contentBlockIndex":0,"delta":{"text":"b"}}`}, delta("0", `{"text":""}`, ""))
	f(2, start("0", "f"), delta("0", `{"toolUse":{"input":"{"}}`, ""), delta("0", `{"toolUse":{"input":"}"}}`, ""), stop,
		start("0", "f"), delta("0", `{"toolUse":{"input":"{"}}`, ""), delta("0", `{"toolUse":{"input":"}"}}`, ""))
	f(1, start("0", "answer"), delta("0", `{"toolUse":{"input":"{"}}`, ""), delta("0", `{"toolUse":{"input":"}"}}`, ""), stop)
	f(0, delta("0", `{"toolUse":{"input":"{"}}`, ""), delta("0", `{"toolUse":{"input":"}"}}`, ""))
	// Thoughts are carried, with their signatures.
	think := delta("0", `{"reasoningContent":{"text":"a"}}`, `,"p":"a"`)
	sign := delta("0", `{"reasoningContent":{"signature":"c2ln"}}`, `,"p":"a"`)
	f(3, think, think, think, sign, sign, stop, think, think, sign, stop)
	both := delta("0", `{"text":"a","reasoningContent":{"text":"b"}}`, "")
	f(0, both, both)
	bare := [2]string{"", `{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"a"}}}`}
	f(0, bare, bare)
}

func TestRecordedEventsThatRepeatAreReadAlike(t *testing.T) {
	recognised := 0
	dialecttest.EachRecording(t, "../../../shared/captures", "bedrock-converse", func(t *testing.T, r dialecttest.Recording) {
		if r.Status == 200 {
			recognised += dialecttest.Repetitions(t, newDecoder, repeatsOf, dialecttest.Events(translate.FramingAWS, r.Body))
		}
	})
	require.Positive(t, recognised)
}

func FuzzRepeats(f *testing.F) {
	dialecttest.FuzzRepetition(f, newDecoder, repeatsOf,
		`contentBlockDelta{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abc"}
contentBlockDelta{"contentBlockIndex":0,"delta":{"text":"b\n"},"p":"abcdef"}
contentBlockDelta{"contentBlockIndex":1,"delta":{"reasoningContent":{"text":"a"}}}
contentBlockDelta{"contentBlockIndex":1,"delta":{"reasoningContent":{"signature":"c2ln"}}}`,
		`contentBlockStart{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}
contentBlockDelta{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{"}}}
contentBlockStop{"contentBlockIndex":0}
messageStop{"stopReason":"tool_use"}`,
	)
}
