//go:build linux

package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettingsDefaults(t *testing.T) {
	s, err := parseSettings(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, settings{
		scenarios: scenarioNames, proxies: subjectNames(), duration: 10 * time.Second, runs: 2, streams: []int{1000}, departures: 100,
	}, s)
}

func TestSettingsFromFlags(t *testing.T) {
	s, err := parseSettings(strings.Fields("--scenarios cancel,memory,cancel --proxies go --streams 1000,10000 --runs 1 --duration 3s"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{scenarioCancel, scenarioMemory}, s.scenarios)
	require.Equal(t, []string{subjectGo}, s.proxies)
	require.Equal(t, []trial{
		{scenario: scenarioMemory, streams: 1000}, {scenario: scenarioMemory, streams: 10_000}, {scenario: scenarioCancel},
	}, trialsOf(s))
}

func TestSettingsRefuse(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		_, err := parseSettings(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}

	f("--scenarios fast", "--scenarios")
	f("--proxies haproxy", "haproxy")
	f("--streams 0", "--streams")
	f("--streams many", "many")
	f("--duration 10ms", "--duration")
	f("--runs 0", "--runs")
	f("paced", "paced")
	f("--no-such-flag", "no-such-flag")

	_, err := parseSettings([]string{"--help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestNginxConfigHasRoomForEveryStream(t *testing.T) {
	p := place{listen: "127.0.0.1:1", upstream: "127.0.0.1:2", dir: "/somewhere", streams: 10_000}
	text, err := nginxConfig(p, false)
	require.NoError(t, err)
	for _, line := range []string{"worker_connections 20512;", "listen 127.0.0.1:1;", "server 127.0.0.1:2;", "proxy_buffering off;", "proxy_http_version 1.1;"} {
		require.Contains(t, text, line)
	}
	require.NotContains(t, text, "user root")
	text, err = nginxConfig(p, true)
	require.NoError(t, err)
	require.Contains(t, text, "user root;")
}
