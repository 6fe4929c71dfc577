package accounting

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wanted is a ToolCall as a table can write it: index, id, name, arguments, complete.
type wanted struct {
	index          int
	id, name, args string
	complete       bool
}

func callsOf(m *Meter) []wanted {
	var out []wanted
	for _, c := range m.ToolCalls() {
		out = append(out, wanted{c.Index, c.ID, c.Name, string(c.Arguments), c.Complete})
	}
	return out
}

func TestToolCallsArePutTogether(t *testing.T) {
	f := func(name string, deltas []string, want ...wanted) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			m := metered(ShapeChat)
			for _, d := range deltas {
				m.Observe(nil, []byte(chunkTools(d)))
			}
			require.True(t, m.OpenToolCall())
			for _, c := range m.ToolCalls() {
				require.False(t, c.Complete, "no finish reason yet")
			}
			m.Observe(nil, []byte(chunkFinish("tool_calls")))
			require.False(t, m.OpenToolCall())
			require.Equal(t, want, callsOf(m))
		})
	}
	d := func(deltas ...string) []string { return deltas }

	f("fragments", d(`[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]`,
		`[{"index":0,"function":{"arguments":"{\"x\""}}]`, `[{"index":0,"function":{"arguments":":1}"}}]`),
		wanted{0, "a", "f", `{"x":1}`, true})
	f("whole in one chunk", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"g","arguments":"[1]"}}]`),
		wanted{0, "a", "f", "{}", true}, wanted{1, "b", "g", "[1]", true})
	f("interleaved", d(`[{"index":0,"id":"a","function":{"name":"f"}}]`, `[{"index":1,"id":"b","function":{"name":"g"}}]`,
		`[{"index":0,"function":{"arguments":"1"}}]`, `[{"index":1,"function":{"arguments":"2"}}]`, `[{"index":0,"function":{"arguments":"3"}}]`),
		wanted{0, "a", "f", "13", true}, wanted{1, "b", "g", "2", true})
	f("id and name repeated", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]`,
		`[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]`), wanted{0, "a", "f", "{}", true})
	f("id and name null or empty later", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]`,
		`[{"index":0,"id":null,"type":null,"function":{"name":null,"arguments":""}}]`,
		`[{"index":0,"id":"","function":{"name":"","arguments":"}"}}]`), wanted{0, "a", "f", "{}", true})
	f("same index, other id", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]`,
		`[{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]`, `[{"index":0,"function":{"arguments":"3"}}]`),
		wanted{0, "a", "f", "1", true}, wanted{1, "b", "g", "23", true})
	f("same index, ids on every delta", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}},{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]`,
		`[{"index":0,"id":"a","function":{"arguments":"3"}}]`, `[{"index":0,"id":"b","function":{"arguments":"4"}}]`),
		wanted{0, "a", "f", "13", true}, wanted{1, "b", "g", "24", true})
	f("no index, new ids", d(`[{"id":"a","function":{"name":"f","arguments":"1"}}]`, `[{"id":"b","function":{"name":"g","arguments":"2"}}]`),
		wanted{0, "a", "f", "1", true}, wanted{1, "b", "g", "2", true})
	f("no index, equal id", d(`[{"id":"a","function":{"name":"f","arguments":"1"}}]`, `[{"id":"a","function":{"name":"f","arguments":"2"}}]`),
		wanted{0, "a", "f", "12", true})
	f("no index, no id, new name", d(`[{"function":{"name":"f","arguments":"1"}}]`, `[{"function":{"name":"g","arguments":"2"}}]`),
		wanted{0, "", "f", "1", true}, wanted{1, "", "g", "2", true})
	f("no index, nothing else", d(`[{"id":"a","function":{"name":"f"}}]`, `[{"function":{"arguments":"1"}}]`), wanted{0, "a", "f", "1", true})
	f("index gap and huge index", d(`[{"index":3,"id":"a","function":{"name":"f"}}]`, `[{"index":1000000000,"id":"b","function":{"name":"g"}}]`),
		wanted{3, "a", "f", "", true}, wanted{1000000000, "b", "g", "", true})
	f("negative and odd index", d(`[{"index":-1,"id":"a","function":{"name":"f"}}]`, `[{"index":"0","id":"b","function":{"name":"g"}}]`),
		wanted{0, "a", "f", "", true}, wanted{1, "b", "g", "", true})
	f("id missing", d(`[{"index":0,"function":{"name":"f","arguments":"{}"}}]`), wanted{0, "", "f", "{}", true})
	f("id later", d(`[{"index":0,"function":{"name":"f"}}]`, `[{"index":0,"id":"a","function":{}}]`), wanted{0, "a", "f", "", true})
	f("arguments an object", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":{"x":"q\"\n"}}}]`), wanted{0, "a", "f", `{"x":"q\"\n"}`, true})
	f("arguments null", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":null}}]`), wanted{0, "a", "f", "", true})
	f("arguments empty, then braces", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]`, `[{"index":0,"function":{"arguments":"{}"}}]`),
		wanted{0, "a", "f", "{}", true})
	f("arguments cut", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]`), wanted{0, "a", "f", `{"x":`, false})
	f("surrogate pair cut", d(`[{"index":0,"id":"a","function":{"name":"f","arguments":"\"\ud83d"}}]`, `[{"index":0,"function":{"arguments":"\ude00\""}}]`),
		wanted{0, "a", "f", `"😀"`, true})
	f("custom tool", d(`[{"index":0,"id":"a","type":"custom","custom":{"name":"sh","input":"ls -"}}]`, `[{"index":0,"custom":{"input":"l"}}]`),
		wanted{0, "a", "sh", "ls -l", true})
}

func TestALimitDoesNotCompleteACall(t *testing.T) {
	for _, reason := range []string{"length", "content_filter", "error"} {
		m := metered(ShapeChat, chunkTools(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]`), chunkFinish(reason))
		require.False(t, m.OpenToolCall())
		require.False(t, m.ToolCalls()[0].Complete, reason)
	}
}

func TestLegacyFunctionCallCounts(t *testing.T) {
	m := metered(ShapeChat, head+`"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":""}}}]}`,
		head+`"choices":[{"index":0,"delta":{"function_call":{"arguments":"{}"}}}]}`)
	require.True(t, m.OpenToolCall())
	m.Observe(nil, []byte(chunkFinish("function_call")))
	require.Equal(t, []wanted{{0, "", "f", "{}", true}}, callsOf(m))
}

func TestCallsOfChoicesStayApart(t *testing.T) {
	m := metered(ShapeChat, head+`"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]}},
		{"index":1,"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]}}]}`, chunkFinish("tool_calls"))
	require.True(t, m.OpenToolCall(), "choice 1 is not finished")
	calls := m.ToolCalls()
	require.Equal(t, []bool{true, false}, []bool{calls[0].Complete, calls[1].Complete})
	require.Equal(t, []int{0, 1}, []int{calls[0].Choice, calls[1].Choice})
}

func TestNothingInToolCallsOpensNoCall(t *testing.T) {
	for _, d := range []string{`[]`, `null`, `[null]`, `[{}]`, `[{"index":0}]`, `[{"index":0,"id":"","function":{"name":"","arguments":""}}]`, `"x"`, `{}`} {
		m := metered(ShapeChat, chunkTools(d))
		require.False(t, m.OpenToolCall(), d)
		require.Empty(t, m.ToolCalls(), d)
	}
}

func TestToolCallsAreBounded(t *testing.T) {
	m := metered(ShapeChat)
	for i := range 70 {
		m.Observe(nil, []byte(chunkTools(fmt.Sprintf(`[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}]`, i, i))))
	}
	m.Observe(nil, []byte(chunkFinish("tool_calls")))
	require.Len(t, m.ToolCalls(), maxToolCalls)
	require.True(t, m.Stats().Degraded)

	m = metered(ShapeChat)
	for i := range 70 {
		m.Observe(nil, []byte(chunkTools(fmt.Sprintf(`[{"index":0,"id":"c%d","function":{"name":"f","arguments":"1"}}]`, i))))
		m.Observe(nil, []byte(chunkTools(`[{"index":0,"function":{"arguments":"2"}}]`)))
	}
	for _, c := range m.ToolCalls() {
		require.Equal(t, "12", string(c.Arguments), "what belongs to a dropped call must not reach a kept one")
	}

	m = metered(ShapeChat, chunkTools(`[{"index":0,"id":"a","function":{"name":"f","arguments":"\""}}]`))
	piece := chunkTools(`[{"index":0,"function":{"arguments":"` + strings.Repeat("x", 1000) + `"}}]`)
	for range 1100 {
		m.Observe(nil, []byte(piece))
	}
	m.Observe(nil, []byte(chunkFinish("tool_calls")))
	c := m.ToolCalls()[0]
	require.LessOrEqual(t, len(c.Arguments), maxToolArguments)
	require.Equal(t, 1_100_002, c.ArgumentBytes)
	require.False(t, c.Complete)
	require.True(t, m.Stats().Degraded)
}

func TestToolTextIsForTheEstimate(t *testing.T) {
	m := metered(ShapeChat, chunkTools(`[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]`))
	text := m.Text()
	require.Equal(t, `f{\"x\":1}`, string(text.Tools))
	require.Equal(t, int64(len(text.Tools)), text.TotalBytes)
}

// accumulate does what the official SDKs do with the deltas of one choice: a
// list by index, in which strings of the same field are concatenated.
func accumulate(into map[int]*wanted, index int, id, name, args string) {
	c := into[index]
	if c == nil {
		c = &wanted{index: index, complete: true}
		into[index] = c
	}
	c.id += id
	c.name += name
	c.args += args
}

func TestToolCallsAgreeWithAnSDKAccumulator(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for range 300 {
		calls, oracle := 1+r.IntN(5), map[int]*wanted{}
		var rest [5]string
		m := metered(ShapeChat)
		send := func(i int, id, name, args string) {
			accumulate(oracle, i, id, name, args)
			first := ""
			if id != "" {
				first = fmt.Sprintf(`"id":%q,"type":"function",`, id)
			}
			named := ""
			if name != "" {
				named = fmt.Sprintf(`"name":%q,`, name)
			}
			m.Observe(nil, []byte(chunkTools(fmt.Sprintf(`[{"index":%d,%s"function":{%s"arguments":%s}}]`, i, first, named, quoted(args)))))
		}
		for i := range calls {
			rest[i] = fmt.Sprintf(`{"n":%d,"s":%s}`, r.IntN(1000), quoted(strings.Repeat("é\"\n\\x", r.IntN(9))))
			send(i, fmt.Sprintf("call_%d", i), fmt.Sprintf("f%d", i), "")
		}
		for {
			i := r.IntN(calls)
			if rest[i] == "" {
				if strings.Join(rest[:calls], "") == "" {
					break
				}
				continue
			}
			runes := []rune(rest[i])
			n := 1 + r.IntN(min(len(runes), 6))
			send(i, "", "", string(runes[:n]))
			rest[i] = string(runes[n:])
		}
		m.Observe(nil, []byte(chunkFinish("tool_calls")))
		got := callsOf(m)
		require.Len(t, got, calls)
		for i, c := range got {
			require.Equal(t, *oracle[i], c)
		}
	}
}
