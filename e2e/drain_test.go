//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// answering is a curl in flight.
type answering struct {
	out  string
	code int
}

// curlInFlight starts a stream and waits until the client's first chunks are through.
func curlInFlight(t *testing.T, s *sluice) <-chan answering {
	t.Helper()
	done := make(chan answering, 1)
	go func() {
		out, code := curl(t, s, "-m", "60")
		done <- answering{out, code}
	}()
	id := s.onlyRunning()
	require.Eventually(t, func() bool {
		_, body := s.call(http.MethodGet, "/v1/requests/"+id, clientKey)
		return containsAll(string(body), []string{`"phase":"streaming"`})
	}, patience, pollEvery)
	return done
}

func await(t *testing.T, done <-chan answering) answering {
	t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(clientPatience):
		require.Fail(t, "curl did not end")
		return answering{}
	}
}

func TestTerminationLetsStreamsFinish(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	upstream := fakeprovider.New(t)
	upstream.Handle(func(e *fakeprovider.Exchange) {
		payloads := fakeprovider.ChatStream(fakeprovider.ChatOptions{})
		e.StreamHead()
		e.Event(payloads[0])
		e.Event(payloads[1])
		select {
		case <-goOn:
			e.Play(payloads[2:])
		case <-e.Gone():
		}
	})
	s := start(t, upstream.URL())
	done := curlInFlight(t, s)

	s.terminate()
	require.Eventually(t, func() bool {
		response, err := http.Get(s.admin + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusServiceUnavailable
	}, patience, pollEvery, "a draining sluice is not ready")
	_, code := curl(t, s)
	require.Contains(t, []int{curlNoConnect, curlEmpty, curlReset}, code, "nothing new is accepted")
	require.False(t, s.hasExited())

	close(goOn)
	got := await(t, done)
	require.Zero(t, got.code)
	require.Contains(t, got.out, "data: [DONE]\n\n")
	require.Zero(t, s.awaitExit())
}

func TestDrainDeadlineEndsStreams(t *testing.T) {
	t.Parallel()
	upstream := fakeprovider.New(t)
	upstream.Handle(endless)
	s := startWith(t, settings{upstream: upstream.URL(), extra: "timeouts: {drain: 500ms}"})
	done := curlInFlight(t, s)

	s.terminate()
	requireShutDown(t, await(t, done))
	requireGone(t, upstream)
	require.Zero(t, s.awaitExit())
}

func TestSecondTerminationEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	upstream := fakeprovider.New(t)
	upstream.Handle(endless)
	s := startWith(t, settings{upstream: upstream.URL(), extra: "timeouts: {drain: 10m}"})
	done := curlInFlight(t, s)

	s.terminate()
	require.Eventually(t, func() bool {
		_, code := curl(t, s)
		return code != 0
	}, patience, pollEvery, "sluice still accepts")
	require.False(t, s.hasExited())
	require.False(t, upstream.WaitExchange(1).IsGone())

	s.terminate()
	requireShutDown(t, await(t, done))
	requireGone(t, upstream)
	require.Zero(t, s.awaitExit())
}

func requireShutDown(t *testing.T, got answering) {
	t.Helper()
	require.Equal(t, curlCut, got.code)
	require.Contains(t, got.out, `"code":"shutting_down"`)
	require.NotContains(t, got.out, "[DONE]")
}
