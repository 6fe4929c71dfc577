package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestMaskedSecret(t *testing.T) {
	require.Equal(t, "", config.Secret("").Masked())
	require.Equal(t, "***", config.Secret("short").Masked())
	require.Equal(t, "***", config.Secret("12345678901").Masked())
	require.Equal(t, "***9012", config.Secret("123456789012").Masked())
}

func TestSecretsAppearNowhere(t *testing.T) {
	const key, header = "sk-CANARY-key-0001", "CANARY-header-0002"
	c, err := config.Parse(fmt.Appendf(nil, `providers: [{name: o, dialect: openai, base_url: "https://h", api_key: %s, headers: {X-Team: %s}}]`, key, header), "", noEnvironment)
	require.NoError(t, err)
	require.Equal(t, key, string(c.Providers[0].APIKey))

	var out bytes.Buffer
	out.Write(c.Redacted())
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	out.Write(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+"\n", *c)
		fmt.Fprintf(&out, verb+"\n", c.Providers[0])
		fmt.Fprintf(&out, verb+"\n", c.Providers[0].APIKey)
	}
	fmt.Fprintf(&out, "%x %X\n", c.Providers[0].APIKey, c.Providers[0].APIKey)
	for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&out, nil)), slog.New(slog.NewTextHandler(&out, nil))} {
		logger.Info("config", "config", c, "provider", c.Providers[0], "api", c.Providers[0].APIKey)
	}
	require.NotContains(t, out.String(), "CANARY")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", "CANARY"))
	require.Contains(t, string(c.Redacted()), "***0001")
	require.Contains(t, string(c.Redacted()), "***0002")
}

// What Redacted writes is a configuration again, apart from the secrets.
func TestRedactedConfigurationCanBeReadAgain(t *testing.T) {
	c, err := config.Load("testdata/full.good.yaml", testEnvironment)
	require.NoError(t, err)
	c.Providers[0].APIKey = "***" // masking a masked key again takes its last four characters, too
	again, err := config.Parse(c.Redacted(), "", noEnvironment)
	require.NoError(t, err, string(c.Redacted()))
	require.Equal(t, string(c.Redacted()), string(again.Redacted()))
	require.Equal(t, c.Digest(), again.Digest())
	require.Equal(t, c.Timeouts, again.Timeouts)
	require.Equal(t, c.Models, again.Models)
}

func TestDigest(t *testing.T) {
	digest := func(src string) string {
		t.Helper()
		c, err := config.Parse([]byte(src), "", noEnvironment)
		require.NoError(t, err)
		return c.Digest()
	}
	plain := digest(simulatorOnly)
	require.Len(t, plain, 16)
	require.Equal(t, plain, digest("# comment\n"+simulatorOnly+"listen: ':8080'\ntimeouts: {idle: 300000ms}"))
	require.NotEqual(t, plain, digest(simulatorOnly+"listen: ':8081'"))

	withKey := func(key string) string {
		return digest("providers: [{name: o, dialect: openai, base_url: 'https://h', api_key: " + key + "}]")
	}
	require.Equal(t, withKey("abcd"), withKey("efgh"), "a short secret cannot be guessed from the digest")
	require.NotEqual(t, withKey(strings.Repeat("a", 20)), withKey(strings.Repeat("b", 20)), "another key shows")
}
