//go:build e2e

package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

func TestUpstreamRefusalReachesTheClient(t *testing.T) {
	for _, scenario := range []string{"answer", "stream"} {
		t.Run(scenario, func(t *testing.T) {
			eachSDK(t, func(t *testing.T, k sdk) {
				upstream, s := behind(t, func(e *fakeprovider.Exchange) {
					e.JSON(http.StatusTooManyRequests, fakeprovider.ErrorBody("slow down", "requests", "rate_limit_exceeded"), "Retry-After: 7")
				})
				got := k.run(s, scenario).seen()

				require.NotNil(t, got.Error)
				require.Equal(t, k.rateLimited, got.Error.Class)
				require.Equal(t, http.StatusTooManyRequests, got.Error.Status)
				require.Equal(t, "rate_limit_exceeded", got.Error.Code)
				require.Contains(t, got.Error.Message, "slow down")
				require.Equal(t, "7", got.Error.RetryAfter)
				require.Len(t, upstream.Exchanges(), 1)

				r := s.record(got.RequestID)
				require.Equal(t, "upstream_error", r.Outcome)
				require.Equal(t, http.StatusTooManyRequests, r.StatusUpstream)
				require.Equal(t, http.StatusTooManyRequests, r.StatusDownstream)
				s.requireCounted("upstream_error", http.StatusTooManyRequests)
			})
		})
	}
}

func TestErrorEventMidStreamRaises(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		_, s := behind(t, func(e *fakeprovider.Exchange) {
			unfinished(e, fakeprovider.ChatOptions{Texts: []string{"Rain", " and"}})
			e.Event(fakeprovider.ErrorBody("the model fell over", "server_error", "server_error"))
			e.EndChunks()
		})
		got := k.run(s, "stream").seen()

		require.Equal(t, "Rain and", got.Text)
		require.Empty(t, got.FinishReason)
		require.NotNil(t, got.Error)
		require.Equal(t, k.failed, got.Error.Class)
		require.Contains(t, got.Error.Message, "the model fell over")

		r := s.record(got.RequestID)
		require.Equal(t, "upstream_error", r.Outcome)
		require.Equal(t, "streaming", r.Phase)
		s.requireCounted("upstream_error", http.StatusOK)
	})
}

// Endings that no reader may take for a whole answer, whatever the framing says.
var cuts = map[string]func(e *fakeprovider.Exchange){
	"clean end of the body": func(e *fakeprovider.Exchange) { e.EndChunks() },
	"closed":                func(e *fakeprovider.Exchange) { e.Close() },
	"reset":                 func(e *fakeprovider.Exchange) { e.Reset() },
}

func TestCutAnswerRaises(t *testing.T) {
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			eachSDK(t, func(t *testing.T, k sdk) {
				_, s := behind(t, func(e *fakeprovider.Exchange) {
					unfinished(e, fakeprovider.ChatOptions{Texts: []string{"Rain", " and"}})
					cut(e)
				})
				got := k.run(s, "stream").seen()

				require.Empty(t, got.FinishReason)
				require.NotNil(t, got.Error)
				require.Equal(t, k.failed, got.Error.Class)
				r := s.record(got.RequestID)
				require.Contains(t, []string{"upstream_truncated", "upstream_error"}, r.Outcome)
				require.False(t, r.Delivered)
				s.requireCounted(r.Outcome, http.StatusOK)
			})
		})
	}
}

func TestUpstreamThatIsNotThere(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		s := start(t, "http://"+fakeprovider.ClosedPort(t))
		got := k.run(s, "answer").seen()

		require.NotNil(t, got.Error)
		require.Equal(t, http.StatusBadGateway, got.Error.Status)
		require.NotContains(t, got.Error.Message, "127.0.0.1", "clients are not told where upstreams are")
		r := s.record(got.RequestID)
		require.Equal(t, "upstream_error", r.Outcome)
		require.Equal(t, "none", r.UsageSource)
		s.requireCounted("upstream_error", http.StatusBadGateway)
	})
}

func TestUnknownKeyIsRefusedBeforeAnyUpstream(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		upstream, s := behind(t, fakeprovider.DefaultScript)
		got := k.run(s, "stream", "OPENAI_API_KEY=sk-unknown").seen()

		require.NotNil(t, got.Error)
		require.Equal(t, http.StatusUnauthorized, got.Error.Status)
		require.Zero(t, upstream.Conns())
		require.Zero(t, s.metric("sluice_requests_total"))
		require.EqualValues(t, 1, s.metric("sluice_rejected_total", `code="invalid_api_key"`))
	})
}
