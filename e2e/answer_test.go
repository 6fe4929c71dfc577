//go:build e2e

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// eachSDK runs f once for every client library.
func eachSDK(t *testing.T, f func(t *testing.T, k sdk)) {
	for _, k := range sdks {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f(t, k)
		})
	}
}

func TestWholeAnswer(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, fakeprovider.DefaultScript)
		got := k.run(s, "answer").seen()

		require.Nil(t, got.Error)
		require.Equal(t, "Hello, world.", got.Text)
		require.Equal(t, "stop", got.FinishReason)
		require.Equal(t, []string{"fast"}, got.Models)
		require.NotNil(t, got.Usage)
		require.Equal(t, 10, got.Usage.Prompt)
		require.Equal(t, 4, got.Usage.Completion)

		requireAskedOnce(t, upstream)
		r := s.record(got.RequestID)
		requireCompleted(t, r)
		require.False(t, r.Stream)
		s.requireCounted("completed", 200)
	})
}

func TestStreamShowsNoUsageToWhoDidNotAsk(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, fakeprovider.DefaultScript)
		got := k.run(s, "stream").seen()

		requireText(t, got)
		require.Nil(t, got.Usage)
		require.Zero(t, got.UsageMembers)
		require.Equal(t, 6, got.Chunks, "the role, four words and the finish reason")

		asked := requireAskedOnce(t, upstream)
		require.True(t, asked.StreamOptions.IncludeUsage, "sluice asks for usage itself")
		requireCompleted(t, s.record(got.RequestID))
		s.requireCounted("completed", 200)
		require.EqualValues(t, 10, s.metric("sluice_tokens_total", `type="input"`, `source="reported"`))
		require.EqualValues(t, 4, s.metric("sluice_tokens_total", `type="output"`, `source="reported"`))
	})
}

func TestStreamShowsUsageToWhoAsked(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, fakeprovider.DefaultScript)
		got := k.run(s, "stream_usage").seen()

		requireText(t, got)
		require.NotNil(t, got.Usage)
		require.Equal(t, 10, got.Usage.Prompt)
		require.Equal(t, 4, got.Usage.Completion)
		require.Equal(t, 7, got.UsageMembers, "null in every chunk but the last")

		asked := requireAskedOnce(t, upstream)
		require.True(t, asked.StreamOptions.IncludeUsage)
		requireCompleted(t, s.record(got.RequestID))
	})
}

func TestStreamedToolCallIsWhole(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		_, s := behind(t, callingTool)
		got := k.run(s, "stream_tools").seen()
		requireToolCall(t, s, got)
	})
}

func TestToolCallInWholeAnswer(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		if k.name == "python-asyncio" {
			t.Skip("reads whole answers with the code of the blocking client")
		}
		_, s := behind(t, callingTool)
		got := k.run(s, "answer_tools").seen()
		requireToolCall(t, s, got)
	})
}

func requireText(t *testing.T, got seen) {
	t.Helper()
	require.Nil(t, got.Error)
	require.Equal(t, "Hello, world.", got.Text)
	require.Equal(t, "stop", got.FinishReason)
	require.Equal(t, []string{"fast"}, got.Models)
}

func requireToolCall(t *testing.T, s *sluice, got seen) {
	t.Helper()
	require.Nil(t, got.Error)
	require.Equal(t, "tool_calls", got.FinishReason)
	require.Len(t, got.ToolCalls, 1)
	require.Equal(t, "get_weather", got.ToolCalls[0].Name)
	require.JSONEq(t, `{"city":"Oslo"}`, got.ToolCalls[0].Arguments)

	r := s.record(got.RequestID)
	require.Equal(t, "completed", r.Outcome)
	require.Equal(t, []string{"tool_calls"}, r.FinishReasons)
	require.Len(t, r.ToolCalls, 1)
	require.Equal(t, "get_weather", r.ToolCalls[0].Name)
	require.True(t, r.ToolCalls[0].Complete)
	require.Eventually(t, func() bool {
		return s.metric("sluice_tool_calls_total", `complete="true"`) == 1
	}, patience, pollEvery)
}

// requireAskedOnce checks what the upstream saw of an exchange: one request, for the
// target's model, with the provider's key, and returns what it asked for.
func requireAskedOnce(t *testing.T, upstream *fakeprovider.Provider) fakeprovider.Asked {
	t.Helper()
	require.Len(t, upstream.Exchanges(), 1)
	e := upstream.WaitExchange(1)
	require.Equal(t, "/v1/chat/completions", e.Request.Target)
	require.Equal(t, "Bearer "+upstreamKey, e.Request.Get("Authorization"))
	require.NotContains(t, string(e.Request.Head), clientKey)
	require.Equal(t, "fake-model", e.Asked().Model)
	return e.Asked()
}

func requireCompleted(t *testing.T, r record) {
	t.Helper()
	require.Equal(t, "completed", r.Outcome)
	require.Equal(t, "tail", r.Phase)
	require.Equal(t, "fast", r.ModelAsked)
	require.Equal(t, "fake-model", r.ModelServed)
	require.Equal(t, "fake", r.Provider)
	require.Equal(t, 200, r.StatusDownstream)
	require.Equal(t, 200, r.StatusUpstream)
	require.Equal(t, "reported", r.UsageSource)
	require.EqualValues(t, 10, *r.Usage.Input)
	require.EqualValues(t, 4, *r.Usage.Output)
	require.True(t, json.Valid(r.RawUsage))
	require.True(t, r.Delivered)
	require.Len(t, r.Attempts, 1)
}
