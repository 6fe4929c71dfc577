//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/internal/child"
)

// clientKey is a key of clients.
type clientKey struct {
	secret, alias, limits string
	limited               bool // it is refused now and then
	share                 int  // of the requests, in percent
}

const operatorKey = "sk-soak-operator"

var clientKeys = []*clientKey{
	{secret: "sk-soak-open", alias: "open", limits: "{streams: 1000000, tokens_per_minute: 1000000000, budgets: [{usd: 1000000, per: day, hard: true}]}", share: 90},
	{secret: "sk-soak-slow", alias: "slow", limits: "{requests_per_minute: 120}", limited: true, share: 5},
	{secret: "sk-soak-few", alias: "few", limits: "{streams: 3}", limited: true, share: 5},
}

func pickKey(random *rand.Rand) *clientKey {
	at := random.IntN(100)
	for _, k := range clientKeys {
		if at -= k.share; at < 0 {
			return k
		}
	}
	return clientKeys[0]
}

// The providers.
const (
	providerA    = "a"
	providerB    = "b"
	providerFlap = "flap" // refuses connections now and then
	providerGone = "gone" // never takes any
)

// route is a model and its targets, in the order of their priorities; those of the same
// priority have a bar between them.
type route struct {
	model   string
	targets []string
}

var routes = []route{
	{"twin-a", []string{providerA, providerB}},
	{"twin-b", []string{providerB, providerA}},
	{"even", []string{providerA + "|" + providerB}},
	{"flapping", []string{providerFlap, providerB}},
	{"late", []string{providerGone, providerA}},
	{"lone", []string{providerA}},
}

// modelNames of the models that can be asked with so many targets: a model whose only
// target is never there is of no use.
func modelNames(targets int) []string {
	var names []string
	for _, r := range routes {
		if targets > 1 || r.targets[0] != providerGone {
			names = append(names, r.model)
		}
	}
	return names
}

// unsteady reports whether connections may fail for this model.
func unsteady(model string) bool { return model == "flapping" || model == "late" }

// configuration writes the configurations of sluice.
type configuration struct {
	path          string
	listen, admin string
	ledger, spool string
	addresses     map[string]string // of the providers
	targets       int
}

// patience is how long sluice waits for an upstream that is silent. Healthy ones need far
// less, also on a busy machine.
const patience = 5 * time.Second

// brokenKey is the key of providers in the configurations that must not be taken.
const brokenKey = "sk-soak-broken"

// keyOf is the key of providers in a generation of the configuration.
func keyOf(generation int) string { return fmt.Sprintf("sk-soak-generation-%d", generation) }

// text of the configuration; each generation has other keys and weights.
func (c *configuration) text(generation int, key string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %q\nadmin: {listen: %q}\nledger: %q\nspool_dir: %q\nrecords: 1000\n", c.listen, c.admin, c.ledger, c.spool)
	b.WriteString("providers:\n")
	for _, name := range []string{providerA, providerB, providerFlap, providerGone} {
		fmt.Fprintf(&b, "  - {name: %s, dialect: openai, base_url: \"http://%s\", api_key: %q}\n", name, c.addresses[name], key)
	}
	b.WriteString("models:\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "  - name: %s\n    targets:\n", r.model)
		for i, same := range r.targets {
			if i >= c.targets {
				break
			}
			for j, name := range strings.Split(same, "|") {
				if j >= c.targets {
					break
				}
				fmt.Fprintf(&b, "      - {provider: %s, model: at-%s, weight: %d", name, r.model, 1+(generation+j)%7)
				if i > 0 {
					fmt.Fprintf(&b, ", priority: %d", i+1)
				}
				b.WriteString("}\n")
			}
		}
	}
	b.WriteString("keys:\n")
	for _, k := range clientKeys {
		fmt.Fprintf(&b, "  - {alias: %s, sha256: %q, limits: %s}\n", k.alias, child.Digest(k.secret), k.limits)
	}
	fmt.Fprintf(&b, "  - {alias: operator, sha256: %q, admin: true}\n", child.Digest(operatorKey))
	b.WriteString("prices:\n  overrides: [{model: at-*, input: 1, output: 2}]\n")
	fmt.Fprintf(&b, "timeouts: {connect: 2s, first_token: %[1]v, idle: %[1]v, drain: 10s}\n", patience)
	if c.targets > 1 {
		b.WriteString("breaker: {failures: 5, open: 2s}\n")
	}
	b.WriteString("log: {level: warn, format: json}\n")
	return b.String()
}

// broken is a configuration that must not be taken, the n-th of several kinds.
func (c *configuration) broken(n int) string {
	good := c.text(n, brokenKey)
	kinds := []string{
		good + "providers: [\n",
		good + "no_such_key: 1\n",
		strings.Replace(good, "provider: a,", "provider: nobody,", 1),
		strings.Replace(good, "timeouts: {connect: 2s", "timeouts: {connect: soon", 1),
		strings.Replace(good, "dialect: openai", "dialect: esperanto", 1),
		strings.Replace(good, c.listen, "127.0.0.1:1", 1), // cannot change while it runs
		good[:strings.Index(good, brokenKey)],             // cut inside a string
		"",
	}
	return kinds[n%len(kinds)]
}

// write puts a configuration in the place of the one before, at once.
func (c *configuration) write(text string) error {
	next := c.path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of sluice: %w", err)
	}
	if err := os.Rename(next, c.path); err != nil {
		return fmt.Errorf("writing the configuration of sluice: %w", err)
	}
	return nil
}
