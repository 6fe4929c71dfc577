package pricer

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/prices"
)

// subjectOf is what the price of a record depends on. Some of it only the provider's own
// usage object says, and not all of them do:
//
//	Anthropic  "cache_creation": {"ephemeral_1h_input_tokens": 7}, which cost more
//	Anthropic  "speed": "fast", which is dearer than the service tier beside it
//	Anthropic  "inference_geo": "us", which costs what a region does elsewhere
//
// https://platform.claude.com/docs/en/about-claude/pricing
func (p *Pricer) subjectOf(r *accounting.Record) prices.Subject {
	s := p.subject(r.Provider, r.ModelServed, r.ServiceTier, r.Start)
	if len(r.RawUsage) == 0 || !gjson.ValidBytes(r.RawUsage) {
		return s
	}
	said := gjson.GetManyBytes(r.RawUsage, "cache_creation.ephemeral_1h_input_tokens", "speed", "inference_geo")
	if long := said[0]; long.Type == gjson.Number && long.Num > 0 {
		s.LongCacheWrites = long.Int()
	}
	if s.Vendor != "anthropic" {
		return s
	}
	if speed := said[1].Str; speed != "" && !strings.EqualFold(speed, "standard") {
		s.ServiceTier = speed
	}
	if strings.EqualFold(said[2].Str, "us") {
		s.Vendor = "anthropic-regional"
	}
	return s
}
