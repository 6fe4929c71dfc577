//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func TestClientHangsUpMidStream(t *testing.T) {
	for _, scenario := range []string{"abort", "abort_leaving"} {
		t.Run(scenario, func(t *testing.T) {
			eachSDK(t, func(t *testing.T, k sdk) {
				upstream, s := behind(t, endless)
				got := k.run(s, scenario).seen()

				// The client's process is still alive: only its SDK has hung up.
				require.Equal(t, "Rain and", got.Text)
				requireGone(t, upstream)
				r := s.record(got.RequestID)
				requireClientGone(t, s, r, "streaming")
				require.Equal(t, 3, r.Chunks)
				require.Equal(t, "estimated", r.UsageSource)
				require.Positive(t, *r.Usage.Input)
				require.Positive(t, *r.Usage.Output)
			})
		})
	}
}

func TestClientHangsUpBeforeTheFirstByte(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, silent)
		c := k.run(s, "abort_waiting")
		upstream.WaitExchange(1)
		id := s.onlyRunning()
		c.goAhead()
		got := c.seen()

		require.NotNil(t, got.Error)
		require.Equal(t, k.abortWaiting, got.Error.Class)
		requireGone(t, upstream)
		requireClientGone(t, s, s.record(id), "await_headers")
	})
}

func requireClientGone(t *testing.T, s *sluice, r record, phase string) {
	t.Helper()
	require.Equal(t, "client_gone", r.Outcome)
	require.Equal(t, phase, r.Phase)
	require.Empty(t, strings.Join(r.FinishReasons, ""), "no choice has finished")
	require.False(t, r.Delivered)
	require.NotNil(t, r.CloseMicros)
	require.Less(t, *r.CloseMicros, closedWithin.Microseconds())
	s.requireCounted("client_gone", 499)
	require.EqualValues(t, 1, s.metric("sluice_cancels_total", `cause="client_gone"`, `phase="`+phase+`"`))
	require.EqualValues(t, 1, s.metric("sluice_upstream_close_seconds_count"))
}

// onlyRunning waits until exactly one exchange is in flight and returns its id.
func (s *sluice) onlyRunning() string {
	s.tb.Helper()
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	require.Eventually(s.tb, func() bool {
		status, body := s.call(http.MethodGet, "/v1/requests", clientKey)
		return status == http.StatusOK && json.Unmarshal(body, &list) == nil && len(list.Data) == 1
	}, patience, pollEvery)
	return list.Data[0].ID
}

func TestCancelEndsTextWell(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, endless)
		c := k.run(s, "stream_usage")
		id := s.cancelStreaming(3)
		got := c.seen()

		require.Nil(t, got.Error)
		require.Equal(t, "Rain and", got.Text)
		require.Equal(t, "stop", got.FinishReason)
		require.NotNil(t, got.Usage, "the client asked for usage")
		require.Positive(t, got.Usage.Completion)
		requireGone(t, upstream)
		require.Equal(t, "cancelled", s.record(id).Outcome)
		s.requireCounted("cancelled", 200)
	})
}

func TestCancelInventsNoFinishOfAnOpenToolCall(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		half := weatherCall
		half.Arguments = half.Arguments[:2]
		upstream, s := behind(t, func(e *fakeprovider.Exchange) {
			unfinished(e, fakeprovider.ChatOptions{ToolCalls: []fakeprovider.ToolCall{half}})
			e.Hold()
		})
		c := k.run(s, "stream_tools")
		id := s.cancelStreaming(4)
		got := c.seen()

		require.NotNil(t, got.Error)
		require.Equal(t, k.failed, got.Error.Class)
		require.Empty(t, got.FinishReason)
		requireGone(t, upstream)
		r := s.record(id)
		require.Equal(t, "cancelled", r.Outcome)
		require.Len(t, r.ToolCalls, 1)
		require.False(t, r.ToolCalls[0].Complete)
	})
}

// cancelStreaming waits until the only exchange in flight has forwarded some chunks and
// cancels it, after trying to with a key that has no business with it.
func (s *sluice) cancelStreaming(chunks int) string {
	s.tb.Helper()
	id := s.onlyRunning()
	var running struct {
		Chunks int `json:"chunks"`
	}
	require.Eventually(s.tb, func() bool {
		status, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
		return status == http.StatusOK && json.Unmarshal(body, &running) == nil && running.Chunks >= chunks
	}, patience, pollEvery)

	status, _ := s.call(http.MethodPost, "/v1/requests/"+id+"/cancel", neighbourKey)
	require.Equal(s.tb, http.StatusNotFound, status)
	for _, key := range []string{clientKey, adminKey} {
		status, body := s.call(http.MethodPost, "/v1/requests/"+id+"/cancel", key)
		require.Equal(s.tb, http.StatusOK, status)
		require.JSONEq(s.tb, `{"id":"`+id+`","status":"cancelled"}`, string(body))
	}
	return id
}
