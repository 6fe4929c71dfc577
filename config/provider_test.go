package config_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestEndpoint(t *testing.T) {
	f := func(baseURL, want string) {
		t.Helper()
		c, err := config.Parse(fmt.Appendf(nil, "providers: [{name: o, dialect: openai, base_url: %q}]", baseURL), "", noEnvironment)
		require.NoError(t, err)
		require.Equal(t, want, c.Providers[0].Endpoint())
	}
	f("https://api.openai.com", "https://api.openai.com/v1")
	f("https://api.openai.com/", "https://api.openai.com/v1")
	f("https://api.openai.com/v1", "https://api.openai.com/v1")
	f("https://api.openai.com/v1/", "https://api.openai.com/v1")
	f("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1")
	f("http://[::1]:8000", "http://[::1]:8000/v1")
	f("https://host/api/v1", "https://host/api/v1")
	f("https://host/v1beta/openai/", "https://host/v1beta/openai")
	f("https://host/openai%2Fv1", "https://host/openai%2Fv1")

	require.Empty(t, config.Provider{Dialect: config.DialectSim}.Endpoint())
	require.Empty(t, config.Provider{Dialect: config.DialectOpenAI}.Endpoint())
}

func TestOwnAddressIsNoProvider(t *testing.T) {
	f := func(listen, baseURL string, loop bool) {
		t.Helper()
		_, err := config.Parse(fmt.Appendf(nil, "listen: %q\nproviders: [{name: o, dialect: openai, base_url: %q}]", listen, baseURL), "", noEnvironment)
		if loop {
			require.ErrorContains(t, err, "sluice itself listens on")
		} else {
			require.NoError(t, err)
		}
	}
	f(":8080", "http://localhost:8080/v1", true)
	f(":8080", "http://127.0.0.1:8080", true)
	f(":8080", "http://[::1]:8080", true)
	f(":8080", "http://0.0.0.0:8080", true)
	f("127.0.0.1:8080", "http://localhost:8080", true)
	f("10.0.0.1:8080", "http://10.0.0.1:8080", true)
	f(":80", "http://localhost/v1", true)
	f(":443", "https://localhost/v1", true)

	f(":8080", "http://localhost:8000", false)
	f(":8080", "http://vendor.example:8080", false)
	f("10.0.0.1:8080", "http://localhost:8080", false)
	f("unix:/run/sluice.sock", "http://localhost:8080", false)
}

func TestListenersThatDoNotClash(t *testing.T) {
	f := func(listen, admin string) {
		t.Helper()
		_, err := config.Parse(fmt.Appendf(nil, "%slisten: %q\nadmin: {listen: %q}", simulatorOnly, listen, admin), "", noEnvironment)
		require.NoError(t, err)
	}
	f(":8080", ":9090")
	f("127.0.0.1:0", "127.0.0.1:0")
	f("10.0.0.1:8080", "10.0.0.2:8080")
	f("10.0.0.1:8080", "127.0.0.1:8080")
	f("unix:/a", "unix:/b")
	f("unix:/a", ":8080")
	f(":8080", "off")
	f(":8080", "")
	f("[::1]:8080", "localhost:9090")
}

func TestEnvironmentOrigins(t *testing.T) {
	c, err := config.FromEnvironment(noEnvironment)
	require.NoError(t, err)
	require.Equal(t, config.OriginSimulator, c.Origin)
	require.Equal(t, []string{"sim"}, providerNames(c))
	require.True(t, c.Providers[0].AsksUsage())

	c, err = config.FromEnvironment(environment(map[string]string{"OPENAI_API_KEY": "sk-1"}))
	require.NoError(t, err)
	require.Equal(t, config.OriginEnvironment, c.Origin)
	require.Equal(t, []string{"openai"}, providerNames(c))
	require.Equal(t, "https://api.openai.com/v1", c.Providers[0].Endpoint())
	require.Equal(t, config.Secret("sk-1"), c.Providers[0].APIKey)

	c, err = config.FromEnvironment(environment(map[string]string{"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://vllm:8000"}))
	require.NoError(t, err)
	require.Equal(t, "http://vllm:8000/v1", c.Providers[0].Endpoint())

	c, err = config.FromEnvironment(environment(map[string]string{"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "http://vllm:8000"}))
	require.NoError(t, err)
	require.Equal(t, config.OriginSimulator, c.Origin)
}

func TestEnvironmentThatCannotBeUsed(t *testing.T) {
	f := func(key, base, want string) {
		t.Helper()
		_, err := config.FromEnvironment(environment(map[string]string{"OPENAI_API_KEY": key, "OPENAI_BASE_URL": base}))
		require.EqualError(t, err, want)
	}
	f("sk-1", "localhost:8000", "environment: OPENAI_BASE_URL: must begin with https:// or http://")
	f("sk-1", "http://localhost:8080/v1", "environment: OPENAI_BASE_URL: is the address sluice itself listens on, so every request would come back in")
	f("sk\n", "", "environment: OPENAI_API_KEY: holds a line break or another control character, which no header can carry")

	_, err := config.Parse([]byte("listen: ':1'"), "c.yaml", environment(map[string]string{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "x"}))
	require.EqualError(t, err, "c.yaml: OPENAI_BASE_URL: must begin with https:// or http://")
}
