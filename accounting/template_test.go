package accounting

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// state is everything a meter tells about an exchange.
type state struct {
	Chunks   []Chunk
	Stats    Stats
	Usage    tokens.Usage
	Sources  [2]Source
	Raw      string
	Complete bool
	Open     bool
	Calls    []ToolCall
	Finish   []string
	Code     string
	Head     [3]any
	Text     OutputText
}

// stateAfter reads events with or without templates.
func stateAfter(shape Shape, useTemplate bool, events [][]byte) (s state, hits int) {
	m := metered(shape)
	for _, data := range events {
		if !useTemplate {
			m.tmpl.frame.Forget()
		}
		if m.tmpl.match(data) != "" {
			hits++
		}
		s.Chunks = append(s.Chunks, m.Observe(nil, data))
	}
	s.Stats, s.Raw, s.Complete, s.Open = m.Stats(), string(m.RawUsage()), m.Complete(), m.OpenToolCall()
	s.Usage, s.Sources[0] = m.Usage()
	s.Sources[1] = m.Source(true)
	s.Calls, s.Finish, s.Code, s.Text = m.ToolCalls(), m.FinishReasons(), m.ErrorCode(), m.Text()
	id, created, model := m.Head()
	s.Head = [3]any{id, created, model}
	return s, hits
}

func requireTemplatesChangeNothing(t *testing.T, shape Shape, events [][]byte) (hits int) {
	t.Helper()
	with, hits := stateAfter(shape, true, events)
	without, _ := stateAfter(shape, false, events)
	require.Equal(t, without, with)
	return hits
}

func TestTemplatesRecogniseStreams(t *testing.T) {
	f := func(name string, shape Shape, want int, format string, holes ...[]any) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var events [][]byte
			for _, h := range holes {
				events = append(events, fmt.Appendf(nil, format, h...))
			}
			require.Equal(t, want, requireTemplatesChangeNothing(t, shape, events))
		})
	}
	h := func(v ...any) []any { return v }

	f("text", ShapeChat, 3, `{"id":"x","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}],"model":"m","usage":null}`,
		h("a"), h("bcd"), h(`\"e\\`), h(`\ud83d\ude00 and more text than a word has`))
	f("text and padding", ShapeChat, 2, `{"choices":[{"delta":{"content":"%s"}}],"usage":null,"model":"m","obfuscation":"%s"}`,
		h("a", "xyz"), h("bcd", "x"), h("e", ""))
	f("padding in front", ShapeChat, 2, `{"obfuscation":"%s","model":"m","choices":[{"delta":{"content":"%s"}}],"usage":null}`,
		h("xyz", "a"), h("x", "bcd"), h("", "e"))
	f("reasoning", ShapeChat, 1, `{"choices":[{"delta":{"content":"","reasoning_content":"%s"}}]}`, h("a"), h("b"))
	f("reasoning and details", ShapeChat, 1, `{"choices":[{"delta":{"reasoning":"%s","reasoning_details":[{"type":"reasoning.text","text":"%s"}]}}]}`,
		h("a", "a"), h("bc", "bc"))
	f("completion", ShapeCompletion, 1, `{"choices":[{"text":"%s","index":0,"finish_reason":null}]}`, h("a"), h("b"))
	f("tool arguments", ShapeChat, 1, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}}]}`, h("{"), h(`\"a`), h("}"))
	f("responses", ShapeResponses, 2, `{"type":"response.output_text.delta","sequence_number":%s,"delta":"%s","obfuscation":"%s"}`,
		h("9", "a", "p"), h("10", "bc", "pq"), h("11", "d", ""))
	f("empty text is read in full", ShapeChat, 0, `{"choices":[{"delta":{"reasoning":"%s","reasoning_details":[{"text":"%s"}]}}]}`, h("a", "a"), h("", "b"))
	f("a number that is none", ShapeResponses, 0, `{"type":"response.output_text.delta","sequence_number":%s,"delta":"a"}`,
		h("9"), h("09"), h("-1"), h("1.5"), h("x"))
	f("text that is no JSON string", ShapeChat, 0, `{"choices":[{"delta":{"content":"%s"}}]}`, h("a"), h(`\x`), h("\x01"), h(`a"b`), h(`\`), h(`a\"`+"\n"))
	f("a changed head", ShapeChat, 1, `{"id":"%s","choices":[{"delta":{"content":"%s"}}]}`, h("x", "a"), h("y", "b"), h("y", "c"))
	f("another choice", ShapeChat, 0, `{"choices":[{"index":%s,"delta":{"content":"a"}}]}`, h("0"), h("1"))
	f("both reasoning names", ShapeChat, 0, `{"choices":[{"delta":{"reasoning":"%s","reasoning_content":"%s"}}]}`, h("a", "a"), h("b", "c"), h("d", "d"))
	f("members injected through the text", ShapeChat, 0, `{"choices":[{"delta":{"content":"%s"},"finish_reason":null}]}`,
		h("a"), h(`"},"finish_reason":"stop"},{"delta":{"content":"`))
}

func TestToolTemplateEndsWithItsCall(t *testing.T) {
	first := chunkTools(`[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]`)
	more := chunkTools(`[{"index":0,"function":{"arguments":"2"}}]`)
	other := chunkTools(`[{"index":0,"id":"b","function":{"name":"g","arguments":"3"}}]`)
	var events [][]byte
	for _, e := range []string{first, more, more, other, more, more, chunkFinish("tool_calls")} {
		events = append(events, []byte(e))
	}
	requireTemplatesChangeNothing(t, ShapeChat, events)
	require.Equal(t, []wanted{{0, "a", "f", "122", true}, {1, "b", "g", "322", true}},
		callsOf(metered(ShapeChat, first, more, more, other, more, more, chunkFinish("tool_calls"))))
}

func TestTextAfterUsageByTemplateMakesItRunning(t *testing.T) {
	m := metered(ShapeChat, chunkText("a"), chunkText("b"), chunkUse, chunkText("c"))
	require.Equal(t, SourceRunning, m.Source(false))
}

// FuzzTemplateEqualsFullParse mutates chunks around each other: whatever a
// template accepts must mean what a full reading says.
func FuzzTemplateEqualsFullParse(f *testing.F) {
	for i, s := range []string{benchText, benchTool, benchUse, benchResp, chunkRole, chunkText("x"), chunkStop} {
		f.Add([]byte(s), []byte(s), uint16(i*40), uint16(3), []byte(`\"y"`), uint8(i))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, at, drop uint16, insert []byte, shape uint8) {
		changed := splice(first, int(at), int(drop), insert)
		events := [][]byte{first, second, changed, first, changed, second}
		requireTemplatesChangeNothing(t, Shape(shape%4), events)
	})
}

func splice(b []byte, at, drop int, insert []byte) []byte {
	at = min(at, len(b))
	out := append([]byte{}, b[:at]...)
	out = append(out, insert...)
	return append(out, b[min(at+drop, len(b)):]...)
}
