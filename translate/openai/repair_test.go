package openai_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate/openai"
)

func chunk(delta, rest string) []byte {
	return []byte(`{"id":"c1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":` +
		delta + `,"finish_reason":null}]` + rest + `}`)
}

func finished(reason string) []byte {
	return []byte(`{"id":"c1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}`)
}

var opening = chunk(`{"role":"assistant","content":""}`, "")

func TestRepeatsOnlyWhileNothingChanges(t *testing.T) {
	var r openai.Repair
	r.Reset(openai.Options{})
	f := func(want bool, data []byte) {
		t.Helper()
		_, verdict := r.Event(nil, data)
		require.Equal(t, openai.Untouched, verdict)
		require.Equal(t, want, r.Repeats(), "%s", data)
	}
	f(false, opening)
	f(true, chunk(`{"content":"a"}`, ""))
	f(true, chunk(`{"content":"bc \"d\" \\"}`, ""))
	f(false, chunk(`{"content":""}`, ""))
	f(true, chunk(`{"reasoning_content":"a"}`, `,"obfuscation":"x"`))
	f(true, chunk(`{"reasoning_content":"a"}`, `,"obfuscation":""`))
	f(false, chunk(`{"content":"a","reasoning_content":"b"}`, ""))
	f(false, chunk(`{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}`, ""))
	f(true, chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}`, ""))
	f(false, finished("tool_calls"))

	out, verdict := r.Event(nil, chunk(`{"content":"late"}`, ""))
	require.Equal(t, openai.Replaced, verdict)
	require.Empty(t, out)
	require.False(t, r.Repeats())
}

// The first arguments that are not blank decide that a call has any, so that a blank
// fragment must not stand for those that follow.
func TestBlankArgumentsRepeatNothing(t *testing.T) {
	for _, arguments := range []string{"", " ", `\n\t`} {
		var r openai.Repair
		r.Reset(openai.Options{})
		r.Event(nil, opening)
		r.Event(nil, chunk(`{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}`, ""))
		for range 2 {
			_, verdict := r.Event(nil, chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"`+arguments+`"}}]}`, ""))
			require.Equal(t, openai.Untouched, verdict)
			require.False(t, r.Repeats())
		}
	}
}

func TestResetForgetsTheStreamBefore(t *testing.T) {
	var r openai.Repair
	for range 2 {
		r.Reset(openai.Options{})
		require.False(t, r.Finished())
		for _, data := range [][]byte{opening, chunk(`{"content":"a"}`, ""), finished("stop")} {
			_, verdict := r.Event(nil, data)
			require.Equal(t, openai.Untouched, verdict)
		}
		require.True(t, r.Finished())
		require.Empty(t, r.Done(nil))
	}
}

func TestFinishedCountsTheChoicesAskedFor(t *testing.T) {
	var r openai.Repair
	r.Reset(openai.Options{N: 2})
	r.Event(nil, opening)
	r.Event(nil, finished("stop"))
	require.False(t, r.Finished())
	r.Event(nil, []byte(strings.ReplaceAll(string(finished("stop")), `"index":0`, `"index":1`)))
	require.True(t, r.Finished())
}

func TestLineBreaksBetweenTokensDoNotBreakEvents(t *testing.T) {
	var r openai.Repair
	r.Reset(openai.Options{Model: "public"})
	pretty := strings.NewReplacer(",", ",\r\n", ":", ":\n").Replace(string(opening))
	out, verdict := r.Event(nil, []byte(pretty))
	require.Equal(t, openai.Replaced, verdict)
	requireEvents(t, out)
	for range 3 {
		pretty = strings.NewReplacer(",", ",\r\n", ":", ":\n").Replace(string(chunk(`{"content":"a"}`, "")))
		out, verdict = r.Event(nil, []byte(pretty))
		require.Equal(t, openai.Replaced, verdict)
		requireEvents(t, out)
	}
}

// What is beyond the bounds passes as it came, and nothing more is kept.
func TestBounds(t *testing.T) {
	var r openai.Repair
	r.Reset(openai.Options{})
	r.Event(nil, opening)
	for i := range 500 {
		call := fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}]}`, i, i)
		out, verdict := r.Event(nil, chunk(call, ""))
		require.Equal(t, i < 128, verdict == openai.Replaced, "type is added to those that are kept")
		requireEvents(t, out)
	}
	for i := range 500 {
		data := strings.ReplaceAll(string(chunk(`{"content":"a"}`, "")), `"index":0`, fmt.Sprintf(`"index":%d`, i+1))
		_, verdict := r.Event(nil, []byte(data))
		require.Equal(t, i < 127, verdict == openai.Replaced, "the role is added to those that are kept")
	}
}

// However a text is cut into events, the thoughts in it are found.
func TestThinkTagsAreFoundHoweverTheyAreCut(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		thoughts, words := "", ""
		for range random.IntN(8) {
			thoughts += []string{"a", "<", "</", "é", "\n", "<think>", "\u2028", "</think "}[random.IntN(8)]
		}
		for range random.IntN(5) {
			words += []string{"a", "<think>", "</think>", "\n", `"`}[random.IntN(5)]
		}
		text := strings.Repeat(" ", random.IntN(3)) + "<think>" + thoughts + "</think>" + words
		var r openai.Repair
		r.Reset(openai.Options{ThinkTags: true})
		r.Event(nil, opening)
		stream := append(append([]byte("data: "), opening...), "\n\n"...)
		for runes := []rune(text); len(runes) > 0; {
			n := 1 + random.IntN(len(runes))
			escaped, err := json.Marshal(string(runes[:n])) // writes < as \u003c
			require.NoError(t, err)
			if random.IntN(2) == 0 {
				escaped = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(escaped)))
			}
			runes = runes[n:]
			data := chunk(`{"content":`+string(escaped)+`}`, "")
			out, verdict := r.Event(nil, data)
			if verdict == openai.Untouched {
				out = append(append([]byte("data: "), data...), "\n\n"...)
			}
			stream = append(stream, out...)
		}
		stream = append(r.Done(stream), "data: [DONE]\n\n"...)
		got := accept(t, stream, false).choices[0]
		require.Equal(t, thoughts, got.reasoning, text)
		require.Equal(t, words, got.text, text)
	}
}

func TestMintedIDsDependOnTheAnswerAlone(t *testing.T) {
	data := chunk(`{"role":"assistant","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`, "")
	ids := map[string]bool{}
	for range 3 {
		var r openai.Repair
		r.Reset(openai.Options{})
		out, _ := r.Event(nil, data)
		s := &strict{}
		require.NoError(t, s.read([]byte(payloads(out)[0])))
		ids[s.choices[0].calls[0].id] = true
	}
	require.Len(t, ids, 1)
	for id := range ids {
		require.Regexp(t, `^call_[0-9A-Za-z]{23}$`, id)
	}
}
