package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckShowsWhatTheConfigurationMeans(t *testing.T) {
	got := command{args: []string{"check", "-"}, env: map[string]string{"KEY": "sk-test-0123456789", "STATE_DIRECTORY": "/state"}, stdin: `
admin: {listen: off}
providers:
  - {name: openai, dialect: openai, base_url: https://api.openai.com, api_key: "${KEY}"}
  - {name: local, dialect: openai, base_url: http://localhost:8000/api/}
  - {name: sim, dialect: sim}
models:
  - {name: fast, targets: [{provider: openai, model: gpt-4o-mini, weight: 3}, {provider: local}]}
keys:
  - {alias: alice, sha256: 2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90, admin: true}
  - {alias: bob, sha256: 81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9}
`}.run(t.Context())
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Empty(t, got.stderr)
	require.Regexp(t, `^standard input: ok
digest    [0-9a-f]{16}
listen    :8080
admin     off
provider  openai +https://api\.openai\.com/v1  key \*\*\*6789
provider  local  +http://localhost:8000/api  no key: those of clients are sluice's own and stay here
provider  sim    +built-in simulator         no key needed
model     fast   +openai/gpt-4o-mini         weight 3
model     fast   +local/fast                 weight 1
key       alice  +admin
key       bob    *
ledger    sqlite:///state/ledger\.db  records are kept for 90d
$`, got.stdout)
}

func TestCheckSaysWhereRecordsAreKept(t *testing.T) {
	f := func(src string, want ...string) {
		t.Helper()
		got := command{args: []string{"check", "-"}, stdin: "providers: [{name: sim, dialect: sim}]\n" + src}.run(t.Context())
		require.Equal(t, exitOK, got.code, got.stderr)
		require.NotContains(t, got.stdout, "CANARY")
		for _, row := range want {
			require.Regexp(t, `(?m)^`+row+`$`, got.stdout)
		}
	}
	f("ledger: postgres://user:CANARY@db.example/sluice?sslmode=require\nkeep: 0\nredis: redis://:CANARY@cache.example:6379/1",
		`ledger +postgres://db\.example/sluice +records are kept for ever`,
		`redis +redis://cache\.example:6379/1 +limits and requests are shared with other replicas`)
	f("ledger: memory\nrecords: 50", `ledger +memory +the last 50 records`)
	f("ledger: sqlite:///data/a.db\nkeep: 36h", `ledger +sqlite:///data/a\.db +records are kept for 1d12h`)
}

func TestCheckReportsEveryProblem(t *testing.T) {
	for _, name := range []string{"check", "validate"} {
		got := command{args: []string{name, "-"}, stdin: "listen: 80\nlog: {level: loud}\nproviders: [{name: sim, dialect: sim}]\nnonsense: 1\n"}.run(t.Context())
		require.Equal(t, exitUsage, got.code)
		require.Empty(t, got.stdout)
		require.Equal(t, `standard input:1:9: listen: "80" is not an address; write host:port, :port or unix:/path/to.sock
standard input:2:14: log.level: "loud" is not one of debug, info, warn, error
standard input:4:1: nonsense: unknown key; known at the top level: listen, tls, half_close, response_model, keep_alive, admin, providers, models, keys, timeouts, limits, retry, breaker, queue, log, ledger, on_ledger_failure, spool, spool_dir, keep, records, capture, prices, redis, extensions, thought_memory, model_data
sluice: 3 problems in the configuration
`, got.stderr)
	}
}

func TestCheckPrintsTheWholeConfigurationMasked(t *testing.T) {
	got := command{
		args: []string{"check", "--print", "-"}, env: map[string]string{"KEY": "sk-CANARY-0123456789"},
		stdin: "providers: [{name: o, dialect: openai, base_url: 'https://h', api_key: '${KEY}'}]",
	}.run(t.Context())
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.stdout, "api_key: '***6789'")
	require.Contains(t, got.stdout, "client_stall: 30s")
	require.NotContains(t, got.stdout, "CANARY")
}

func TestTestFlagChecks(t *testing.T) {
	got := execute(t, "-t", "--config", write(t, "config.yaml", simulatorConfig))
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.stdout, "config.yaml: ok")
}

func TestCheckSaysWhereEveryDialectIsAndWhatItIsCalledWith(t *testing.T) {
	got := command{args: []string{"check", "-"}, env: map[string]string{"AWS_REGION": "eu-west-1", "GOOGLE_CLOUD_PROJECT": "p"}, stdin: `
providers:
  - {name: claude, dialect: anthropic}
  - {name: azure, dialect: azure, base_url: https://name.openai.azure.com, api_key: k}
  - {name: vertex, dialect: gemini, platform: vertex, region: global}
  - {name: token, dialect: gemini, platform: vertex, region: global, headers: {Authorization: Bearer CANARY}}
  - {name: bedrock, dialect: bedrock}
`}.run(t.Context())
	require.Equal(t, exitOK, got.code, got.stderr)
	require.NotContains(t, got.stdout, "CANARY")
	for _, row := range []string{
		`claude +https://api\.anthropic\.com/v1 +the client's own key`,
		`azure +https://name\.openai\.azure\.com/openai/v1 +key \*\*\*`,
		`vertex +https://aiplatform\.googleapis\.com/v1 +the Google credentials of this machine`,
		`token +https://aiplatform\.googleapis\.com/v1 +the credential in its headers`,
		`bedrock +https://bedrock-runtime\.eu-west-1\.amazonaws\.com +the AWS credentials of this machine`,
	} {
		require.Regexp(t, `(?m)^provider +`+row+`$`, got.stdout)
	}
}

func TestCheckWithoutAFileTakesEveryVendorOfTheEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	got := command{args: []string{"check"}, env: map[string]string{"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g", "CO_API_KEY": "c"}}.run(t.Context())
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Regexp(t, `provider  openai +https://api\.openai\.com/v1 .*
provider  anthropic +https://api\.anthropic\.com/v1 .*
provider  gemini +https://generativelanguage\.googleapis\.com/v1beta .*
provider  cohere +https://api\.cohere\.com/v2 .*
models +any name +goes to openai, or`, got.stdout)
}

func TestCheckWarnsOfWhatIsSeldomMeant(t *testing.T) {
	got := command{args: []string{"check", "-"}, env: stateIn(t), stdin: "admin: {listen: ':9090', auth: never}\nproviders: [{name: sim, dialect: sim}]\n"}.run(t.Context())
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.stderr, "sluice: warning: admin.auth: anyone who reaches the admin listener may use it")
	require.Regexp(t, `(?m)^admin +:9090 +asks for no key$`, got.stdout)
	got = command{args: []string{"check", "-"}, env: stateIn(t), stdin: "admin: {listen: ':9090'}\nproviders: [{name: sim, dialect: sim}]\n"}.run(t.Context())
	require.Equal(t, exitOK, got.code)
	require.Regexp(t, `(?m)^admin +:9090 +asks for the key of an administrator$`, got.stdout)
}
