package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/proxy/balance"
)

// routedRig is a sluice whose model m has the providers a, b and so on as targets, which
// are asked in this order unless a test changes that. Each says who it is.
type routedRig struct {
	*rig
	ups map[string]*fakeprovider.Provider
}

func newRouted(tb testing.TB, n int, changes ...func(*config.Config)) *routedRig {
	tb.Helper()
	r := &routedRig{ups: make(map[string]*fakeprovider.Provider)}
	names := make([]string, n)
	for i := range names {
		names[i] = string(rune('a' + i))
	}
	providers := func(cfg *config.Config) {
		own := cfg.Providers[0]
		own.MayBill = config.MayBillPartial
		cfg.Providers = nil
		for i, name := range names {
			p := own
			p.Name = name
			if i > 0 {
				r.ups[name] = fakeprovider.New(tb)
				p.BaseURL = r.ups[name].URL()
			}
			cfg.Providers = append(cfg.Providers, p)
		}
		cfg.Models = []config.Model{routedModel("m", names...)}
	}
	r.rig = newRig(tb, append([]func(*config.Config){providers}, changes...)...)
	r.ups["a"] = r.up
	for _, name := range names {
		r.ups[name].Handle(wordsOf(name))
	}
	return r
}

// routedModel is a model of these providers, in the order of their priorities.
func routedModel(name string, providers ...string) config.Model {
	m := config.Model{Name: name, Balance: config.BalanceWeight, FirstTokenFailover: true}
	for i, p := range providers {
		m.Targets = append(m.Targets, config.Target{Provider: p, Model: name, Weight: 1, Priority: i + 1})
	}
	return m
}

// changing changes the model m.
func changing(change func(*config.Model)) func(*config.Config) {
	return func(cfg *config.Config) { change(&cfg.Models[0]) }
}

// alike gives all targets of a model the same priority.
func alike(m *config.Model) {
	for i := range m.Targets {
		m.Targets[i].Priority = 1
	}
}

// bounded lets the targets of a model have one request at a time.
func bounded(m *config.Model) {
	for i := range m.Targets {
		m.Targets[i].MaxConcurrent = 1
	}
}

// wordOf is in what a provider says, and in nothing that another one says.
func wordOf(name string) string { return "said-by-" + name }

// sayings is the answer of a provider.
func sayings(name string, asked fakeprovider.Asked) fakeprovider.ChatOptions {
	return fakeprovider.ChatOptions{Model: asked.Model, Texts: []string{wordOf(name), " and", " no", " more"}, IncludeUsage: true}
}

// wordsOf answers a request with the word of a provider.
func wordsOf(name string) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		asked := e.Asked()
		if !asked.Stream {
			e.JSON(200, fakeprovider.ChatAnswer(sayings(name, asked)))
			return
		}
		e.StreamHead()
		e.Play(fakeprovider.ChatStream(sayings(name, asked)))
	}
}

// wordsSlowly answers with the first tokens, and with the rest when it is told to.
func wordsSlowly(name string, rest <-chan struct{}) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		payloads := fakeprovider.ChatStream(sayings(name, e.Asked()))
		e.StreamHead()
		for _, p := range payloads[:2] {
			e.Event(p)
		}
		select {
		case <-rest:
			e.Play(payloads[2:])
		case <-e.Gone():
		}
	}
}

// wordsAfter waits for a request at another provider, and for a moment.
func wordsAfter(name string, other *fakeprovider.Provider, moment time.Duration) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		for len(other.Exchanges()) == 0 {
			if !e.Pause(time.Millisecond) {
				return
			}
		}
		if e.Pause(moment) {
			wordsOf(name)(e)
		}
	}
}

// saidBy is whose word is in an answer. There must be one, and only one.
func (r *routedRig) saidBy(p reply) string {
	r.Helper()
	require.Equal(r, 200, p.status, "%s", p.body)
	require.NoError(r, p.err)
	who := ""
	for name := range r.ups {
		if n := strings.Count(string(p.body), wordOf(name)); n > 0 {
			require.Empty(r, who, "%s", p.body)
			require.Equal(r, 1, n, "%s", p.body)
			who = name
		}
	}
	require.NotEmpty(r, who, "%s", p.body)
	return who
}

// calls are how many requests each provider has seen.
func (r *routedRig) calls() map[string]int {
	out := make(map[string]int)
	for name, up := range r.ups {
		if n := len(up.Exchanges()); n > 0 {
			out[name] = n
		}
	}
	return out
}

// state is how a target of the model m is doing.
func (r *routedRig) state(provider string) balance.State {
	r.Helper()
	for _, s := range r.srv.Targets() {
		if s.Provider == provider && s.Model == "m" {
			return s
		}
	}
	require.Fail(r, "no such target", provider)
	return balance.State{}
}

// idleTargets waits until nobody has or waits for a turn, and nothing is held of limits.
func (r *routedRig) idleTargets() {
	r.Helper()
	r.allEnded()
	for _, s := range r.srv.Targets() {
		require.Zero(r, s.Running, "%+v", s)
		require.Zero(r, s.Queued, "%+v", s)
	}
	require.Zero(r, r.srv.limiter.Held())
}

// requireRows asserts what the books say of the attempts of an exchange, each as
// "provider kind outcome/code", with a * for the final one.
func requireRows(t testing.TB, rec *accounting.Record, want ...string) {
	t.Helper()
	var got []string
	for i, a := range rec.Attempts {
		row := fmt.Sprintf("%s %s %s/%s", a.Provider, a.Kind, a.Outcome, a.Code)
		if a.Final {
			row += "*"
		}
		got = append(got, row)
		require.Equal(t, fmt.Sprintf("%s-%d", rec.ID, i+1), a.ID)
		require.False(t, a.Start.Before(rec.Start))
	}
	require.Equal(t, want, got)
}

// requireOneFinal asserts that a record agrees with its final attempt.
func requireOneFinal(t testing.TB, rec *accounting.Record) {
	t.Helper()
	finals := 0
	for _, a := range rec.Attempts {
		if a.Final {
			finals++
			require.Equal(t, rec.Provider, a.Provider)
			require.Equal(t, rec.ModelServed, a.Model)
		}
	}
	require.Equal(t, 1, finals, "%+v", rec.Attempts)
}

// spentOf is what the limits say that a subject has spent of a budget.
func (r *routedRig) spentOf(kind limits.Kind, name string, unit limits.Unit) int64 {
	r.Helper()
	low, high := int64(0), int64(1)<<50
	for low < high {
		middle := (low + high + 1) / 2
		quota := &limits.Quota{Budgets: []limits.Budget{{Unit: unit, Amount: middle, Per: limits.Day, Hard: true}}}
		grant, err := r.srv.limiter.Reserve(context.Background(), limits.Ask{
			ID: fmt.Sprint("probe-", middle), Subjects: []limits.Subject{{Kind: kind, Name: name, Quota: quota}},
		})
		if err == nil {
			grant.Settle(noAmount)
			high = middle - 1
			continue
		}
		var refused *limits.Refused
		require.True(r, errors.As(err, &refused), "%v", err)
		low = middle
	}
	return low
}
