package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func bannerOf(t *testing.T, src, api, admin string) string {
	t.Helper()
	c, err := config.Parse([]byte(src), "", command{env: map[string]string{"KEY": "sk-CANARY-0123456789"}}.getenv)
	require.NoError(t, err)
	var out bytes.Buffer
	banner(&out, c, api, admin)
	require.NotContains(t, out.String(), "CANARY")
	return out.String()
}

func TestBannerOnTheSimulator(t *testing.T) {
	c, err := config.FromEnvironment(command{env: map[string]string{"STATE_DIRECTORY": "/state"}}.getenv)
	require.NoError(t, err)
	var out bytes.Buffer
	banner(&out, c, "[::]:8080", "127.0.0.1:9090")
	require.Equal(t, "sluice "+buildInfo().Version+`

  api        http://localhost:8080/v1
  admin      http://127.0.0.1:9090
  provider   sim: built-in simulator, no key needed
  models     any name, to sim; provider/model picks another provider
  ledger     sqlite:///state/ledger.db: records are kept for 90d
  config     none, so the built-in simulator answers; set a vendor's key such as OPENAI_API_KEY, or write config.yaml, digest `+c.Digest()+`
  open       no keys configured: anyone who can reach the API may use it

# a streamed answer
curl -sN http://localhost:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"sim","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

# hang up after two seconds: the upstream is closed at once
curl -sN --max-time 2 -H 'X-Request-Id: demo-hang-up' http://localhost:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"sim-long","stream":true,"messages":[{"role":"user","content":"Tell me a long story"}]}'

# the record of that: outcome, tokens until then, microseconds to close
curl -s http://localhost:8080/v1/requests/demo-hang-up

# cancel by id: the stream ends well-formed
curl -sN -H 'X-Request-Id: demo-cancel' http://localhost:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"sim-long","stream":true,"messages":[{"role":"user","content":"Tell me a long story"}]}' &
sleep 2; curl -s -X POST http://localhost:8080/v1/requests/demo-cancel/cancel; wait

# the metrics
curl -s http://127.0.0.1:9090/metrics | grep ^sluice_

`, out.String())
}

func TestBannerNamesProvidersAndWhoseKeyTheySee(t *testing.T) {
	got := bannerOf(t, `
providers:
  - {name: openai, dialect: openai, base_url: https://api.openai.com, api_key: "${KEY}"}
  - {name: local, dialect: openai, base_url: http://localhost:8000}
`, "127.0.0.1:1", "127.0.0.1:2")
	require.Contains(t, got, "provider   openai: https://api.openai.com/v1, key ***6789\n")
	require.Contains(t, got, "provider   local: http://localhost:8000/v1, the client's own key\n")
	require.Contains(t, got, `-H "Authorization: Bearer $OPENAI_API_KEY"`)
	require.Contains(t, got, `"model":"gpt-4o-mini"`)
	require.Contains(t, got, "config     from file, digest ")
}

func TestBannerShowsNoPasswordOfADatabase(t *testing.T) {
	got := bannerOf(t, `
providers: [{name: sim, dialect: sim}]
ledger: postgres://user:CANARY@db.example/sluice
redis: redis://:CANARY@cache.example
`, ":1", "")
	require.Contains(t, got, "ledger     postgres://db.example/sluice: records are kept for 90d\n")
	require.Contains(t, got, "redis      redis://cache.example\n")
}

func TestBannerExamplesFitTheDialect(t *testing.T) {
	f := func(members string, want ...string) {
		t.Helper()
		got := bannerOf(t, "providers: [{name: p, "+members+"}]", "127.0.0.1:1", "")
		for _, text := range want {
			require.Contains(t, got, text)
		}
		require.NotContains(t, got, `"model":""`)
	}
	f("dialect: anthropic", `"model":"claude-haiku-4-5"`, `Bearer $ANTHROPIC_API_KEY"`)
	f("dialect: anthropic, platform: bedrock, region: eu-west-1", `"model":"global.anthropic.`, "the AWS credentials of this machine")
	f("dialect: gemini, platform: vertex, region: global, project: p", `"model":"gemini-`, "the Google credentials of this machine")
	f("dialect: cohere", `"model":"command-`, `Bearer $COHERE_API_KEY"`)
	f("dialect: bedrock, region: us-east-1", `"model":"amazon.`)
	f("dialect: azure, base_url: 'https://h'", `"model":"gpt-`, `Bearer $AZURE_OPENAI_API_KEY"`)
	require.NotContains(t, bannerOf(t, "providers: [{name: p, dialect: ollama}]", ":1", ""), "Bearer")
}

func TestBannerWithKeysAsksForOne(t *testing.T) {
	got := bannerOf(t, `
providers: [{name: sim, dialect: sim}]
models: [{name: fast, targets: [{provider: sim, model: sim}]}]
keys: [{alias: a, sha256: 2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90}]
`, "127.0.0.1:1", "")
	require.NotContains(t, got, "no keys configured")
	require.NotContains(t, got, "/metrics")
	require.NotContains(t, got, "admin")
	require.Contains(t, got, "models     fast\n")
	require.Contains(t, got, `"model":"fast"`)
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "curl ") {
			require.Contains(t, line, `-H "Authorization: Bearer $SLUICE_KEY"`)
		}
	}
}

func TestBannerShortensManyModels(t *testing.T) {
	var src strings.Builder
	src.WriteString("providers: [{name: sim, dialect: sim}]\nmodels:\n")
	for _, name := range strings.Split("abcdefghij", "") {
		src.WriteString("  - {name: " + name + ", targets: [{provider: sim}]}\n")
	}
	require.Contains(t, bannerOf(t, src.String(), ":1", ":2"), "models     a, b, c, d, e, f, g, h and 2 more\n")
}

func TestBannerOnUnixSockets(t *testing.T) {
	got := bannerOf(t, "providers: [{name: sim, dialect: sim}]", "unix:/run/a b.sock", "unix:/run/admin.sock")
	require.Contains(t, got, "api        unix:/run/a b.sock (http://localhost/v1)\n")
	require.Contains(t, got, "curl -sN --unix-socket '/run/a b.sock' http://localhost/v1/chat/completions")
	require.Contains(t, got, "curl -s --unix-socket /run/admin.sock http://localhost/metrics")
}

func TestShellQuote(t *testing.T) {
	require.Equal(t, "/run/a-b_c.sock", shellQuote("/run/a-b_c.sock"))
	require.Equal(t, `'/run/it'\''s.sock'`, shellQuote("/run/it's.sock"))
}

func TestBannerShowsTheKeyThatTheAdminListenerAsksFor(t *testing.T) {
	got := bannerOf(t, "admin: {auth: always}\nproviders: [{name: sim, dialect: sim}]", "127.0.0.1:8080", "127.0.0.1:9090")
	require.Contains(t, got, `curl -s http://127.0.0.1:9090/metrics -H "Authorization: Bearer $SLUICE_ADMIN_KEY" | grep ^sluice_`)
}
