package proxy

import (
	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/proxy/access"
)

// ChargeCrash charges the limits for an exchange that a dead process had left open.
func ChargeCrash(limiter *limits.Limiter, cfg *config.Config, keys *access.Keyring, r *accounting.Record) {
	charge(limiter, cfg, keys, r, usedBy(r))
}

// charge charges the limits for something that the exchange of a record has used and that
// is not in a reservation.
func charge(limiter *limits.Limiter, cfg *config.Config, keys *access.Keyring, r *accounting.Record, used limits.Amount) {
	var subjects []limits.Subject
	add := func(kind limits.Kind, name string, q config.Quota) {
		if !q.Zero() {
			subjects = append(subjects, limits.Subject{Kind: kind, Name: name, Quota: quotaOf(q)})
		}
	}
	if c, ok := keys.Caller(r.Key); ok {
		add(limits.Key, r.Key, c.Limits)
	}
	if m := modelOf(cfg, r.ModelAsked); m != nil {
		add(limits.Model, m.Name, m.Limits)
	}
	for _, p := range cfg.Providers {
		if p.Name == r.Provider {
			add(limits.Provider, p.Name, p.Limits)
		}
	}
	if len(subjects) > 0 {
		limiter.Charge(subjects, used, r.Start)
	}
}

// modelOf is the configured model that a name stands for, nil if there is none.
func modelOf(cfg *config.Config, name string) *config.Model {
	var best *config.Model
	longest := -1
	for i := range cfg.Models {
		m := &cfg.Models[i]
		for _, pattern := range append([]string{m.Name}, m.Aliases...) {
			if pattern == name {
				return m
			}
			if _, ok := config.MatchName(pattern, name); ok && len(pattern) > longest {
				best, longest = m, len(pattern)
			}
		}
	}
	return best
}

// usedBy is what an exchange has used, by its record, whatever its outcome: who hangs up
// before the usage is told has used it all the same.
func usedBy(r *accounting.Record) limits.Amount {
	tokens, nanoUSD := r.Used()
	return limits.Amount{Tokens: tokens, NanoUSD: nanoUSD}
}
