package proxy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/balance"
)

// target is where one attempt goes: a provider and the model's name there.
type target struct {
	provider *provider
	model    string
	label    string // the model's name in the configuration, for metrics
	health   *balance.Target
}

// name is how records and lists call the target.
func (t target) name() string {
	if t.model == "" {
		return t.provider.Name
	}
	return t.provider.Name + "/" + t.model
}

// route is where the requests for a public model go.
type route struct {
	model   *model   // nil where none is configured for it
	targets []target // at least one
	group   *balance.Group
}

// model is a configured one.
type model struct {
	config.Model
	targets []target
	group   *balance.Group
}

func (m *model) fallsBackOn(what string) bool {
	return len(m.FallbackOn) == 0 || slices.Contains(m.FallbackOn, what)
}

// label is the configured name behind a route, for metrics.
func (r *route) label() string {
	if r.model == nil {
		return "other"
	}
	return r.model.Name
}

// labelled is the label of the model in metrics; not ok for no model.
func (m *model) labelled() (label string, ok bool) {
	if m == nil {
		return "", false
	}
	return m.Name, true
}

// order is the order in which the targets are to be asked for one request.
func (r *route) order(sticky string) []target {
	if len(r.targets) == 1 {
		return r.targets
	}
	out := make([]target, 0, len(r.targets))
	for _, i := range r.group.Order(make([]int, 0, len(r.targets)), sticky) {
		out = append(out, r.targets[i])
	}
	return out
}

// routes maps the model names that clients use to targets.
type routes struct {
	providers []*provider
	byName    map[string]*provider
	models    map[string]*model // by name and alias, those without a *
	patterns  []pattern         // the others, the most exact first
	listed    []string          // names and aliases without a *, in their order in the configuration
	targets   []*balance.Target
}

// pattern is a name or an alias with a *.
type pattern struct {
	text  string
	model *model
}

// newRoutes makes the routes of a configuration. What is known of the targets that were
// there before goes on.
func newRoutes(cfg *config.Config, providers []*provider, before *routes) *routes {
	r := &routes{
		providers: providers,
		byName:    make(map[string]*provider, len(providers)),
		models:    make(map[string]*model, len(cfg.Models)),
	}
	health := newHealth(cfg, before)
	for _, p := range providers {
		r.byName[p.Name] = p
	}
	for _, configured := range cfg.Models {
		m := &model{Model: configured}
		var members []balance.Member
		for _, t := range configured.Targets {
			one := target{provider: r.byName[t.Provider], model: cmp.Or(t.Model, configured.Name), label: t.Model}
			if one.label == "" {
				one.label = configured.Name
			}
			one.health = health.of(one.provider.Name, one.label, t.MaxConcurrent)
			m.targets = append(m.targets, one)
			members = append(members, balance.Member{Target: one.health, Weight: t.Weight, Priority: t.Priority})
		}
		m.group = balance.NewGroup(members, ruleOf(configured.Balance), cfg.Retry.Budget)
		r.name(m.Name, m)
		for _, alias := range m.Aliases {
			r.name(alias, m)
		}
	}
	slices.SortStableFunc(r.patterns, func(a, b pattern) int { return cmp.Compare(len(b.text), len(a.text)) })
	for _, p := range providers {
		known := health.of(p.Name, "", 0)
		if p.health == nil { // else it is in use
			p.health, p.group = known, balance.NewGroup([]balance.Member{{Target: known}}, balance.ByWeight, cfg.Retry.Budget)
		}
	}
	r.targets = health.targets
	return r
}

func (r *routes) name(name string, m *model) {
	if strings.Contains(name, "*") {
		r.patterns = append(r.patterns, pattern{name, m})
		return
	}
	r.models[name] = m
	r.listed = append(r.listed, name)
}

// empty tells that no model is configured.
func (r *routes) empty() bool { return len(r.models) == 0 && len(r.patterns) == 0 }

func ruleOf(rule string) balance.Rule {
	if rule == config.BalanceLatency {
		return balance.ByLatency
	}
	return balance.ByWeight
}

// find returns the route for a public model name: that of a configured model, else
// "provider/model", else, when no models are configured, the first provider with the name
// as it is. Some dialects have the name in the path of a request, where a step of a path
// would lead elsewhere.
func (r *routes) find(name string) (route, bool) {
	if m, ok := r.models[name]; ok {
		return m.route(), true
	}
	for _, p := range r.patterns {
		if wild, ok := config.MatchName(p.text, name); ok {
			return p.model.routeOf(p.text, wild, name)
		}
	}
	if prefix, rest, ok := strings.Cut(name, "/"); ok && rest != "" {
		if p := r.byName[prefix]; p != nil {
			return p.route(rest), !isStep(rest)
		}
	}
	if r.empty() {
		return r.providers[0].route(name), !isStep(name)
	}
	return route{}, false
}

func isStep(name string) bool { return name == "." || name == ".." }

// model is the configured model that a name stands for, nil if there is none.
func (r *routes) model(name string) *model {
	if m, ok := r.models[name]; ok {
		return m
	}
	for _, p := range r.patterns {
		if _, ok := config.MatchName(p.text, name); ok {
			return p.model
		}
	}
	return nil
}

// fallback is the route of requests that name no model.
func (r *routes) fallback() route { return r.providers[0].route("") }

// route is the route to a model of the provider that is not configured.
func (p *provider) route(model string) route {
	return route{targets: []target{{provider: p, model: model, health: p.health}}, group: p.group}
}

// route is the route of the model under a name without a *.
func (m *model) route() route { return route{model: m, targets: m.targets, group: m.group} }

// routeOf is the route of the model under a name that fits one of its patterns; wild is
// what the * stands for. A target without a name of its own takes the name as it is.
func (m *model) routeOf(pattern, wild, name string) (route, bool) {
	out := m.route()
	out.targets = make([]target, len(m.targets))
	for i, t := range m.targets {
		if m.Targets[i].Model == "" || t.model == pattern {
			t.model = name
		} else {
			t.model = config.SubstituteName(t.model, wild)
		}
		if isStep(t.model) {
			return route{}, false
		}
		out.targets[i] = t
	}
	return out, true
}

// health keeps what is known of the targets: one state for each name of a model at each
// provider, whatever public models lead there.
type health struct {
	cfg     *config.Config
	known   map[string]*balance.Target
	targets []*balance.Target
	used    map[string]int // the bound that was set for it
}

func newHealth(cfg *config.Config, before *routes) *health {
	h := &health{cfg: cfg, known: make(map[string]*balance.Target), used: make(map[string]int)}
	if before != nil {
		for _, t := range before.targets {
			h.known[t.Name()] = t
		}
	}
	return h
}

// of is the state of a target. Where two models set bounds for the same one, the lower
// holds.
func (h *health) of(provider, model string, bound int) *balance.Target {
	o := balance.Options{
		Provider: provider, Model: model, MaxConcurrent: bound,
		QueueMax: h.cfg.Queue.Max, QueueWait: h.cfg.Queue.Wait.Std(),
		Failures: h.cfg.Breaker.Failures, Open: h.cfg.Breaker.Open.Std(),
	}
	name := provider
	if model != "" {
		name += "/" + model
	}
	t := h.known[name]
	earlier, again := h.used[name]
	if again && (bound == 0 || earlier > 0 && earlier < bound) {
		return t
	}
	h.used[name] = bound
	if t == nil {
		t = balance.NewTarget(o)
		h.known[name] = t
	} else {
		t.Configure(o)
	}
	if !again {
		h.targets = append(h.targets, t)
	}
	return t
}
