//go:build linux

package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/bench/internal/child"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []any{modeCrash, engineSQLite, 300, 1}, []any{s.mode, s.engine, s.kills, s.processes()})
	s, err = parse([]string{"-mode", "aborts", "-kills", "7"}, io.Discard)
	require.NoError(t, err)
	require.Zero(t, s.kills)
	s, err = parse([]string{"-mode", "replicas", "-seed", "4"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []any{enginePostgres, 1000, 3, uint64(4)}, []any{s.engine, s.kills, s.processes(), s.seed})
	for _, args := range []string{
		"-mode calm", "-engine paper", "-mode replicas -engine sqlite", "-streams 0", "-streams 501", "-kills -1", "-aborts 0.9 -cancels 0.2", "more",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.Error(t, err, args)
	}
	_, err = parse([]string{"-help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestTheBooksAreRight(t *testing.T) {
	f := &figures{Mode: modeCrash}
	rows := map[string]row{
		"a": {count: 1, outcome: "completed", attempts: 1},
		"b": {count: 1, outcome: "crash", attempts: 2},
		"c": {count: 1, outcome: "crash"}, // killed before it reached the upstream
	}
	f.compare(map[string]int{"a": 1, "b": 2}, rows, &tally{whole: []string{"a"}})
	f.compareUsage(map[string]int{"completed": 1, "crash": 2}, rows)
	f.judge()
	require.Empty(t, f.Wrong)
	require.Equal(t, []int{2, 3, 3, 1, 2}, []int{f.Exchanges, f.Calls, f.Rows, f.Unseen, f.CrashRows})
	require.Contains(t, f.String(), "the books are right")
}

func TestTheBooksAreWrong(t *testing.T) {
	f := &figures{Mode: modeCrash, Orphans: 1, HeldSlots: -1, OpenIntents: 3}
	rows := map[string]row{
		"twice":    {count: 3, outcome: "completed", attempts: 3},
		"seen end": {count: 1, outcome: "crash", attempts: 1},
		"no call":  {count: 1, outcome: "completed"},
	}
	f.compare(map[string]int{"twice": 1, "seen end": 1, "no call": 1, "lost": 1}, rows, &tally{whole: []string{"twice", "seen end"}})
	f.compareUsage(map[string]int{"completed": 3, "internal": 1}, rows)
	f.judge()
	require.Equal(t, []int{2, 1, 1, 1, 3}, []int{f.Duplicates, f.Missing, f.EndedOtherwise, f.NoAttempt, f.UsageDiffers})
	require.Len(t, f.Wrong, 8)
	require.Contains(t, f.String(), "WRONG")
}

func TestTheUpstreamRemembersWhomItSaw(t *testing.T) {
	u, err := startUpstream(true)
	require.NoError(t, err)
	t.Cleanup(u.stop)
	l := newLoad(&settings{streams: 1}, nil)
	t.Cleanup(l.client.CloseIdleConnections)
	r := &child.Sluice{API: strings.TrimSuffix(u.url, "/v1")}
	for _, id := range []string{"a", "b", "c", "d"} {
		require.Equal(t, endWhole, l.ask(t.Context(), r, id, true))
		require.Equal(t, endWhole, l.ask(t.Context(), r, id, false))
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2, "d": 2}, u.ids())

	ctx, leave := context.WithCancel(t.Context())
	response, err := l.hold(ctx, r, heldID+"1")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	leave()
	require.NoError(t, response.Body.Close())
}
