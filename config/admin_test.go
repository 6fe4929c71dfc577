package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestAdminListenerNeedsAKeyWhereOthersReachIt(t *testing.T) {
	f := func(listen, auth string, want bool) {
		t.Helper()
		require.Equal(t, want, config.Admin{Listen: listen, Auth: auth}.NeedsKey(), "%s %s", listen, auth)
	}
	for _, own := range []string{"127.0.0.1:9090", "127.8.0.1:1", "localhost:9090", "LOCALHOST.:9090", "[::1]:9090", "[::ffff:127.0.0.1]:9090", "unix:/run/a.sock"} {
		f(own, config.AdminAuthAuto, false)
		f(own, "", false) // one that was not loaded
		f(own, config.AdminAuthAlways, true)
		f(own, config.AdminAuthNever, false)
	}
	for _, open := range []string{":9090", "0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "192.168.1.5:9090", "admin.example:9090", "127.0.0.1.nip.io:9090", "nonsense"} {
		f(open, config.AdminAuthAuto, true)
		f(open, "", true)
		f(open, config.AdminAuthAlways, true)
		f(open, config.AdminAuthNever, false)
	}
	for _, off := range []string{"off", ""} {
		f(off, config.AdminAuthAuto, false)
		f(off, config.AdminAuthAlways, false)
	}
}

func TestOriginsOfWebPages(t *testing.T) {
	f := func(origin, problem string) {
		t.Helper()
		_, err := config.Parse([]byte(simulatorOnly+"admin: {cors: ['"+origin+"']}"), "", noEnvironment)
		if problem == "" {
			require.NoError(t, err, origin)
			return
		}
		require.ErrorContains(t, err, problem, origin)
	}
	for _, good := range []string{
		"*", "https://dash.example.com", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "https://a_b.example:8443",
		"chrome-extension://abcdefghijklmnop", "tauri://localhost", "http://a.example:443", "https://xn--mnchen-3ya.example",
	} {
		f(good, "")
	}
	for _, bad := range []string{
		"dash.example.com", "//dash.example", "https://", "https://a.example/", "https://a.example/path", "https://a.example?x", "https://a.example#x",
		"https://user@a.example", "https://*.example.com", "https://a.example:", "https://a.example:port", "https://münchen.example",
		"null", "", "https://a.example, https://b.example", "https://a.example ", "https://a b",
	} {
		f(bad, "is not an origin")
	}
	f("https://Dash.example.com", "as browsers do")
	f("https://dash.example.com:443", "as browsers do")
	f("http://dash.example.com:80", "as browsers do")
}

const adminKey = "keys: [{alias: root, admin: true, sha256: a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1}]\n"

func TestAdminListenerWithoutAnyKeyForIt(t *testing.T) {
	parse := func(src string) (*config.Config, error) {
		return config.Parse([]byte(simulatorOnly+src), "", noEnvironment)
	}
	refused := func(src string) {
		t.Helper()
		_, err := parse(src)
		require.ErrorContains(t, err, "key with admin: true, and there is none", src)
	}
	warns := func(src, warning string) {
		t.Helper()
		c, err := parse(src)
		require.NoError(t, err, src)
		if warning == "" {
			require.Empty(t, c.Warnings(), src)
			return
		}
		require.Len(t, c.Warnings(), 1, src)
		require.Contains(t, c.Warnings()[0], warning, src)
	}
	refused("ledger: memory\nadmin: {listen: '0.0.0.0:9090'}\n")
	refused("ledger: memory\nadmin: {listen: 'unix:/run/a.sock', auth: always}\n")
	refused("ledger: memory\nadmin: {listen: ':9090'}\n" + strings.Replace(adminKey, "admin: true", "admin: false", 1))

	warns("", "")
	warns("ledger: memory\nadmin: {listen: ':9090'}\n"+adminKey, "")
	warns("ledger: memory\nadmin: {listen: off, auth: always}\n", "")
	warns("ledger: sqlite:///tmp/ledger.db\nadmin: {listen: ':9090'}\n"+adminKey, "")
	// A key that is stored in the database may be one of an administrator.
	warns("ledger: sqlite:///tmp/ledger.db\nadmin: {listen: ':9090'}\n", "admin: its users need an admin key")
	warns("ledger: sqlite:///tmp/ledger.db\nadmin: {auth: always}\n", "admin: its users need an admin key")
	warns("ledger: memory\nadmin: {listen: ':9090', auth: never}\n", "admin.auth: anyone who reaches")
	warns("admin: {auth: never}\n", "")
	warns("admin: {cors: ['*']}\n", "admin.cors: any web page")
	warns("admin: {cors: ['*'], auth: always}\n"+adminKey, "")
}

func TestHedgingThatDoesNothingIsWarnedOf(t *testing.T) {
	f := func(model, warning string) {
		t.Helper()
		c, err := config.Parse([]byte("providers: [{name: sim, dialect: sim}, {name: two, dialect: sim}]\nmodels: [{name: m, "+model+"}]"), "", noEnvironment)
		require.NoError(t, err, model)
		if warning == "" {
			require.Empty(t, c.Warnings(), model)
			return
		}
		require.Equal(t, []string{"models[0].hedge_after: does nothing, because " + warning}, c.Warnings())
	}
	f("targets: [{provider: sim}, {provider: two}], hedge_after: 1s", "")
	f("targets: [{provider: sim}], hedge_after: 1s", "the model has one target")
	f("targets: [{provider: sim}, {provider: two}], hedge_after: 2s, first_token: 1s", "the first target has 1s for its first token")
	f("targets: [{provider: sim}, {provider: two}], hedge_after: 10m", "the first target has 10m for its first token")
}
