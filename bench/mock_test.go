//go:build linux

package main

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 20 * time.Second

// openMock serves a mock until the test ends.
func openMock(t *testing.T) (api string, log *follower) {
	t.Helper()
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	notes, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	j := newJournal()
	var serving sync.WaitGroup
	serving.Go(func() { _ = j.serve(notes) })
	serving.Go(func() { _ = serveMock(streams, j) })
	log, err = follow(t.Context(), notes.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() {
		log.close()
		_ = streams.Close()
		_ = notes.Close()
		serving.Wait()
	})
	return streams.Addr().String(), log
}

func TestMockSendsWhatTheCheckerWants(t *testing.T) {
	address, _ := openMock(t)
	c := newConnection(address, 1<<10)
	defer c.close()
	for _, r := range []recipe{{Chunks: 300}, {Chunks: 5, Every: time.Millisecond, Head: time.Millisecond, QuietAfter: 2, Quiet: time.Millisecond}} {
		request, err := r.wire(address)
		require.NoError(t, err)
		deltas := 0
		require.NoError(t, c.stream(t.Context(), request, r.Chunks, patience, func(sent, read int64) {
			require.LessOrEqual(t, sent, read)
			deltas++
		}))
		require.Equal(t, r.Chunks, deltas)
		require.NotNil(t, c.tcp, "the connection is kept")
	}
}

func TestMockFinishesWhenTold(t *testing.T) {
	address, log := openMock(t)
	c := newConnection(address, 1<<10)
	defer c.close()
	request, err := recipe{Every: time.Millisecond}.wire(address)
	require.NoError(t, err)
	deltas := 0
	require.NoError(t, c.stream(t.Context(), request, 0, patience, func(_, _ int64) {
		if deltas++; deltas == 3 {
			require.NoError(t, log.finish())
		}
	}))
	require.GreaterOrEqual(t, deltas, 3)
}

func TestJournalTellsOfADeparture(t *testing.T) {
	address, log := openMock(t)
	c := newConnection(address, 1<<10)
	require.NoError(t, c.open(t.Context()))
	request, err := recipe{Chunks: 1, First: time.Hour, ID: "early.fin.0"}.wire(address)
	require.NoError(t, err)
	_, err = c.tcp.Write(request)
	require.NoError(t, err)
	p := log.of("early.fin.0")
	wait(t, p.asked)
	wait(t, p.headed)
	_, ok := p.end()
	require.False(t, ok)
	left := time.Now().UnixNano()
	c.close()
	wait(t, p.closed)
	gone, ok := p.end()
	require.True(t, ok)
	require.GreaterOrEqual(t, gone, left)
}

func wait(t *testing.T, sign <-chan struct{}) {
	t.Helper()
	select {
	case <-sign:
	case <-time.After(patience):
		require.Fail(t, "the journal says nothing")
	}
}

func TestAPassageEndsWithItsLastAttempt(t *testing.T) {
	p := (&follower{passages: map[string]*passage{}}).of("repeated")
	_, ok := p.end()
	require.False(t, ok, "nothing was asked yet")
	p.take(noteAsked, 1)
	p.take(noteAsked, 2)
	p.take(noteGone, 3)
	_, ok = p.end()
	require.False(t, ok, "a second attempt is open")
	p.take(noteGone, 5)
	at, ok := p.end()
	require.True(t, ok)
	require.Equal(t, int64(5), at)
}

func TestMockRefusesForeignRequests(t *testing.T) {
	address, _ := openMock(t)
	for _, body := range []string{"", "{}", `{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}`} {
		response, err := http.Post("http://"+address+"/v1/chat/completions", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestConnectionNamesTheFailure(t *testing.T) {
	address, _ := openMock(t)
	f := func(request, address string, limit time.Duration, want error) {
		t.Helper()
		c := newConnection(address, 1<<10)
		err := c.stream(t.Context(), []byte(request), 1, limit, func(_, _ int64) {})
		require.ErrorIs(t, err, want)
		require.Nil(t, c.tcp, "a connection with a broken stream is not kept")
	}

	slow, err := recipe{Chunks: 1, Head: time.Hour}.wire(address)
	require.NoError(t, err)
	f(string(slow), address, 50*time.Millisecond, errTimeout)
	f("GET / HTTP/1.1\r\nHost: x\r\n\r\n", address, patience, errStatus)
	f("nonsense\r\n\r\n", address, patience, errCut)
	closed, err := freeAddress()
	require.NoError(t, err)
	f("", closed, patience, errConnect)
}
