package simulator

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMidstreamErrorEndsTheStreamWithAnErrorEvent(t *testing.T) {
	s := start(t)
	events := s.events("/v1/chat/completions", ask("sim-error-midstream", `"stream":true,`))
	require.Len(t, events, 1+breakAfter+1)
	require.Contains(t, events[len(events)-1], `{"error":{`)
	require.NotContains(t, events, "[DONE]")
}

func TestTruncatedStreamEndsWithoutFinishAndSentinel(t *testing.T) {
	s := start(t)
	events := s.events("/v1/chat/completions", ask("sim-truncate", `"stream":true,`))
	require.Len(t, events, 1+breakAfter)
	for _, e := range events {
		require.Contains(t, e, `"finish_reason":null`)
	}
}

func TestTruncatedWholeAnswerIsShorterThanAnnounced(t *testing.T) {
	s := start(t)
	_, err := io.ReadAll(s.post("/v1/chat/completions", ask("sim-truncate", "")).Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestHangingUpStopsTheAnswerAndIsRemembered(t *testing.T) {
	s := start(t, 5*time.Millisecond)
	res := s.post("/v1/chat/completions", ask("sim-long", `"stream":true,`))
	br := bufio.NewReader(res.Body)
	for range 4 {
		nextEvent(t, br)
	}
	require.EqualValues(t, 1, s.server.Stats().Started)
	require.Zero(t, s.server.Stats().Aborted)
	require.NoError(t, res.Body.Close())
	r := s.waitRecord(1)
	require.Equal(t, "sim-long", r.Model)
	require.Equal(t, "aborted", r.Ended)
	require.Equal(t, 400, r.Of)
	require.GreaterOrEqual(t, r.ChunksSent, 3)
	require.Less(t, r.ChunksSent, 400)
}

func TestHangingUpIsNoticedWhileNothingIsWritten(t *testing.T) {
	s := start(t, time.Hour)
	for i, extra := range []string{`"stream":true,`, ""} {
		conn, err := net.Dial("tcp", s.base[len("http://"):])
		require.NoError(t, err)
		body := ask("sim-slow", extra)
		req, err := http.NewRequest(http.MethodPost, s.base+"/v1/chat/completions", nil)
		require.NoError(t, err)
		req.ContentLength, req.Body = int64(len(body)), io.NopCloser(strings.NewReader(body))
		require.NoError(t, req.Write(conn))
		require.Eventually(t, func() bool { return s.server.Stats().Started == int64(i+1) }, patience, time.Millisecond)
		require.NoError(t, conn.Close())
		r := s.waitRecord(i + 1)
		require.Equal(t, "aborted", r.Ended)
		require.Zero(t, r.ChunksSent)
	}
}

func TestFinishedAnswersAreCounted(t *testing.T) {
	s := start(t)
	s.events("/v1/chat/completions", ask("sim", `"stream":true,`))
	s.whole("/v1/completions", `{"model":"sim","prompt":"x","max_tokens":3}`)
	s.waitRecord(2)
	var stats Stats
	require.Equal(t, 200, s.get("/stats", &stats))
	require.Equal(t, s.server.Stats(), stats)
	require.EqualValues(t, 2, stats.Started)
	require.EqualValues(t, 2, stats.Finished)
	require.Equal(t, Record{ID: stats.Last[0].ID, Model: "sim", ChunksSent: 3, Of: 3, Ended: "finished", Millis: stats.Last[0].Millis}, stats.Last[0])
}

func TestStatsKeepTheLatestRecords(t *testing.T) {
	var j journal
	for i := range 3 * keptRecords {
		j.end(Record{Of: i, Ended: endedFinished})
	}
	last := j.stats().Last
	require.Len(t, last, keptRecords)
	require.Equal(t, 3*keptRecords-1, last[0].Of)
}

func TestTokensArriveOneByOne(t *testing.T) {
	s := start(t, 2*time.Millisecond)
	begun := time.Now()
	events := s.events("/v1/chat/completions", ask("sim", `"stream":true,"max_tokens":11,`))
	require.Len(t, events, 1+11+2)
	require.GreaterOrEqual(t, time.Since(begun), 20*time.Millisecond)
}

func TestCloseEndsAnswersUnderWay(t *testing.T) {
	s := start(t, time.Hour)
	res := s.post("/v1/chat/completions", ask("sim", `"stream":true,`))
	br := bufio.NewReader(res.Body)
	nextEvent(t, br)
	nextEvent(t, br)
	require.NoError(t, s.server.Close())
	_, err := io.ReadAll(br)
	require.Error(t, err)
	require.EqualValues(t, 1, s.server.Stats().Aborted)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.server.Serve(ln), "a closed server serves no more")
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err)
}

// waitRecord waits for the n-th ended answer and returns the newest record.
func (s *sim) waitRecord(n int) Record {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		st := s.server.Stats()
		return st.Finished+st.Aborted >= int64(n)
	}, patience, time.Millisecond)
	return s.server.Stats().Last[0]
}
