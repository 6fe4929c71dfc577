package accounting

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// metered returns a meter that has read the data of some events.
func metered(shape Shape, events ...string) *Meter {
	m := &Meter{}
	m.Reset(shape)
	for _, data := range events {
		m.Observe(nil, []byte(data))
	}
	return m
}

const (
	head      = `{"id":"c1","object":"chat.completion.chunk","created":17,"model":"m-1",`
	chunkRole = head + `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
	chunkStop = head + `"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	chunkUse  = head + `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
)

func chunkText(s string) string {
	return head + `"choices":[{"index":0,"delta":{"content":` + quoted(s) + `},"finish_reason":null}]}`
}

func chunkTools(calls string) string {
	return head + `"choices":[{"index":0,"delta":{"tool_calls":` + calls + `},"finish_reason":null}]}`
}

func chunkFinish(reason string) string {
	return head + `"choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}`
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestObserveTellsWhatAnEventIs(t *testing.T) {
	f := func(name string, shape Shape, event, data string, want ChunkKind) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m := metered(shape)
			require.Equal(t, want, m.Observe([]byte(event), []byte(data)).Kind)
		})
	}
	f("text", ShapeChat, "", chunkText("a"), KindContent)
	f("done", ShapeChat, "", "[DONE]", KindDone)
	f("done with spaces", ShapeChat, "", " [DONE] ", KindDone)
	f("done inside JSON", ShapeChat, "", `{"a":"[DONE]"}`, KindContent)
	f("done as a JSON array", ShapeChat, "", `["DONE"]`, KindUnparsed)
	f("usage only", ShapeChat, "", chunkUse, KindUsageOnly)
	f("usage only of completions", ShapeCompletion, "", chunkUse, KindUsageOnly)
	f("usage beside choices", ShapeChat, "", head+`"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":3}}`, KindContent)
	f("choices empty without usage", ShapeChat, "", head+`"choices":[],"prompt_filter_results":[]}`, KindContent)
	f("choices empty with null usage", ShapeChat, "", head+`"choices":[],"usage":null}`, KindContent)
	f("error", ShapeChat, "", `{"error":{"message":"no","code":"overloaded"}}`, KindError)
	f("error beside choices", ShapeChat, "", head+`"error":{"code":502},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`, KindError)
	f("error text", ShapeChat, "", `{"error":"no"}`, KindError)
	f("error null", ShapeChat, "", head+`"error":null,"choices":[]}`, KindContent)
	f("error false and empty", ShapeChat, "", `{"error":"","choices":[]}`, KindContent)
	f("error by event name", ShapeChat, "error", `{"message":"no"}`, KindError)
	f("cut JSON", ShapeChat, "", chunkText("a")[:40], KindUnparsed)
	f("trailing bytes", ShapeChat, "", chunkText("a")+"}", KindUnparsed)
	f("no object", ShapeChat, "", `"text"`, KindUnparsed)
	f("nothing", ShapeChat, "", ``, KindUnparsed)
	f("responses delta", ShapeResponses, "", `{"type":"response.output_text.delta","delta":"a"}`, KindContent)
	f("responses completed", ShapeResponses, "", `{"type":"response.completed","response":{"usage":null}}`, KindDone)
	f("responses incomplete", ShapeResponses, "", `{"type":"response.incomplete","response":{}}`, KindDone)
	f("responses failed", ShapeResponses, "", `{"type":"response.failed","response":{"error":{"code":"server_error"}}}`, KindError)
	f("responses flat error", ShapeResponses, "", `{"type":"error","code":"x","message":"no"}`, KindError)
	f("generic usage", ShapeGeneric, "", `{"usage":{"input_tokens":3}}`, KindContent)
}

func TestBadEventsAreCountedAndWithoutEffect(t *testing.T) {
	bad := []string{chunkUse[:len(chunkUse)-1], chunkText("x") + "]", "{", "nope", `{"choices":[{"delta":{"content":"a\x"}}]}`}
	m := metered(ShapeChat, chunkText("a"))
	for _, data := range bad {
		m.Observe(nil, []byte(data))
	}
	require.Equal(t, Stats{Events: 6, BadEvents: 5, TextBytes: 1, FirstToken: true}, m.Stats())
	_, source := m.Usage()
	require.Equal(t, SourceNone, source)
	m.Observe(nil, []byte(chunkUse))
	require.Equal(t, SourceReported, m.Source(true))
}

func TestSpans(t *testing.T) {
	f := func(name string, shape Shape, data, model, null, without string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m := metered(shape)
			for range 2 { // read in full, then by template
				c := m.Observe(nil, []byte(data))
				require.Equal(t, model, data[c.Model.Start:c.Model.End])
				require.Equal(t, null, data[c.NullUsage.Start:c.NullUsage.End])
				rest := data[:c.NullUsage.Start] + data[c.NullUsage.End:]
				require.Equal(t, without, rest)
				require.True(t, json.Valid([]byte(rest)))
			}
		})
	}
	same := func(name string, shape Shape, data, model string) { t.Helper(); f(name, shape, data, model, "", data) }
	f("in the middle", ShapeChat, `{"model":"m","usage":null,"choices":[]}`, `"m"`, `"usage":null,`, `{"model":"m","choices":[]}`)
	f("first", ShapeChat, `{"usage":null,"model":"m"}`, `"m"`, `"usage":null,`, `{"model":"m"}`)
	f("last", ShapeChat, `{"model":"m","usage":null}`, `"m"`, `,"usage":null`, `{"model":"m"}`)
	f("alone", ShapeChat, `{"usage":null}`, ``, `"usage":null`, `{}`)
	f("with blanks", ShapeChat, "{ \"model\" : \"m\" ,\n \"usage\" : null }", `"m"`, ",\n \"usage\" : null", "{ \"model\" : \"m\"  }")
	f("behind the text", ShapeChat, `{"choices":[{"delta":{"content":"abc"}}],"model":"m","usage":null,"obfuscation":"xy"}`,
		`"m"`, `"usage":null,`, `{"choices":[{"delta":{"content":"abc"}}],"model":"m","obfuscation":"xy"}`)
	same("no model", ShapeChat, `{"choices":[]}`, "")
	same("model is no string", ShapeChat, `{"model":null}`, "")
	same("nested ones do not count", ShapeChat, `{"choices":[{"model":"x","usage":null}],"usage":{}}`, "")
	same("inside the response", ShapeResponses, `{"type":"response.created","response":{"id":"r","model":"m","usage":null},"model":"x"}`, `"m"`)
}

func TestUsageSource(t *testing.T) {
	running := func(text string, n int) string {
		return head + fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":%d}}`, text, n)
	}
	finish := head + `"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":9}}`
	f := func(name string, cut, ended Source, output int64, events ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m := metered(ShapeChat, events...)
			u, source := m.Usage()
			require.Equal(t, cut, source)
			require.Equal(t, ended, m.Source(true))
			require.Equal(t, output, u.Output.N)
		})
	}
	f("nothing", SourceNone, SourceNone, 0, chunkText("a"))
	f("usage chunk", SourceReported, SourceReported, 2, chunkText("a"), chunkStop, chunkUse)
	f("in every chunk, cut", SourceRunning, SourceReported, 2, running("a", 1), running("b", 2))
	f("with the finish reason", SourceReported, SourceReported, 9, running("a", 1), finish)
	f("after the finish reason, choice repeated", SourceReported, SourceReported, 9, running("a", 1), chunkStop, finish)
	f("text after a usage chunk", SourceRunning, SourceReported, 2, chunkText("a"), chunkUse, chunkText("b"))
	f("one of two choices finished", SourceRunning, SourceReported, 9,
		head+`"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`, finish)
	f("x_groq", SourceReported, SourceReported, 4, chunkText("a"),
		head+`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":4}}}`)
	f("later wins", SourceReported, SourceReported, 2, running("a", 7), chunkStop, chunkUse)
	f("null while growing keeps the number", SourceRunning, SourceReported, 7, running("a", 7),
		head+`"choices":[{"index":0,"delta":{"content":"b"}}],"usage":{"prompt_tokens":3,"completion_tokens":null}}`)
}

func TestRefusedCountsAreFlagged(t *testing.T) {
	m := metered(ShapeChat, head+`"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":2}}`)
	u, _ := m.Usage()
	require.Equal(t, tokens.Usage{Output: tokens.Known(2)}, u)
	require.True(t, m.Stats().Degraded)
}

func TestRawUsageIsVerbatimAndBounded(t *testing.T) {
	m := metered(ShapeChat)
	require.Nil(t, m.RawUsage())
	m.Observe(nil, []byte(chunkUse))
	require.Equal(t, `{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`, string(m.RawUsage()))
	m.Observe(nil, []byte(`{"choices":[],"usage":{"prompt_tokens":4,"x":"`+strings.Repeat("x", 20<<10)+`"}}`))
	require.Nil(t, m.RawUsage())
	u, _ := m.Usage()
	require.Equal(t, tokens.Known(4), u.Input)
}

func TestComplete(t *testing.T) {
	f := func(name string, shape Shape, want bool, events ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			require.Equal(t, want, metered(shape, events...).Complete())
		})
	}
	two := head + `"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`
	f("nothing", ShapeChat, false)
	f("text", ShapeChat, false, chunkText("a"))
	f("done", ShapeChat, true, chunkText("a"), "[DONE]")
	f("finish reason", ShapeChat, true, chunkText("a"), chunkStop)
	f("empty finish reason", ShapeChat, false, chunkFinish(""))
	f("one of two", ShapeChat, false, two, chunkStop)
	f("both", ShapeChat, true, two, chunkStop, strings.Replace(chunkStop, `"index":0`, `"index":1`, 1))
	f("index missing means 0", ShapeChat, true, `{"choices":[{"text":"a"}]}`, `{"choices":[{"text":"","finish_reason":"length"}]}`)
	f("only a usage chunk", ShapeChat, false, chunkUse)
	f("responses created", ShapeResponses, false, `{"type":"response.created","response":{"status":"in_progress"}}`)
	f("responses completed", ShapeResponses, true, `{"type":"response.completed","response":{"status":"completed"}}`)
	f("responses failed", ShapeResponses, true, `{"type":"response.failed","response":{"status":"failed"}}`)
	f("generic", ShapeGeneric, false, `{"usage":{"input_tokens":1}}`)
	f("generic done", ShapeGeneric, true, `{"usage":{"input_tokens":1}}`, "[DONE]")
}

func TestFinishReasons(t *testing.T) {
	m := metered(ShapeChat,
		strings.Replace(chunkStop, `"index":0`, `"index":1`, 1), chunkFinish("tool_calls"), chunkFinish("stop"),
		head+`"choices":[{"index":7,"delta":{},"finish_reason":"secret text, with spaces"}]}`,
		head+`"choices":[{"index":9,"delta":{}}]}`)
	require.Equal(t, []string{"tool_calls", "stop", "other", ""}, m.FinishReasons())
	require.Empty(t, metered(ShapeChat).FinishReasons())
}

func TestErrorCode(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		require.Equal(t, want, metered(ShapeChat, events...).ErrorCode())
	}
	f("overloaded", `{"error":{"message":"secret","type":"server","code":"overloaded"}}`)
	f("rate_limit-1.x", `{"error":{"code":"Rate_Limit-1.X"}}`)
	f("502", `{"error":{"code":502,"message":"secret"}}`)
	f("server_error", `{"error":{"code":null,"type":"server_error"}}`)
	f("server_error", `{"error":{"code":"a message with secret","type":"server_error"}}`)
	f("", `{"error":{"code":"`+strings.Repeat("x", 65)+`"}}`)
	f("", `{"error":"secret"}`)
	f("first", `{"error":{"code":"first"}}`, `{"error":{"code":"second"}}`)
	f("", chunkText("a"))
	m := metered(ShapeResponses, `{"type":"error","code":"flat_code","message":"secret"}`)
	require.Equal(t, "flat_code", m.ErrorCode())
	m = metered(ShapeResponses, `{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"secret"}}}`)
	require.Equal(t, "server_error", m.ErrorCode())
}

func TestHeadIsTheFirstThatIsNotEmpty(t *testing.T) {
	m := metered(ShapeChat, `{"id":"","created":0,"model":"","object":"","choices":[],"prompt_filter_results":[]}`,
		chunkText("a"), `{"id":"other","created":99,"model":"other","choices":[]}`)
	id, created, model := m.Head()
	require.Equal(t, []any{"c1", int64(17), "m-1"}, []any{id, created, model})
	m = metered(ShapeResponses, `{"type":"response.created","response":{"id":"r1","created_at":5,"model":"m"}}`)
	id, created, model = m.Head()
	require.Equal(t, []any{"r1", int64(5), "m"}, []any{id, created, model})
}

func TestTextGoesWhereItBelongs(t *testing.T) {
	f := func(name, choice, content, reasoning, refusal string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			text := metered(ShapeChat, `{"choices":[`+choice+`]}`).Text()
			require.Equal(t, []string{content, reasoning, refusal}, []string{string(text.Content), string(text.Reasoning), string(text.Refusal)})
			require.Equal(t, int64(len(content)+len(reasoning)+len(refusal)), text.TotalBytes)
		})
	}
	f("content", `{"delta":{"content":"a\nb"}}`, `a\nb`, "", "")
	f("completion", `{"text":"a"}`, "a", "", "")
	f("content null", `{"delta":{"content":null}}`, "", "", "")
	f("reasoning_content", `{"delta":{"content":null,"reasoning_content":"r"}}`, "", "r", "")
	f("reasoning", `{"delta":{"content":"","reasoning":"r"}}`, "", "r", "")
	f("both names, same text", `{"delta":{"reasoning":"r","reasoning_content":"r"}}`, "", "r", "")
	f("both names, other text", `{"delta":{"reasoning":"s","reasoning_content":"r"}}`, "", "rs", "")
	f("details repeat", `{"delta":{"reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}]}}`, "", "r", "")
	f("details alone", `{"delta":{"reasoning":"","reasoning_details":[{"type":"reasoning.text","text":"r"},{"type":"reasoning.summary","summary":"s"}]}}`, "", "rs", "")
	f("refusal", `{"delta":{"refusal":"no"}}`, "", "", "no")
	f("parts", `{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"r"}]},{"type":"text","text":"a"}]}}`, "a", "r", "")
	f("thinking as text", `{"delta":{"content":[{"type":"thinking","thinking":"r"}]}}`, "", "r", "")
	f("message beside delta is ignored", `{"delta":{"content":"a"},"message":{"content":"ab"}}`, "a", "", "")
	f("odd kinds", `{"delta":{"content":5,"reasoning":{},"refusal":[],"reasoning_details":"x"}}`, "", "", "")
	f("delta is no object", `{"delta":"x"}`, "", "", "")
	f("choice is no object", `"x"`, "", "", "")
	f("several choices", `{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}`, "ab", "", "")
}

func TestTextIsBounded(t *testing.T) {
	m := metered(ShapeChat)
	piece := strings.Repeat("x", 1000)
	for range 2000 {
		m.Observe(nil, []byte(chunkText(piece)))
	}
	text := m.Text()
	require.True(t, text.Truncated)
	require.LessOrEqual(t, len(text.Content), maxText)
	require.Greater(t, len(text.Content), maxText-2000)
	require.Equal(t, int64(2_000_000), text.TotalBytes)
	require.Equal(t, int64(2_000_000), m.Stats().TextBytes)
}

func TestObserveBody(t *testing.T) {
	m := metered(ShapeChat)
	body := `{"id":"c1","object":"chat.completion","created":17,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant",
		"content":"hello","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
		{"id":"t2","type":"function","function":{"name":"g","arguments":""}}]},"finish_reason":"tool_calls"}],
		"usage":{"prompt_tokens":3,"completion_tokens":2}}`
	c := m.ObserveBody([]byte(body))
	require.Equal(t, `"m-1"`, body[c.Model.Start:c.Model.End])
	require.True(t, m.Complete())
	u, source := m.Usage()
	require.Equal(t, SourceReported, source)
	require.Equal(t, tokens.Usage{Input: tokens.Known(3), Output: tokens.Known(2)}, u)
	require.Equal(t, "hello", string(m.Text().Content))
	calls := m.ToolCalls()
	require.Len(t, calls, 2)
	require.Equal(t, ToolCall{Index: 0, ID: "t1", Name: "f", Arguments: []byte(`{"a":1}`), ArgumentBytes: 7, Complete: true}, calls[0])
	require.Equal(t, 1, calls[1].Index)
	require.True(t, calls[1].Complete)

	m = metered(ShapeGeneric)
	m.ObserveBody([]byte(`{"object":"list","data":[{"embedding":[0.1,0.2]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}`))
	require.True(t, m.Complete())
	require.Equal(t, SourceReported, m.Source(false))

	m = metered(ShapeChat)
	require.Equal(t, KindError, m.ObserveBody([]byte(`{"error":{"code":"bad_model"}}`)).Kind)
	require.False(t, m.Complete())
	require.Equal(t, KindUnparsed, m.ObserveBody([]byte(`<html>`)).Kind)
}

func TestTooManyChoicesAreFlagged(t *testing.T) {
	m := metered(ShapeChat)
	for i := range 1000 {
		m.Observe(nil, fmt.Appendf(nil, `{"choices":[{"index":%d,"delta":{"content":"a"}}]}`, i*1_000_000_007))
	}
	require.True(t, m.Stats().Degraded)
	require.Len(t, m.FinishReasons(), maxChoices)
	require.Equal(t, int64(1000), m.Stats().TextBytes)
	m.ObserveOversized()
	require.Equal(t, int64(1001), m.Stats().Events)
}

// footprint is the memory of a meter in bytes.
func (m *Meter) footprint() int {
	n := int(unsafe.Sizeof(*m)) + reflect.ValueOf(m.tmpl.frame).FieldByName("text").Cap() + cap(m.rawUsage) + len(m.id) + len(m.model) +
		cap(m.choices)*int(unsafe.Sizeof(choice{}))
	for _, b := range m.texts.kept {
		n += cap(b)
	}
	return n
}

func TestAMeterOfAShortStreamIsSmall(t *testing.T) {
	m := metered(ShapeChat, chunkRole, benchText, benchText, benchText)
	require.LessOrEqual(t, m.footprint(), 1536)
}

func TestResetForgetsEverything(t *testing.T) {
	m := metered(ShapeChat, chunkText(strings.Repeat("x", 100_000)), chunkTools(`[{"index":0,"id":"a","function":{"name":"f"}}]`),
		`{"error":{"code":"x"}}`, chunkUse, "[DONE]", "bad")
	m.Reset(ShapeResponses)
	require.Equal(t, Stats{}, m.Stats())
	require.False(t, m.Complete())
	require.Empty(t, m.ToolCalls())
	require.Empty(t, m.FinishReasons())
	require.Empty(t, m.ErrorCode())
	require.Nil(t, m.RawUsage())
	require.Zero(t, m.Text().TotalBytes)
	require.LessOrEqual(t, m.footprint(), 8<<10)
}

func TestObserveAllocatesNothingInTheSteadyState(t *testing.T) {
	f := func(name string, shape Shape, chunk string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m, data := metered(shape, chunk), []byte(chunk)
			for _, b := range []int{int(sinkContent), int(sinkReasoning)} {
				m.texts.kept[b] = make([]byte, 0, 1<<20)
			}
			if m.tools != nil && len(m.tools.calls) > 0 {
				m.tools.calls[0].args = make([]byte, 0, 1<<20)
			}
			require.Zero(t, testing.AllocsPerRun(500, func() { m.Observe(nil, data) }))
			full := testing.AllocsPerRun(500, func() { m.tmpl.frame.Forget(); m.Observe(nil, data) })
			require.LessOrEqual(t, full, float64(2*strings.Count(chunk, `\"`)), "gjson decodes strings with escapes")
		})
	}
	f("text", ShapeChat, benchText)
	f("running usage", ShapeChat, benchUse)
	f("tool arguments", ShapeChat, benchTool)
	f("responses", ShapeResponses, benchResp)
	f("reasoning twice", ShapeChat, `{"choices":[{"delta":{"reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}]}}]}`)
}

func TestServiceTierIsWhatTheProviderSaysLast(t *testing.T) {
	var m Meter
	m.Reset(ShapeChat)
	require.Empty(t, m.ServiceTier())
	m.Observe(nil, []byte(`{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"service_tier":"auto"}`))
	m.Observe(nil, []byte(`{"id":"c","choices":[{"index":0,"delta":{"content":"b"}}],"service_tier":"Flex"}`))
	m.Observe(nil, []byte(`{"id":"c","choices":[],"service_tier":null}`))
	require.Equal(t, "flex", m.ServiceTier())
	m.Reset(ShapeChat)
	m.ObserveBody([]byte(`{"id":"c","choices":[],"service_tier":"priority"}`))
	require.Equal(t, "priority", m.ServiceTier())
}
