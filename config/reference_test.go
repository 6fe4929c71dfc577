package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func lookup(vars map[string]string) Getenv {
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func TestReferencesAreReplaced(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(secretFile, []byte("from file: #1\r\n\n"), 0o600))
	r := references{lookup(map[string]string{"A": "one", "B_2": "${A}", "EMPTY": "", "_u": "under"})}
	f := func(text, want string, wantReferenced bool) {
		t.Helper()
		got, referenced, err := r.replace(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, wantReferenced, referenced)
	}
	f("", "", false)
	f("plain $ text $A $$ {A}", "plain $ text $A $$ {A}", false)
	f("${A}", "one", true)
	f("x${A}y${A}z", "xoneyonez", true)
	f("${_u}", "under", true)

	// What a variable holds is not looked at again.
	f("${B_2}", "${A}", true)

	f("${NONE:-two}", "two", true)
	f("${NONE:-}", "", true)
	f("${NONE:-a:-b}", "a:-b", true)
	f("${EMPTY:-two}", "two", true)
	f("${EMPTY}", "", true)
	f("${A:-two}", "one", true)

	f("$${A}", "${A}", false)
	f("$${A} ${A}", "${A} one", true)
	f("$$${A}", "$${A}", false)
	f("$${", "${", false)

	f("${file:"+secretFile+"}", "from file: #1", true)
	f("Bearer ${file:"+secretFile+"}", "Bearer from file: #1", true)
}

func TestReferencesThatCannotBeReplaced(t *testing.T) {
	directory := t.TempDir()
	large := filepath.Join(directory, "large")
	require.NoError(t, os.WriteFile(large, make([]byte, maxReferencedFile+1), 0o600))
	r := references{lookup(map[string]string{"A": "one"})}
	f := func(text, want string) {
		t.Helper()
		_, _, err := r.replace(text)
		require.EqualError(t, err, want)
	}
	f("${NONE}", "the environment variable NONE is not set; ${NONE:-default} would give a default")
	f("${A", errReferenceOpen.Error())
	f("${", errReferenceOpen.Error())
	f("${}", errReferenceForm.Error())
	f("${1A}", errReferenceForm.Error())
	f("${A-b}", errReferenceForm.Error())
	f("${A:?b}", errReferenceForm.Error())
	f("${ A }", errReferenceForm.Error())
	f("${:-x}", errReferenceForm.Error())
	f("${file:"+directory+"/absent}", "the file "+directory+"/absent cannot be read: no such file or directory")
	f("${file:"+directory+"}", "the file "+directory+" cannot be read: is a directory")
	f("${file:"+large+"}", "the file "+large+" is larger than 64KiB")
	f("${file:}", "the file  cannot be read: no such file or directory")
}

// A secret is put in after the YAML was parsed, so nothing in it is syntax.
func TestSecretCannotBendTheDocument(t *testing.T) {
	for _, secret := range []string{`a: b`, `x # y`, `"quoted"`, `{a: b}`, `*alias`, `- item`, `'`, `$${x}`, `null`, `true`} {
		c, err := Parse([]byte("providers: [{name: o, dialect: openai, base_url: 'https://h', api_key: ${KEY}}]"), "", lookup(map[string]string{"KEY": secret}))
		if err != nil {
			// In flow style the braces of an unquoted reference end the mapping.
			c, err = Parse([]byte("providers:\n  - name: o\n    dialect: openai\n    base_url: https://h\n    api_key: ${KEY}\n"), "", lookup(map[string]string{"KEY": secret}))
		}
		require.NoError(t, err, secret)
		require.Equal(t, secret, string(c.Providers[0].APIKey))
	}
}

func TestReferenceInEveryKindOfValue(t *testing.T) {
	c, err := Parse([]byte(`
listen: "127.0.0.1:${PORT}"
records: ${COUNT}
timeouts: {idle: "${IDLE:-7s}"}
limits: {max_body: "${BODY}MiB"}
half_close: ${HALF}
providers:
  - {name: "${N}", dialect: "${D}", include_usage: "${OFF}"}
`), "", lookup(map[string]string{"PORT": "81", "COUNT": "5", "BODY": "3", "HALF": "finish", "N": "sim", "D": "sim", "OFF": "false"}))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:81", c.Listen)
	require.Equal(t, 5, c.Records)
	require.Equal(t, "7s", c.Timeouts.Idle.String())
	require.Equal(t, 3*MiB, c.Limits.MaxBody)
	require.Equal(t, HalfCloseFinish, c.HalfClose)
	require.Equal(t, "sim", c.Providers[0].Name)
	require.False(t, c.Providers[0].AsksUsage())
}

// However a value is wrong, what came from a variable or belongs to a secret does
// not appear in a problem.
func TestProblemsHoldNoSecret(t *testing.T) {
	const canary = "CANARY-7f3a9c"
	getenv := lookup(map[string]string{"C": canary, "NL": canary + "\n"})
	f := func(src string) {
		t.Helper()
		_, err := Parse([]byte(src), "config.yaml", getenv)
		require.Error(t, err)
		require.NotContains(t, err.Error(), canary)
	}
	const o = "providers:\n  - name: o\n    dialect: openai\n    base_url: https://h\n"
	for _, key := range []string{
		"listen", "half_close", "response_model", "keep_alive", "records", "tls", "admin", "providers", "models", "keys", "timeouts", "limits", "log",
	} {
		f(o + key + ": ${C}\n")
	}
	f(o + "admin: {listen: '${C}'}")
	f(o + "timeouts: {idle: '${C}'}")
	f(o + "limits: {max_body: '${C}'}")
	f(o + "log: {level: '${C}'}")
	f(o + "tls: {cert_file: '${C}', key_file: '${C}'}")
	f(o + "keys: [{alias: ' ${C}', sha256: '${C}'}]")
	f(o + "keys: [{alias: a, sha256: " + canary + "}]")
	f(o + "models: [{name: ' ${C}', targets: [{provider: '${C}', weight: '${C}'}]}]")
	f(o + "    api_key: ${NL}\n")
	f(o + "    api_key: [" + canary + "]\n")
	f(o + "    api_key: {k: " + canary + "}\n")
	f(o + "    api_key: \"" + canary + "\\x01\"\n")
	f(o + "    api_key: '${" + canary + "}'\n")
	f(o + "    api_key: '" + canary + "${'\n")
	f(o + "    api_key: '" + canary + "\n")
	f(o + "    api_key: *" + canary + "\n")
	f(o + "    api_key: \"" + canary + "\\q\"\n")
	f(o + "    api_key: %" + canary + "\n")
	f(o + "    api_key: !!" + canary + ":\n  x\n")
	f(o + "    headers: {X-A: ' " + canary + "'}\n")
	f(o + "    headers: {X-A: '${NL}'}\n")
	f(o + "    headers: " + canary + "\n")
	f(o + "    include_usage: ${C}\n")
	f(o + "    ca_file: ${C}\n")
	f("providers: [{name: o, dialect: openai, base_url: 'https://u:" + canary + "@h'}]")
	f("providers: [{name: o, dialect: openai, base_url: 'https://h/?key=" + canary + "'}]")
	f("providers: [{name: o, dialect: openai, base_url: 'https://h/%zz" + canary + "'}]")
	f("providers: [{name: o, dialect: openai, base_url: '" + canary + "'}]")
	f("providers: [{name: o, dialect: '${C}', base_url: 'https://h'}]")
	f("providers: [{name: ' ${C}', dialect: openai, base_url: 'https://h'}]")
}

func TestNearestKey(t *testing.T) {
	known := []string{"base_url", "api_key", "ca_file", "include_usage", "idle", "tls"}
	f := func(word, want string) {
		t.Helper()
		require.Equal(t, want, nearest(word, known))
	}
	f("baseUrl", "base_url")
	f("BASE-URL", "base_url")
	f("base_ulr", "base_url")
	f("apikey", "api_key")
	f("cafile", "ca_file")
	f("includeusage", "include_usage")
	f("include_usages", "include_usage")
	f("idel", "idle")
	f("tsl", "tls")
	f("tlsx", "tls")

	f("", "")
	f("x", "")
	f("colour", "")
	f(strings.Repeat("z", 1<<20), "")
}
