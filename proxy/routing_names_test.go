package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// manyNames are models with aliases and wildcards at the providers a and b.
func manyNames(c *config.Config) {
	target := func(provider, model string) []config.Target {
		return []config.Target{{Provider: provider, Model: model, Weight: 1, Priority: 1}}
	}
	c.Models = []config.Model{
		{Name: "best", Aliases: []string{"top", "best-*"}, Targets: target("a", "gpt-4.1")},
		{Name: "gpt-*", Aliases: []string{"chatgpt-*"}, Targets: target("b", "")},
		{Name: "gpt-5*", Targets: target("a", "vendor/five*")},
		{Name: "*-mini", Targets: target("b", "small/*")},
		{Name: "raw/*", Targets: target("a", "*")},
	}
}

// A request goes to the model with its name, else to the most exact pattern, and the
// target gets its own name for the model.
func TestNamesAliasesAndPatternsFindTheirTarget(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, manyNames, func(c *config.Config) { c.ResponseModel = config.ResponseModelPublic })
	for _, c := range []struct{ asked, provider, model string }{
		{"best", "a", "gpt-4.1"},
		{"top", "a", "gpt-4.1"},
		{"best-today", "a", "gpt-4.1"},
		{"best-", "a", "gpt-4.1"},
		{"gpt-4.1", "b", "gpt-4.1"},
		{"chatgpt-4o", "b", "chatgpt-4o"},
		{"gpt-", "b", "gpt-"},
		{"gpt-5", "a", "vendor/five"},
		{"gpt-5-turbo/x", "a", "vendor/five-turbo/x"},
		{"gpt-5-mini", "a", "vendor/five-mini"}, // as long as *-mini, and before it
		{"llama-mini", "b", "small/llama"},
		{"raw/a/b", "a", "a/b"},
		{"b/anything", "b", "anything"}, // nothing else fits
		{"a/x-mini", "b", "small/a/x"},
	} {
		for kind, body := range bothKinds {
			id := fmt.Sprintf("%s-%d", kind, len(r.allEnded()))
			p, rec := r.askAs(id, asking(c.asked, body))
			require.Equal(t, c.provider, r.saidBy(p), c.asked)
			all := r.ups[c.provider].Exchanges()
			require.Equal(t, c.model, all[len(all)-1].Asked().Model, c.asked)
			require.Equal(t, c.asked, rec.ModelAsked)
			require.Equal(t, c.model, rec.ModelServed)
			require.Equal(t, c.provider+"/"+c.model, rec.Target)
			require.Contains(t, string(p.body), fmt.Sprintf(`"model":%q`, c.asked))
		}
	}
	for _, name := range []string{"Best", "bes", "gp", "x-mini-x", "nobody/gpt-4.1", "raw"} {
		r.ask(asking(name, streamBody)).requireError(t, 404, "model_not_found")
	}
}

// Some dialects have the name of the model in the path of a request. What would be a step
// of that path is no name, also when it is put together.
func TestNoPatternMakesAStepOfAPath(t *testing.T) {
	t.Parallel()
	for _, v := range []string{config.DialectOpenAI, config.DialectGemini} {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			r := newRouted(t, 1, func(c *config.Config) {
				c.Providers[0].Dialect, c.Providers[0].APIKey = v, "secret"
				c.Models = []config.Model{
					{Name: "raw/*", Targets: []config.Target{{Provider: "a", Model: "*"}}},
					{Name: "dots*", Targets: []config.Target{{Provider: "a", Model: ".*"}}},
					{Name: "*", Targets: []config.Target{{Provider: "a"}}},
				}
			})
			for _, name := range []string{"raw/..", "raw/.", "dots.", "dots", "..", "."} {
				r.ask(asking(name, streamBody)).requireError(t, 404, "model_not_found")
			}
			require.Zero(t, r.up.Conns())
		})
	}
}

// A key that may ask for a model may do so by all its names, and one that may use a name
// by that name.
func TestModelsOfAKeyAndTheirOtherNames(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, manyNames, func(c *config.Config) {
		for alias, models := range map[string][]string{
			"model": {"best"}, "alias": {"top"}, "some": {"best-t*", "gpt-4*"}, "pattern": {"gpt-*"},
		} {
			c.Keys = append(c.Keys, config.Key{Alias: alias, SHA256: hashOf(alias), Models: models})
		}
	})
	for _, c := range []struct {
		key     string
		may     []string
		mayNot  []string
		comment string
	}{
		{"model", []string{"best", "top", "best-today"}, []string{"gpt-4.1", "a/gpt-4.1"}, ""},
		{"alias", []string{"top"}, []string{"best", "best-today"}, ""},
		{"some", []string{"best-today", "gpt-4.1"}, []string{"best", "best-now", "gpt-3", "chatgpt-4"}, ""},
		{"pattern", []string{"gpt-4.1", "gpt-5", "chatgpt-4"}, []string{"best", "llama-mini"}, ""},
	} {
		as := "Authorization: Bearer " + c.key
		for _, name := range c.may {
			require.Equal(t, 200, r.ask(asking(name, wholeBody), as).status, "%s: %s", c.key, name)
		}
		for _, name := range c.mayNot {
			r.ask(asking(name, wholeBody), as).requireError(t, 404, "model_not_found")
		}
	}
}

// The list has the names that a client can ask for, and no patterns; what a pattern stands
// for is there when it is asked for by its name.
func TestTheListOfModelsHasNamesAndNoPatterns(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, manyNames, func(c *config.Config) {
		c.Models = append(c.Models, config.Model{Name: "a/fake-*", Targets: []config.Target{{Provider: "b", Model: "z"}}})
	})
	r.ups["a"].Handle(fakeprovider.DefaultScript) // which lists fake-model
	r.ups["b"].Handle(fakeprovider.DefaultScript)
	require.Equal(t, []string{"best", "top", "b/fake-model"}, r.listed(), "a/fake-model would go elsewhere")
	for _, name := range []string{"best", "top", "best-today", "gpt-4.1", "raw/x", "a/fake-x", "b/fake-model"} {
		var m struct{ ID, Object string }
		require.Equal(t, 200, r.dial().get("/v1/models/"+name, &m), name)
		require.Equal(t, name, m.ID)
	}
	c := r.dial()
	c.send("GET", "/v1/models/nothing", "")
	read(c.response()).requireError(t, 404, "model_not_found")
}

// The only provider answers for itself when nothing is configured; a pattern is something.
func TestAPatternKeepsTheListOfTheOnlyProviderFromBeingPassedOn(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 1, func(c *config.Config) {
		c.Models = []config.Model{{Name: "gpt-*", Targets: []config.Target{{Provider: "a"}}}}
	})
	r.up.Handle(fakeprovider.DefaultScript)
	require.Equal(t, []string{"a/fake-model"}, r.listed())
	require.Equal(t, 200, r.ask(asking("a/fake-model", wholeBody)).status)
	r.ask(asking("fake-model", wholeBody)).requireError(t, 404, "model_not_found")
}

// In metrics a model has the name of its configuration, whatever clients call it, so that
// they cannot make series.
func TestMetricsCallAModelByItsConfiguredName(t *testing.T) {
	t.Parallel()
	r := newRouted(t, 2, manyNames)
	s := r.scraper(t)
	ask := func(name string) { require.Equal(t, 200, r.ask(asking(name, wholeBody)).status) }
	for _, name := range []string{"best", "top", "best-today", "gpt-4.1", "chatgpt-4", "gpt-5", "llama-mini", "b/anything"} {
		ask(name)
	}
	r.allEnded()
	before := s.scrape()
	requests := func(model string) (n float64) {
		for series, value := range family(s.scrape(), "sluice_requests_total") {
			if labelled(series, "model", model) {
				n += value
			}
		}
		return n
	}
	require.InDelta(t, 3, requests("best"), 0)
	require.InDelta(t, 2, requests("gpt-*"), 0)
	require.InDelta(t, 1, requests("gpt-5*"), 0)
	require.InDelta(t, 1, requests("*-mini"), 0)
	require.InDelta(t, 1, requests("other"), 0)
	for i := range 50 {
		ask(fmt.Sprint("gpt-4.", i))
		ask(fmt.Sprint("best-", i))
	}
	r.allEnded()
	require.Len(t, s.scrape(), len(before))
	require.InDelta(t, 52, requests("gpt-*"), 0)
	require.Equal(t, []string{"a gpt-4.1", "b gpt-*", "a vendor/five*", "b small/*", "a *", "a ", "b "}, targetNames(r.rig),
		"one state for all that a pattern stands for")
}

func labelled(series, label, value string) bool {
	return strings.Contains(series, fmt.Sprintf("{%s=%q", label, value)) || strings.Contains(series, fmt.Sprintf(",%s=%q", label, value))
}

func targetNames(r *rig) (names []string) {
	for _, s := range r.srv.Targets() {
		names = append(names, s.Provider+" "+s.Model)
	}
	return names
}
