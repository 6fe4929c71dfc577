package proxy

import (
	"math/rand/v2"
	"strings"

	"github.com/sluicehq/sluice/config"
)

// target is where one exchange goes: a provider and the model's name there.
type target struct {
	provider *provider
	model    string
}

// name is how records and lists call the target.
func (t target) name() string {
	if t.model == "" {
		return t.provider.Name
	}
	return t.provider.Name + "/" + t.model
}

// routes maps the model names that clients use to targets.
type routes struct {
	providers []*provider
	byName    map[string]*provider
	models    map[string]model
	listed    []string // configured models in the order of the configuration
}

type model struct {
	limits  config.Quota
	capture bool
	targets []target
	weights []int
	total   int
}

func newRoutes(cfg *config.Config, providers []*provider) *routes {
	r := &routes{
		providers: providers,
		byName:    make(map[string]*provider, len(providers)),
		models:    make(map[string]model, len(cfg.Models)),
	}
	for _, p := range providers {
		r.byName[p.Name] = p
	}
	for _, m := range cfg.Models {
		entry := model{limits: m.Limits, capture: m.Capture}
		for _, t := range m.Targets {
			name := t.Model
			if name == "" {
				name = m.Name
			}
			entry.targets = append(entry.targets, target{provider: r.byName[t.Provider], model: name})
			entry.weights = append(entry.weights, t.Weight)
			entry.total += t.Weight
		}
		r.models[m.Name] = entry
		r.listed = append(r.listed, m.Name)
	}
	return r
}

// find returns the target for a public model name: a configured model by its
// weights, else "provider/model", else, when no models are configured, the first
// provider with the name as it is. Some dialects have the name in the path of a request,
// where a step of a path would lead elsewhere.
func (r *routes) find(name string) (target, bool) {
	if m, ok := r.models[name]; ok {
		return m.pick(), true
	}
	if prefix, rest, ok := strings.Cut(name, "/"); ok && rest != "" {
		if p := r.byName[prefix]; p != nil {
			return target{provider: p, model: rest}, !isStep(rest)
		}
	}
	if len(r.models) == 0 {
		return target{provider: r.providers[0], model: name}, !isStep(name)
	}
	return target{}, false
}

func isStep(name string) bool { return name == "." || name == ".." }

// fallback is the target of requests that name no model.
func (r *routes) fallback() target { return target{provider: r.providers[0]} }

func (m model) pick() target {
	if len(m.targets) == 1 || m.total <= 0 {
		return m.targets[0]
	}
	n := rand.IntN(m.total)
	for i, w := range m.weights {
		if n < w {
			return m.targets[i]
		}
		n -= w
	}
	return m.targets[len(m.targets)-1]
}
