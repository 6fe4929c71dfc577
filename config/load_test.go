package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

const simulatorOnly = "providers: [{name: sim, dialect: sim}]\n"

func problemsOf(t *testing.T, err error) []config.Problem {
	t.Helper()
	var problems *config.Problems
	require.ErrorAs(t, err, &problems)
	return problems.List
}

func TestDefaults(t *testing.T) {
	c, err := config.Parse([]byte(simulatorOnly), "", noEnvironment)
	require.NoError(t, err)
	want := config.Default()
	want.Providers, want.StateFolder = c.Providers, c.StateFolder
	require.Equal(t, want, c)
	require.Equal(t, ":8080", c.Listen)
	require.Equal(t, config.Admin{Listen: "127.0.0.1:9090", Auth: config.AdminAuthAuto}, c.Admin)
	require.True(t, c.Admin.Enabled())
	require.Equal(t, config.Timeouts{
		Connect: seconds(5), FirstToken: seconds(600), Idle: seconds(300), ClientStall: seconds(30), Drain: seconds(25),
		RequestHeaders: seconds(10), RequestBody: seconds(30), KeepAlive: seconds(60),
	}, c.Timeouts)
	require.Equal(t, config.Limits{MaxBody: 32 << 20, MaxHeader: 32 << 10, MaxAnswer: 64 << 20}, c.Limits)
	require.Equal(t, config.Retry{
		Attempts: 3, Within: seconds(30), Backoff: config.Duration(250 * time.Millisecond), MaxRetryAfter: seconds(10), Budget: 20,
	}, c.Retry)
	require.Equal(t, config.Breaker{Failures: 5, Open: seconds(15)}, c.Breaker)
	require.Equal(t, config.Queue{Max: 100, Wait: seconds(30)}, c.Queue)
	require.Equal(t, config.Log{Level: "info", Format: "auto"}, c.Log)
	require.Equal(t, 10000, c.Records)
	require.Equal(t, "90d", c.Keep.String())
	require.Equal(t, 64*config.MiB, c.Spool)
	require.Equal(t, config.OnLedgerFailureAuto, c.OnLedgerFailure)
	require.Equal(t, config.Capture{Keep: seconds(7 * 24 * 3600), MaxBytes: 64 * config.KiB}, c.Capture)
	require.Empty(t, c.Ledger)
	require.Empty(t, c.Redis)
	require.Empty(t, c.Prices)
	require.True(t, c.Providers[0].Limits.Zero())
	require.Equal(t, seconds(15), c.KeepAlive)
	require.True(t, c.Extensions)
	require.Equal(t, 16*config.MiB, c.ThoughtMemory)
	require.Equal(t, seconds(4), c.Providers[0].IdleConn)
	require.Nil(t, c.TLS)
}

func seconds(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }

// A mapping that sets one member keeps the defaults of the others.
func TestPartOfASectionKeepsTheOtherDefaults(t *testing.T) {
	c, err := config.Parse([]byte(simulatorOnly+"timeouts: {idle: 1s}\nlimits: {max_body: 1MiB}\nlog: {level: warn}"), "", noEnvironment)
	require.NoError(t, err)
	require.Equal(t, seconds(1), c.Timeouts.Idle)
	require.Equal(t, seconds(5), c.Timeouts.Connect)
	require.Equal(t, 32*config.KiB, c.Limits.MaxHeader)
	require.Equal(t, "auto", c.Log.Format)
}

func TestEveryProblemIsReportedInTheOrderOfTheFile(t *testing.T) {
	_, err := config.Parse([]byte(`
lisen: ":80"
timeouts: {idle: 5, conect: 1s}
models:
  - name: m
    targets: [{provider: nobody}]
providers:
  - {name: a/b, dialect: opnai}
  - {name: o, dialect: openai, base_url: "ftp://h"}
`), "config.yaml", noEnvironment)
	require.EqualError(t, err, strings.Join([]string{
		`config.yaml:2:1: lisen: unknown key; did you mean listen?`,
		`config.yaml:3:18: timeouts.idle: "5" needs a unit, as in 30s, 500ms, 1m30s or 90d`,
		`config.yaml:3:21: timeouts.conect: unknown key; did you mean connect?`,
		`config.yaml:6:26: models[0].targets[0].provider: no provider is named "nobody"`,
		`config.yaml:8:12: providers[0].name: "a/b" must not contain a slash: provider/model names are cut there`,
		`config.yaml:8:26: providers[0].dialect: "opnai" is not one of openai, azure, anthropic, gemini, cohere, ollama, bedrock, sim; did you mean openai?`,
		`config.yaml:9:42: providers[1].base_url: must begin with https:// or http://`,
	}, "\n"))
}

func TestFileThatCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := config.Load(missing, noEnvironment)
	require.EqualError(t, err, missing+": cannot be read: no such file or directory")
	require.Zero(t, problemsOf(t, err)[0].Line)

	_, err = config.Load(t.TempDir(), noEnvironment)
	require.ErrorContains(t, err, "cannot be read: is a directory")
}

func TestFileThatIsTooLarge(t *testing.T) {
	big := strings.NewReader(strings.Repeat("# comment\n", 500_000))
	_, err := config.Read(big, "big.yaml", noEnvironment)
	require.EqualError(t, err, "big.yaml: is larger than 4MiB")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestInputThatBreaksOff(t *testing.T) {
	_, err := config.Read(brokenReader{}, "standard input", noEnvironment)
	require.EqualError(t, err, "standard input: cannot be read: broken pipe")
}

func TestStandardInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stdin")
	require.NoError(t, os.WriteFile(file, []byte("nonsense: 1\n"+simulatorOnly), 0o600))
	stdin, err := os.Open(file)
	require.NoError(t, err)
	defer func(before *os.File) { os.Stdin = before; _ = stdin.Close() }(os.Stdin)
	os.Stdin = stdin
	_, err = config.Load("-", noEnvironment)
	require.ErrorContains(t, err, "standard input:1:1: nonsense: unknown key")
}

func TestFileWithoutProvidersTakesThemFromTheEnvironment(t *testing.T) {
	c, err := config.Parse([]byte("timeouts: {idle: 1s}"), "", environment(map[string]string{"OPENAI_API_KEY": "sk-1"}))
	require.NoError(t, err)
	require.Equal(t, []string{"openai"}, providerNames(c))
	require.Equal(t, config.OriginEnvironment, c.Origin)
	require.Equal(t, seconds(1), c.Timeouts.Idle)
}

// A production file must not end up on the simulator because a variable is missing.
func TestEmptyFileIsNotEnough(t *testing.T) {
	for _, src := range []string{"", "# nothing\n", "---\n", "null", "providers:\n"} {
		_, err := config.Parse([]byte(src), "", noEnvironment)
		require.ErrorContains(t, err, "providers: at least one is needed", "%q", src)
	}
}

func TestAliasesCannotMultiplyWithoutBound(t *testing.T) {
	var b strings.Builder
	b.WriteString("providers: [{name: sim, dialect: sim}]\nmodels:\n  - &m\n    name: m\n    targets:\n      - &t {provider: sim}\n")
	b.WriteString(strings.Repeat("      - *t\n", 2000))
	b.WriteString(strings.Repeat("  - *m\n", 2000))
	_, err := config.Parse([]byte(b.String()), "", noEnvironment)
	require.ErrorContains(t, err, "the aliases of this file expand to more than")
}

func TestAliasOfItself(t *testing.T) {
	for _, src := range []string{
		"log: &l {<<: *l}\n",
		"log: &l {level: *l}\n",
		"models: &m [{name: a, targets: *m}]\n",
		"models: &m [*m]\n",
		"<<: &a [*a, *a]\n",
	} {
		_, err := config.Parse([]byte(simulatorOnly+src), "", noEnvironment)
		require.Error(t, err, src)
	}
}

func TestKeyThatIsNotText(t *testing.T) {
	_, err := config.Parse([]byte(simulatorOnly+"? [a, b]\n: c\n"), "", noEnvironment)
	require.EqualError(t, err, "2:3: a key must be plain text")
}
