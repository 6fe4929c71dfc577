package proxy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// reading is what a recording says when it is read in the most straightforward way,
// with encoding/json and none of sluice's own parsers.
type reading struct {
	blocks  []string // up to the end of the stream, blank lines included
	missing string   // sentinel that the provider left out
	failed  bool     // it ended with an error event
	events  int
	usage   map[string]int64
	calls   []*readCall
	finish  map[int]string
}

// readCall is one tool call as the accumulators of the SDKs build it.
type readCall struct {
	choice, index   int
	id, name, args  string
	free, completed bool
}

func readRecording(t testing.TB, c fakeprovider.Capture) *reading {
	t.Helper()
	w := &reading{usage: map[string]int64{}, finish: map[int]string{}}
	done := false
	blocks := recordings.Blocks(string(c.Response))
	require.Len(t, strings.Join(blocks, ""), len(c.Response), "the recording ends inside an event")
	for i, block := range blocks {
		if done {
			break
		}
		w.blocks = append(w.blocks, block)
		data := recordings.Data(block)
		switch {
		case data == "":
			continue
		case data == "[DONE]":
			done = true
		case c.Meta.API == "openai-responses":
			done = w.responseEvent(t, data, strings.Join(blocks[i+1:], ""))
		default:
			done = w.chunk(t, data, recordings.Names(block, "error"))
		}
		w.events++
	}
	if !done && c.Meta.API != "openai-responses" {
		w.missing = "data: [DONE]\n\n"
	}
	return w
}

func (w *reading) text() string { return strings.Join(w.blocks, "") + w.missing }

type toolPart struct {
	Index    *int
	ID       string
	Function struct{ Name, Arguments string }
}

func (w *reading) chunk(t testing.TB, data string, named bool) (ends bool) {
	var chunk struct {
		Error   any
		Usage   map[string]any
		XGroq   struct{ Usage map[string]any } `json:"x_groq"`
		Choices []struct {
			Index        int
			FinishReason string `json:"finish_reason"`
			Delta        struct {
				ToolCalls []toolPart `json:"tool_calls"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(data), &chunk), "%s", data)
	for _, c := range chunk.Choices {
		for _, part := range c.Delta.ToolCalls {
			w.toolPart(c.Index, part)
		}
		if w.finish[c.Index] == "" {
			w.finish[c.Index] = c.FinishReason
		}
	}
	w.addUsage(chunk.Usage)
	w.addUsage(chunk.XGroq.Usage)
	w.failed = named || chunk.Error != nil
	return w.failed
}

// toolPart accumulates as openai-node does: by index, ids and names once, arguments
// joined. A part of another id under the same index is another call.
func (w *reading) toolPart(choice int, part toolPart) {
	index := 0
	if part.Index != nil {
		index = *part.Index
	}
	var call *readCall
	for _, c := range w.calls {
		if c.choice == choice && c.index == index {
			call = c
		}
	}
	if call == nil {
		call = &readCall{choice: choice, index: index, id: part.ID}
		w.calls = append(w.calls, call)
	}
	if call.name == "" {
		call.name = part.Function.Name
	}
	call.args += part.Function.Arguments
}

// addUsage takes the numbers of a usage object.
func (w *reading) addUsage(u map[string]any) {
	maps.Copy(w.usage, recordings.ChatUsage(u))
}

// responseEvent reads an event of the Responses API; rest is what follows it.
func (w *reading) responseEvent(t testing.TB, data, rest string) (ends bool) {
	var event struct {
		Type     string
		Response struct {
			Status     string
			Incomplete struct{ Reason string } `json:"incomplete_details"`
			Usage      map[string]any
		}
		Slot int `json:"output_index"`
		Item struct {
			Type, ID, Name, Status string
			Input                  any
			Arguments              any
			CallID                 string `json:"call_id"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(data), &event), "%s", data)
	switch event.Type {
	case "error", "response.failed":
		w.failed = true
		return true
	case "response.output_item.done":
		if item := event.Item; item.Type == "function_call" || item.Type == "custom_tool_call" {
			args, _ := item.Arguments.(string)
			input, _ := item.Input.(string)
			w.calls = append(w.calls, &readCall{
				index: event.Slot, id: item.CallID, name: item.Name, args: args + input, free: item.Type == "custom_tool_call",
				completed: item.Status != "incomplete",
			})
		}
		return false
	case "response.completed", "response.incomplete":
	default:
		return false
	}
	w.addUsage(event.Response.Usage)
	w.finish[0] = event.Response.Status
	if reason := event.Response.Incomplete.Reason; reason != "" {
		w.finish[0] = reason
	}
	return recordings.Data(rest) != "[DONE]" // which some providers send here too
}

// requireEnding asserts that client and record saw the end that the recording has.
func (w *reading) requireEnding(t testing.TB, p reply, rec *accounting.Record) {
	t.Helper()
	events := int64(w.events)
	if w.missing != "" {
		events++
	}
	require.Equal(t, events, rec.Chunks)
	require.Zero(t, rec.BadEvents)
	require.False(t, rec.AccountingDegraded)
	if w.failed {
		require.Error(t, p.err)
		require.Equal(t, accounting.OutcomeUpstreamError, rec.Outcome)
		require.False(t, rec.Delivered)
		return
	}
	require.NoError(t, p.err)
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Equal(t, accounting.PhaseTail, rec.Phase)
	require.True(t, rec.Delivered)
	if len(w.usage) > 0 {
		require.Equal(t, accounting.SourceReported, rec.UsageSource)
	} else {
		require.Equal(t, accounting.SourceEstimated, rec.UsageSource)
	}
}

// requireAccounts asserts usage, finish reasons and tool calls.
func (w *reading) requireAccounts(t testing.TB, rec *accounting.Record) {
	t.Helper()
	if len(w.usage) > 0 {
		for name, got := range map[string]tokens.Count{
			"prompt": rec.Usage.Input, "cached": rec.Usage.InputCached, "cache_write": rec.Usage.InputCacheWrite,
			"completion": rec.Usage.Output, "reasoning": rec.Usage.OutputReasoning,
		} {
			n, known := w.usage[name]
			require.Equal(t, tokens.Count{N: n, Known: known}, got, "%s in %s", name, rec.RawUsage)
		}
	}
	var finish []string
	for _, choice := range sortedKeys(w.finish) {
		finish = append(finish, w.finish[choice])
	}
	if strings.Join(finish, "") == "" {
		finish = nil
	}
	if !w.failed {
		require.Equal(t, finish, rec.FinishReasons)
	}
	require.Len(t, rec.ToolCalls, len(w.calls))
	for i, call := range w.calls {
		done := call.completed || slices.Contains([]string{"stop", "tool_calls", "function_call"}, w.finish[call.choice])
		want := accounting.ToolCallSummary{
			Choice: call.choice, Index: call.index, Name: call.name, ArgumentBytes: len(call.args),
			Complete: done && (call.free || call.args == "" || json.Valid([]byte(call.args))),
		}
		require.Equal(t, want, rec.ToolCalls[i])
	}
}

func sortedKeys(m map[int]string) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
