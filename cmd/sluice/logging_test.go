package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestLogFormats(t *testing.T) {
	f := func(format, want string) {
		t.Helper()
		var out bytes.Buffer
		logger, _ := newLogger(&out, config.Log{Level: "info", Format: format})
		logger.Info("hello", "n", 1)
		require.Contains(t, out.String(), want)
	}
	f("json", `"msg":"hello","n":1}`)
	f("auto", `"msg":"hello","n":1}`) // a buffer is no terminal
	f("text", `msg=hello n=1`)
}

func TestLogLevels(t *testing.T) {
	f := func(level string, want int) {
		t.Helper()
		var out bytes.Buffer
		logger, changeable := newLogger(&out, config.Log{Level: "error", Format: "text"})
		changeable.Set(levelOf(config.Log{Level: level}))
		logger.Debug("")
		logger.Info("")
		logger.Warn("")
		logger.Error("")
		require.Equal(t, want, bytes.Count(out.Bytes(), []byte("\n")))
	}
	f("debug", 4)
	f("info", 3)
	f("warn", 2)
	f("error", 1)
}

func TestCredentialsAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	logger, _ := newLogger(&out, config.Log{Level: "info", Format: "json"})
	logger.With("Authorization", "CANARY").WithGroup("g").Info("m",
		"api_key", "CANARY", "x-api-key", "CANARY", "apiKey", "CANARY", "upstream_api_key", "CANARY", "proxy-authorization", "CANARY",
		"password", "CANARY", "client_secret", "CANARY", "set-cookie", "CANARY", "access_token", "CANARY", "secret", config.Secret("CANARY"))
	require.NotContains(t, out.String(), "CANARY")

	out.Reset()
	logger.Info("m", "tokens", 7, "first_token", "3ms", "key", "alice", "token", 1)
	require.Contains(t, out.String(), `"tokens":7,"first_token":"3ms","key":"alice","token":1`)
}
