package accounting

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMarksOfAnAnswer(t *testing.T) {
	var e Estimator
	f := func(model string, text OutputText, want int64) {
		t.Helper()
		text.TotalBytes = int64(len(text.Content) + len(text.Reasoning) + len(text.Refusal) + len(text.Tools))
		require.Equal(t, want, e.Output(model, text))
	}
	words := []byte("hello world") // two tokens in all vocabularies

	f("gpt-4o", OutputText{Content: words, Ended: 1}, 2)
	f("llama-3.3-70b", OutputText{Content: words}, 2)
	f("llama-3.3-70b", OutputText{Content: words, Ended: 1}, 2+1)
	f("llama-3.3-70b", OutputText{Content: words, Ended: 3}, 2+3)
	f("gpt-5.2", OutputText{Content: words, Ended: 1}, 2+4)
	f("gpt-oss-20b", OutputText{Content: words, Reasoning: words, Ended: 1}, 4+6+4)
	f("gpt-5", OutputText{Content: words, Ended: 1}, 2+6+4)

	// A call has an end of its own.
	f("gpt-5.2", OutputText{Tools: words, Calls: 1, Ended: 1}, 2+11)
	f("gpt-5.2", OutputText{Content: words, Tools: words, Calls: 1, Ended: 1}, 4+11+4)
	// Several calls of GPT-4o are wrapped.
	f("gpt-4o", OutputText{Tools: words, Calls: 1, Ended: 1}, 2+7)
	f("gpt-4o", OutputText{Tools: words, Calls: 2, Ended: 1}, 2+10+2*10)
	f("mistral-small", OutputText{Tools: words, Calls: 2, Ended: 1}, 2+2*3)
}

func TestAnswersWithAFormHaveAMarkMore(t *testing.T) {
	var e Estimator
	text := OutputText{Content: []byte("hello world"), TotalBytes: 11, Ended: 1}
	f := func(body string, want int64) {
		t.Helper()
		u := e.Estimate("gpt-4o", "chat", []byte(body), text, Bounds{})
		require.Equal(t, want, u.Output.N)
	}
	f(`{"messages":[]}`, 2)
	f(`{"messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}`, 4)
	f(`{"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":{"type":"object"}}}}`, 4)
}

// chunkOf is a chunk of one choice.
func chunkOf(choice, content, finish string) []byte {
	return []byte(`{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":` + choice + `,"delta":{"content":"` + content + `"},"finish_reason":` + finish + `}]}`)
}

func TestChoicesThatComeInTurnAreCountedApart(t *testing.T) {
	var e Estimator
	var m Meter
	m.Reset(ShapeChat)
	words := []string{"Choices", " come", " in", " turn", ",", " a", " word", " of", " each", " at", " a", " time", "."}
	for _, word := range words {
		for _, choice := range []string{"0", "1"} {
			m.Observe(nil, chunkOf(choice, word, "null"))
		}
	}
	one := e.Text("gpt-4o", strings.Join(words, ""))
	require.InDelta(t, 2*one, e.Output("gpt-4o", m.Text()), 1)

	m.Reset(ShapeChat)
	for _, word := range words {
		m.Observe(nil, chunkOf("0", word, "null"))
	}
	require.Equal(t, one, e.Output("gpt-4o", m.Text()), "what the meter learnt of turns is gone")
}

func TestTextBesideTheDeltaIsNotCountedTwice(t *testing.T) {
	var m Meter
	m.Reset(ShapeChat)
	m.Observe(nil, []byte(`{"choices":[{"index":0,"text":"hello","delta":{"content":"hello"},"finish_reason":null}]}`))
	require.Equal(t, "hello", string(m.Text().Content))
	m.Reset(ShapeChat)
	m.Observe(nil, []byte(`{"choices":[{"index":0,"text":"hello","finish_reason":null}]}`))
	require.Equal(t, "hello", string(m.Text().Content))
}

func TestChoicesThatEndedByThemselves(t *testing.T) {
	f := func(want int, chunks ...[]byte) {
		t.Helper()
		var m Meter
		m.Reset(ShapeChat)
		for _, data := range chunks {
			m.Observe(nil, data)
		}
		require.Equal(t, want, m.Text().Ended)
	}
	f(0)
	f(0, chunkOf("0", "a", "null"))
	f(1, chunkOf("0", "a", "null"), chunkOf("0", "", `"stop"`))
	f(0, chunkOf("0", "a", `"length"`))
	f(0, chunkOf("0", "a", `"content_filter"`))
	f(1, chunkOf("0", "a", `"tool_calls"`), chunkOf("1", "a", "null"))
	f(2, chunkOf("0", "a", `"stop"`), chunkOf("1", "a", `"stop"`))
	f(1, chunkOf("0", "a", "null"), []byte("[DONE]")) // a server that gives no reasons
}

func TestLiveTokensGuessFromBytesAndEvents(t *testing.T) {
	f := func(bytes, events, want int64) {
		t.Helper()
		require.Equal(t, want, LiveTokens(bytes, events))
	}
	f(0, 0, 0)
	f(0, 7, 0) // nothing but heads and comments
	f(1, 0, 1)
	f(400, 0, 100)
	f(401, 0, 101)
	f(400, 90, 100)
	f(400, 130, 130) // a token in each event
	f(3, 900, 3)     // no token without a byte
	f(-5, -5, 0)
}
