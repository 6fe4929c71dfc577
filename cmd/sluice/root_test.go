package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const simulatorConfig = "listen: '127.0.0.1:0'\nadmin: {listen: '127.0.0.1:0'}\nproviders: [{name: sim, dialect: sim}]\n"

func TestMistakesOnTheCommandLineExitWithOne(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		got := execute(t, args...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, "sluice: "+want)
		require.Empty(t, got.stdout)
	}
	f(`unknown command "chek" for "sluice"`, "chek")
	f("unknown flag: --port", "--port", "1")
	f("unknown flag: --port", "check", "--port")
	f("accepts at most 1 arg", "check", "a", "b")
	f(`unknown command "now" for "sluice version"`, "version", "now")
	f("--token-interval must not be negative", "sim", "--token-interval", "-1s")
}

func TestMistypedCommandIsSuggested(t *testing.T) {
	require.Contains(t, execute(t, "chek").stderr, "Did you mean this?\n\tcheck\n")
}

func TestHelpNamesEveryCommand(t *testing.T) {
	got := execute(t, "--help")
	require.Equal(t, exitOK, got.code)
	for _, name := range []string{"check", "completion", "healthcheck", "keys", "sim", "version", "--config", "SLUICE_CONFIG"} {
		require.Contains(t, got.stdout, name)
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := execute(t, "completion", shell)
		require.Equal(t, exitOK, got.code)
		require.Contains(t, got.stdout, "sluice")
	}
}

func TestFailureKeepsItsCause(t *testing.T) {
	cause := errors.New("cause")
	require.ErrorIs(t, failure{cause}, cause)
	require.EqualError(t, failure{cause}, "cause")
}

// The nearest source wins: argument, flag, variable, ./config.yaml, environment.
func TestConfigurationIsLookedForInOrder(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	named := func(name string) string {
		return write(t, filepath.Join(folder, name+".yaml"), "providers: [{name: from-"+name+", dialect: sim}]\n")
	}
	argument, flag, variable := named("argument"), named("flag"), named("variable")
	f := func(want string, env map[string]string, args ...string) {
		t.Helper()
		got := command{args: append([]string{"check"}, args...), env: env}.run(t.Context())
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Contains(t, got.stdout, want)
	}
	f("no file: ok", nil)
	f("built-in simulator", nil)
	f("https://api.openai.com/v1  key ***", map[string]string{"OPENAI_API_KEY": "sk-1"})

	named("config")
	f("config.yaml: ok", nil)
	f("from-config", map[string]string{"OPENAI_API_KEY": "sk-1"})
	f("from-variable", map[string]string{"SLUICE_CONFIG": variable})
	f("from-flag", map[string]string{"SLUICE_CONFIG": variable}, "--config", flag)
	f("from-argument", map[string]string{"SLUICE_CONFIG": variable}, "--config", flag, argument)
}

func TestLocalConfigThatCannotBeReadIsNotPassedOver(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir(localConfig, 0o700))
	got := command{args: []string{"check"}}.run(t.Context())
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "config.yaml: cannot be read: is a directory")
}

func TestServingWithABadConfigurationExitsWithOne(t *testing.T) {
	for _, args := range [][]string{nil, {"-t"}, {"check"}, {"healthcheck"}} {
		got := execute(t, append(args, "--config", write(t, "bad.yaml", "listen: 80"))...)
		require.Equal(t, exitUsage, got.code)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, `bad.yaml:1:9: listen: "80" is not an address`)
		require.Contains(t, got.stderr, "sluice: 2 problems in the configuration\n")
	}
}
