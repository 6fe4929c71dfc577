package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

func TestMatchName(t *testing.T) {
	f := func(pattern, name, wild string, matches bool) {
		t.Helper()
		got, ok := config.MatchName(pattern, name)
		require.Equal(t, matches, ok, "%s %s", pattern, name)
		require.Equal(t, wild, got, "%s %s", pattern, name)
	}
	f("gpt-4o", "gpt-4o", "", true)
	f("gpt-4o", "gpt-4o-mini", "", false)
	f("", "", "", true)
	f("*", "any/thing", "any/thing", true)
	f("*", "", "", true)
	f("gpt-*", "gpt-4o", "4o", true)
	f("gpt-*", "gpt-", "", true)
	f("gpt-*", "gpt", "", false)
	f("gpt-*", "a-gpt-4o", "", false)
	f("*-mini", "gpt-4o-mini", "gpt-4o", true)
	f("*-mini", "gpt-4o-mini-2", "", false)
	f("openai/*", "openai/ft:gpt/4", "ft:gpt/4", true)
	f("a*a", "a", "", false) // the two ends do not overlap
	f("a*a", "aa", "", true)
	f("a*a", "aaa", "a", true)
	f("a*c*e", "abcde", "d", true) // as the models of a key may have them
	f("a*c*e", "ace", "", true)
	f("a*c*e", "aec", "", false)
	f("a**b", "a-b", "-", true)
	f("GPT-*", "gpt-4o", "", false)
}

func TestSubstituteName(t *testing.T) {
	require.Equal(t, "openai/gpt-4o", config.SubstituteName("openai/gpt-*", "4o"))
	require.Equal(t, "gpt-", config.SubstituteName("gpt-*", ""))
	require.Equal(t, "fast", config.SubstituteName("fast", "4o"))
	require.Equal(t, "a*b", config.SubstituteName("*", "a*b"))
}

// Substituting what a name matched gives the name again.
func FuzzMatchName(f *testing.F) {
	for _, seed := range [][2]string{{"*", "x"}, {"gpt-*", "gpt-4o"}, {"*-a", "b"}, {"a*a", "a"}, {"ab*ba", "aba"}, {"a*b*c", "abbc"}, {"m", "m"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		wild, ok := config.MatchName(pattern, name)
		if !ok && wild != "" {
			t.Fatalf("%q is what no match of %q stands for", wild, pattern)
		}
		if ok && strings.Count(pattern, "*") < 2 && config.SubstituteName(pattern, wild) != name {
			t.Fatalf("%q in %q does not make %q", wild, pattern, name)
		}
		begin, end, star := strings.Cut(pattern, "*")
		if star && !strings.Contains(end, "*") {
			simple := len(name) >= len(begin)+len(end) && strings.HasPrefix(name, begin) && strings.HasSuffix(name, end)
			if simple != ok {
				t.Fatalf("%q and %q: %v", pattern, name, ok)
			}
		}
	})
}

func TestModelsWithAStar(t *testing.T) {
	c, err := config.Load("testdata/wildcards.good.yaml", testEnvironment)
	require.NoError(t, err)
	upstream := map[string][]string{}
	for _, m := range c.Models {
		for _, target := range m.Targets {
			upstream[m.Name] = append(upstream[m.Name], target.Model)
		}
	}
	require.Equal(t, map[string][]string{
		"gpt-*": {"gpt-*", "vendor/gpt-*"}, "claude-*": {"claude-4"}, "chat": {"chat"}, "large": {"large"}, "*": {"*"},
	}, upstream)
	again, err := config.Parse(c.Redacted(), "again", testEnvironment)
	require.NoError(t, err)
	require.Equal(t, c.Models, again.Models)
}

// What a key may ask for must be able to be the name of some model.
func TestModelsOfAKeyAgainstModelsWithAStar(t *testing.T) {
	f := func(name, pattern string, good bool) {
		t.Helper()
		src := "providers: [{name: sim, dialect: sim}]\n" +
			"models: [{name: plain, aliases: ['" + name + "'], targets: [{provider: sim, model: x}]}]\n" +
			"keys: [{alias: a, sha256: " + strings.Repeat("a1", 32) + ", models: ['" + pattern + "']}]\n"
		_, err := config.Parse([]byte(src), "", noEnvironment)
		if good {
			require.NoError(t, err, "%s %s", name, pattern)
			return
		}
		require.ErrorContains(t, err, "is the name of no model, and of no provider and a slash", "%s %s", name, pattern)
	}
	f("gpt-*", "gpt-4o", true)
	f("gpt-*", "gpt-*", true)
	f("gpt-*", "gpt-4*", true)
	f("gpt-*", "*-mini", true)
	f("gpt-*", "g*", true)
	f("gpt-*", "*", true)
	f("gpt-*", "claude-*", false)
	f("gpt-*", "claude", false)
	f("*-mini", "gpt-*-mini", true)
	f("*-mini", "gpt-*-large", false)
	f("quick", "qui*", true)
	f("quick", "quick", true)
	f("quick", "quicker", false)
	f("quick", "sim/x", true)
}
