//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// chosenID is an X-Request-Id that the application sends, because its framework hides
// the headers of the answer.
const chosenID = "weather-desk-1"

func runFramework(s *sluice, script string, arguments ...string) *client {
	return runScript(s, append(python(script)(s.tb), arguments...), "REQUEST_ID="+chosenID)
}

func TestLangChainStream(t *testing.T) {
	t.Parallel()
	upstream, s := behind(t, fakeprovider.DefaultScript)
	got := runFramework(s, "langchain_user.py", "stream").seen()

	require.Equal(t, "Hello, world.", got.Text)
	require.NotNil(t, got.Usage)
	require.Equal(t, 4, got.Usage.Completion)
	requireAskedOnce(t, upstream)
	requireCompleted(t, s.record(chosenID))
}

func TestLangChainToolCall(t *testing.T) {
	t.Parallel()
	_, s := behind(t, callingTool)
	got := runFramework(s, "langchain_user.py", "stream_tools").seen()
	got.RequestID = chosenID
	requireToolCall(t, s, got)
}

func TestLangChainHangsUpMidStream(t *testing.T) {
	t.Parallel()
	upstream, s := behind(t, endless)
	runFramework(s, "langchain_user.py", "abort").seen()
	requireGone(t, upstream)
	requireClientGone(t, s, s.record(chosenID), "streaming")
}

// An agent asks twice: for the tool call, and with the tool's result.
func TestPydanticAIAgentWithTool(t *testing.T) {
	t.Parallel()
	upstream, s := behind(t, func(e *fakeprovider.Exchange) {
		if e.Seq == 1 {
			callingTool(e)
			return
		}
		fakeprovider.DefaultScript(e)
	})
	got := runFramework(s, "pydantic_ai_user.py").seen()

	require.Equal(t, "Hello, world.", got.Text)
	require.Len(t, got.ToolCalls, 1)
	require.Equal(t, "Oslo", got.ToolCalls[0].Arguments)
	require.NotNil(t, got.Usage)
	require.Equal(t, 20, got.Usage.Prompt, "the agent adds up both answers")

	require.Len(t, upstream.Exchanges(), 2)
	require.Contains(t, string(upstream.WaitExchange(2).Request.Body), "rain in Oslo")
	require.Eventually(t, func() bool {
		return s.metric("sluice_requests_total", `outcome="completed"`) == 2
	}, patience, pollEvery)
	require.EqualValues(t, 1, s.metric("sluice_tool_calls_total", `complete="true"`))
}
