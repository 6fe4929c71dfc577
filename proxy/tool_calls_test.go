package proxy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/internal/chatrules"
)

// toolStream makes random streams of tool calls as providers send them, and keeps what
// the accumulator of an SDK makes of each: parts with the same choice and index belong
// together, ids and names come once, arguments are joined.
type toolStream struct {
	rng    *rand.Rand
	events []string
	calls  []*readCall // in order of appearance
	finish map[int]string
}

// pending is what one call of a choice still has to send.
type pending struct {
	choice, index int
	id, name      string
	begun         bool
	args          []string
}

func newToolStream(seed uint64) *toolStream {
	s := &toolStream{rng: rand.New(rand.NewPCG(seed, 31)), finish: map[int]string{}}
	var open []*pending
	for choice := range 1 + s.rng.IntN(3) {
		index := 0
		for range s.rng.IntN(4) {
			open = append(open, s.newCall(choice, index))
			index += 1 + s.rng.IntN(3)*s.rng.IntN(2) // gaps now and then
		}
		if s.rng.IntN(30) == 0 {
			open = append(open, s.newCall(choice, 1_000_000_000))
		}
		s.finish[choice] = []string{"tool_calls", "stop", "length", ""}[s.rng.IntN(4)]
	}
	for len(open) > 0 {
		i := s.rng.IntN(len(open))
		if s.send(open[i]) {
			open = slices.Delete(open, i, i+1)
		}
	}
	for _, choice := range sortedKeys(s.finish) {
		if f := s.finish[choice]; f != "" {
			s.event(choice, `{}`, `"`+f+`"`)
		} else {
			s.event(choice, `{"content":"x"}`, "null")
		}
	}
	s.events = append(s.events, "[DONE]")
	return s
}

func (s *toolStream) newCall(choice, index int) *pending {
	args := []string{`{}`, ``, `{"city":"Zürich \"x\" 😀","n":[1,2.5,null]}`, `{"half":`, `"text"`, `[1]`, `{"a":{"b":"c\\n"}}`}[s.rng.IntN(7)]
	p := &pending{choice: choice, index: index, id: fmt.Sprintf("call_%d_%d", choice, index), name: []string{"f", "get_weather", "ünï"}[s.rng.IntN(3)]}
	for r := []rune(args); len(r) > 0; {
		n := 1 + s.rng.IntN(len(r))
		p.args, r = append(p.args, string(r[:n])), r[n:]
	}
	return p
}

// send sends the next part of a call and reports whether it was the last.
func (s *toolStream) send(p *pending) (last bool) {
	part := map[string]any{"index": p.index}
	function := map[string]any{}
	if !p.begun {
		p.begun = true
		part["id"], part["type"] = p.id, "function"
		function["name"] = p.name
		s.calls = append(s.calls, &readCall{choice: p.choice, index: p.index, id: p.id, name: p.name})
		if s.rng.IntN(2) == 0 {
			function["arguments"] = ""
		}
	} else if s.rng.IntN(4) == 0 { // some servers repeat what is known, or send nulls for it
		part["id"], function["name"] = nil, nil
	}
	if len(p.args) > 0 && s.rng.IntN(3) > 0 {
		function["arguments"] = p.args[0]
		for _, c := range s.calls {
			if c.choice == p.choice && c.index == p.index {
				c.args += p.args[0]
			}
		}
		p.args = p.args[1:]
	}
	part["function"] = function
	call, _ := json.Marshal(part)
	s.event(p.choice, `{"tool_calls":[`+string(call)+`]}`, "null")
	return len(p.args) == 0
}

func (s *toolStream) event(choice int, delta, finish string) {
	s.events = append(s.events, fmt.Sprintf(`{"id":"c","choices":[{"index":%d,"delta":%s,"finish_reason":%s}]}`, choice, delta, finish))
}

// want is what the record has to say.
func (s *toolStream) want() (out []accounting.ToolCallSummary) {
	for _, c := range s.calls {
		done := s.finish[c.choice] == "tool_calls" || s.finish[c.choice] == "stop"
		out = append(out, accounting.ToolCallSummary{
			Choice: c.choice, Index: c.index, Name: c.name, ArgumentBytes: len(c.args),
			Complete: done && (c.args == "" || json.Valid([]byte(c.args))),
		})
	}
	return out
}

// Whatever order the parts of tool calls come in, they are put together as the SDKs do
// it, and a call is complete only if the stream said so and its arguments are JSON.
// row B31
func TestToolCallsAreReconstructedLikeTheSDKsDo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial()
	for seed := range uint64(300) {
		s := newToolStream(seed)
		r.play(s.events)
		id := fmt.Sprint("seed-", seed)
		p := read(c.post(streamBody, "X-Request-Id: "+id))
		require.NoError(t, p.err)
		requireSameCalls(t, s, p.body)
		rec := r.record(id)
		require.Equal(t, s.want(), rec.ToolCalls, "seed %d: %s", seed, chatText(s.events))
		require.False(t, rec.AccountingDegraded)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	}
}

// requireSameCalls asserts that strict clients put together the same calls.
func requireSameCalls(t *testing.T, s *toolStream, body []byte) {
	t.Helper()
	got, _ := chatrules.ReadStream(body, chatrules.Options{IncludeUsage: true, UsageUnstated: true, Unknown: true})
	seen := map[int]int{}
	byIndex := map[int]*chatrules.Choice{}
	for _, c := range got.Choices {
		byIndex[c.Index] = c
	}
	for _, want := range s.calls {
		choice := byIndex[want.choice]
		require.NotNil(t, choice)
		require.Greater(t, len(choice.Calls), seen[want.choice])
		call := choice.Calls[seen[want.choice]]
		seen[want.choice]++
		require.Equal(t, want.name, call.Name)
		if want.args != "" {
			require.Equal(t, want.args, call.Arguments)
		}
	}
}

// Reconstruction gives up within bounds, saying so, and the bytes pass all the same.
// row B31
func TestToolCallsBeyondTheBoundsAreForwardedAndFlagged(t *testing.T) {
	t.Parallel()
	call := func(index int, name, args string) string {
		quoted, _ := json.Marshal(args)
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"call_%d","function":{"name":%q,"arguments":%s}}]}}]}`, index, index, name, quoted)
	}
	more := func(index int, args string) string {
		quoted, _ := json.Marshal(args)
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}}]}`, index, quoted)
	}
	var many []string
	for i := range 100 {
		many = append(many, call(i, "f", "{}"))
	}
	big := []string{call(0, "f", `{"a":"`)}
	for range 40 {
		big = append(big, more(0, strings.Repeat("x", 32<<10)))
	}
	big = append(big, more(0, `"}`))
	for name, c := range map[string]struct {
		events []string
		kept   int
		check  func(t *testing.T, calls []accounting.ToolCallSummary)
	}{
		"100 calls": {many, 64, func(t *testing.T, calls []accounting.ToolCallSummary) {
			for i, got := range calls {
				require.Equal(t, accounting.ToolCallSummary{Index: i, Name: "f", ArgumentBytes: 2, Complete: true}, got)
			}
		}},
		"arguments of 1.25 MiB": {big, 1, func(t *testing.T, calls []accounting.ToolCallSummary) {
			require.False(t, calls[0].Complete)
			require.Equal(t, 40*32<<10+12, calls[0].ArgumentBytes) // as they came, escapes included
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			events := append(c.events, chunkWith("", "tool_calls", ""), usageOnly(`{"prompt_tokens":1,"completion_tokens":2}`), "[DONE]")
			r.play(events)
			p, rec := r.askAs("a", streamBody)
			p.requireWhole(t)
			requireSame(t, chatText(events), p.body)
			require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
			require.True(t, rec.AccountingDegraded)
			require.Len(t, rec.ToolCalls, c.kept)
			c.check(t, rec.ToolCalls)
		})
	}
}

// Parts without an index, an id or a name, and indexes that make no sense, do no harm.
// row B31
func TestOddToolCallPartsDoNoHarm(t *testing.T) {
	t.Parallel()
	for _, parts := range []string{
		`[{"id":"a","function":{"name":"f","arguments":"{}"}}]`, `[{"index":-1,"id":"a","function":{"name":"f","arguments":"{}"}}]`,
		`[{"index":1e9,"id":"a","function":{"name":"f","arguments":"{}"}}]`, `[{"index":"0","id":"a","function":{"name":"f","arguments":"{}"}}]`,
		`[{"index":99999999999999999999,"id":"a","function":{"name":"f","arguments":"{}"}}]`, `[{"index":0,"function":{"arguments":"{}"}}]`,
		`[{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}]`, `[{"index":0,"id":1,"function":null}]`, `[null]`, `{}`, `"x"`, `[[]]`, `null`,
	} {
		r := newRig(t)
		events := []string{`{"choices":[{"index":0,"delta":{"tool_calls":` + parts + `}}]}`, chunkWith("", "tool_calls", ""), "[DONE]"}
		r.play(events)
		p, rec := r.askAs("a", streamBody)
		p.requireWhole(t)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		require.LessOrEqual(t, len(rec.ToolCalls), 1, "%s", parts)
	}
}
