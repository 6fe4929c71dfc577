package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

// setting is a key of the configuration as its tags declare it.
type setting struct {
	path string
	// live is the tag of the key or of the closest mapping around it.
	live string
	leaf bool
	// listed means that the key is in an entry of a list.
	listed bool
}

// settings lists every key of a struct, the mappings before what is in them.
func settings(of reflect.Type, around setting) (list []setting) {
	for i := range of.NumField() {
		member := of.Field(i)
		name, _, _ := strings.Cut(member.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		s := setting{strings.TrimPrefix(around.path+"."+name, "."), around.live, true, around.listed}
		if own := member.Tag.Get("live"); own != "" {
			s.live = own
		}
		within, inner := s, member.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				within.path += "[]"
				within.listed = true
			}
			inner = inner.Elem()
		}
		s.leaf = inner.Kind() != reflect.Struct
		list = append(list, s)
		if !s.leaf {
			list = append(list, settings(inner, within)...)
		}
	}
	return list
}

func allSettings() []setting { return settings(reflect.TypeFor[config.Config](), setting{}) }

// reloadable says of every key what the page says: yes, no, or nothing for a mapping that
// holds some of both.
func reloadable() map[string]string {
	words := map[string]string{"true": "yes", "false": "no", "": ""}
	all := map[string]string{}
	for _, s := range allSettings() {
		all[s.path] = words[s.live]
	}
	return all
}

func TestEverySettingSaysWhetherAReloadCanChangeIt(t *testing.T) {
	fixed := []string{}
	for _, s := range allSettings() {
		if !s.leaf {
			continue
		}
		require.Contains(t, []string{"true", "false"}, s.live, s.path)
		if s.live == "false" {
			fixed = append(fixed, s.path)
			require.False(t, s.listed, "%s would not be compared", s.path)
		}
	}
	require.ElementsMatch(t, []string{
		"listen", "tls.cert_file", "tls.key_file", "half_close", "admin.listen", "admin.auth", "admin.cors",
		"ledger", "spool", "spool_dir", "keep", "records", "capture.keep", "redis", "thought_memory", "log.format",
	}, fixed)
}

func TestFixedChanges(t *testing.T) {
	f := func(change func(*config.Config), want ...string) {
		t.Helper()
		old, next := config.Default(), config.Default()
		change(next)
		require.Equal(t, want, config.FixedChanges(old, next))
		require.Equal(t, want, config.FixedChanges(next, old), "the other way round")
	}
	f(func(*config.Config) {})
	f(func(c *config.Config) { c.Listen = ":1" }, "listen")
	f(func(c *config.Config) { c.TLS = &config.TLS{CertFile: "a", KeyFile: "b"} }, "tls")
	f(func(c *config.Config) { c.Admin = config.Admin{Listen: "off", Auth: "never"} }, "admin.auth", "admin.listen")
	f(func(c *config.Config) { c.Admin.CORS = []string{"*"} }, "admin.cors")
	f(func(c *config.Config) { c.Admin.CORS = []string{} })
	f(func(c *config.Config) { c.Redis, c.Ledger = "redis://h", "memory:" }, "ledger", "redis")
	f(func(c *config.Config) { c.Spool, c.SpoolDir, c.Keep, c.Records = 1, "/s", 1, 1 }, "keep", "records", "spool", "spool_dir")
	f(func(c *config.Config) { c.Capture = config.Capture{Keep: 1, MaxBytes: 1} }, "capture.keep")
	f(func(c *config.Config) { c.Log = config.Log{Level: "debug", Format: "json"} }, "log.format")
	f(func(c *config.Config) { c.ThoughtMemory, c.HalfClose = 0, "finish" }, "half_close", "thought_memory")
	f(func(c *config.Config) {
		c.Providers = []config.Provider{{Name: "sim", Dialect: config.DialectSim}}
		c.Models, c.Keys = []config.Model{{Name: "m"}}, []config.Key{{Alias: "a"}}
		c.Timeouts, c.Limits, c.Retry = config.Timeouts{}, config.Limits{}, config.Retry{}
		c.Breaker, c.Queue, c.Prices = config.Breaker{}, config.Queue{}, config.Prices{File: "p.json"}
		c.ModelData, c.Extensions, c.KeepAlive = "m.json", false, 0
		c.ResponseModel, c.OnLedgerFailure, c.Log.Level = "upstream", "allow", "debug"
		c.Origin, c.StateFolder = config.OriginEnvironment, "/elsewhere"
	})
}

func TestFilesOfTheCertificateAreFixed(t *testing.T) {
	old, next := config.Default(), config.Default()
	old.TLS = &config.TLS{CertFile: "cert.pem", KeyFile: "key.pem"}
	next.TLS = &config.TLS{CertFile: "cert.pem", KeyFile: "key.pem"}
	require.Empty(t, config.FixedChanges(old, next))
	next.TLS.KeyFile = "other.pem"
	require.Equal(t, []string{"tls.key_file"}, config.FixedChanges(old, next))
}

func TestFixedChangesHideSecrets(t *testing.T) {
	old, next := config.Default(), config.Default()
	old.Ledger, next.Ledger = "postgres://u:canary-1@h/d", "postgres://u:canary-2@h/d"
	require.Equal(t, []string{"ledger"}, config.FixedChanges(old, next))
}
