package proxy

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/servers"
	"github.com/sluicehq/sluice/replicas"
)

// joined makes a rig one of several replicas.
func joined(t *testing.T, shared *servers.Redis, name string, changes ...func(*config.Config)) *rig {
	t.Helper()
	r := newRig(t, changes...)
	client := redis.NewClient(&redis.Options{Addr: shared.Address, MaxRetries: -1, ContextTimeoutEnabled: true})
	bus, err := replicas.Open(t.Context(), replicas.Options{Redis: client, Namespace: "test", Instance: name, Logger: slog.New(slog.DiscardHandler), Answer: r.srv.Answer})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, bus.Close())
		require.NoError(t, client.Close())
	})
	r.srv.Join(bus)
	return r
}

// Whichever replica is asked, a request is found, shown and cancelled where it runs, and
// strangers find nothing.
func TestReplicasAnswerForEachOther(t *testing.T) {
	t.Parallel()
	shared := servers.StartRedis(t)
	keys := limited(config.Quota{})
	holder, other := joined(t, shared, "a", keys), joined(t, shared, "b", keys)
	holder.up.Handle(streamThenSilence(firstChunks...))
	c := holder.dial()
	resp := c.post(streamBody, asAlice, "X-Request-Id: far")
	e := holder.up.WaitExchange(1)
	asked := other.dial()
	require.Eventually(t, func() bool { // the replicas have found each other
		return other.dial().get("/v1/requests/far", &struct{}{}, asAlice) == 200
	}, patience, 5*time.Millisecond)

	var list struct {
		Data       []runningView
		Incomplete bool
	}
	require.Equal(t, 200, asked.get("/v1/requests", &list, asAlice))
	require.Len(t, list.Data, 1)
	require.Equal(t, "far", list.Data[0].ID)
	require.False(t, list.Incomplete)
	list.Data = nil
	require.Equal(t, 200, asked.get("/v1/requests", &list, asBob))
	require.Empty(t, list.Data)
	var nothing json.RawMessage
	require.Equal(t, 404, asked.get("/v1/requests/far", &nothing, asBob))
	require.Equal(t, 404, asked.get("/v1/requests/nowhere", &nothing, asAlice))

	asked.send("DELETE", "/v1/requests/far", "", asBob)
	require.Equal(t, 404, read(asked.response()).status)
	for range 2 { // the second finds what has become of it
		asked.send("DELETE", "/v1/requests/far", "", asAlice)
		p := read(asked.response())
		if p.status == 404 { // it has ended there, and these two share no books
			break
		}
		require.JSONEq(t, `{"id":"far","status":"cancelled"}`, string(p.body))
	}
	requireClosed(t, e.Conn)
	requireCancelEnding(t, read(resp), firstChunks, 1, true, accounting.SourceEstimated)
	requireEnded(t, holder.record("far"), accounting.OutcomeCancelled, accounting.PhaseStreaming, "cancelled")
}

// When not everybody can be asked, not to know a request is no answer.
func TestSilentReplicasAreNoAnswer(t *testing.T) {
	t.Parallel()
	shared := servers.StartRedis(t)
	r := joined(t, shared, "a")
	var answer struct {
		Error      struct{ Code string }
		Incomplete bool
	}
	require.Eventually(t, func() bool { return r.dial().get("/v1/requests/nowhere", &answer) == 404 }, patience, 5*time.Millisecond)
	shared.Kill()
	require.Eventually(t, func() bool { return r.dial().get("/v1/requests/nowhere", &answer) == 503 }, patience, 5*time.Millisecond)
	require.Equal(t, "replicas_silent", answer.Error.Code)
	require.Equal(t, 200, r.dial().get("/v1/requests", &answer))
	require.True(t, answer.Incomplete)
	r.ask(streamBody).requireWhole(t)
}
