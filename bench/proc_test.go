//go:build linux

package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	f := func(line string, want processStat) {
		t.Helper()
		got, err := parseStat([]byte(line))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	f("4321 (nginx) S 1234 4321 4321 0 -1 4194560 217 0 3 0 250 75 0 0 20 0 1 0 987654 57225216 2101\n",
		processStat{parent: 1234, cpu: 3250 * time.Millisecond})
	f("7 (a (b) c) d) R 1 7 7 0 -1 0 0 0 0 0 1 0 0 0 20 0 1 0 1 1 1",
		processStat{parent: 1, cpu: 10 * time.Millisecond})
}

func TestParseStatRefusesWhatIsNotOne(t *testing.T) {
	for _, line := range []string{"", "1 (x) S", "1 (x) S a 1 1 0 -1 0 0 0 0 0 1 2 0", "1 (x) S 1 1 1 0 -1 0 0 0 0 0 one 2 0", "no parenthesis"} {
		_, err := parseStat([]byte(line))
		require.ErrorIs(t, err, errStatForm, line)
	}
}

func TestParseStatm(t *testing.T) {
	pages, err := parseStatm([]byte("13971 2101 1500 300 0 900 0\n"))
	require.NoError(t, err)
	require.Equal(t, int64(2101), pages)
	for _, line := range []string{"", "1", "1 x"} {
		_, err := parseStatm([]byte(line))
		require.ErrorIs(t, err, errStatForm, line)
	}
}

func TestFamilyHoldsDescendants(t *testing.T) {
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	all, err := family(os.Getpid())
	require.NoError(t, err)
	require.Contains(t, all, os.Getpid())
	require.Contains(t, all, child.Process.Pid)
	resident, err := all.rss()
	require.NoError(t, err)
	require.Positive(t, resident)
	_, err = all.cpu()
	require.NoError(t, err)

	require.NoError(t, stdin.Close())
	require.NoError(t, child.Wait())
	_, err = all.cpu()
	require.Error(t, err, "a proxy that has ended must not count as one at rest")

	none, err := family(0)
	require.NoError(t, err)
	require.Empty(t, none)
}
