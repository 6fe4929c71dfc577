package prices

import (
	"strings"
	"time"
)

// tierName is one name for what providers call a way to serve a request; empty for the
// normal one.
func tierName(vendor, tier string) string {
	switch tier = strings.ToLower(tier); tier {
	case "default", "standard", "standard_only", "auto", "on_demand", "on-demand":
		return ""
	case "batches":
		return "batch"
	case "fast":
		// OpenAI has renamed it and takes and gives either name. Anthropic's fast mode is
		// something else than its priority tier.
		if base := strings.TrimSuffix(vendor, regional); base == vendorOpenAI || base == vendorAzure {
			return "priority"
		}
	}
	return tier
}

// chargesForTiers reports whether a vendor is known to have prices of their own for
// service tiers, so that the normal price says nothing of them.
func chargesForTiers(vendor string) bool {
	switch strings.TrimSuffix(vendor, regional) {
	case vendorOpenAI, vendorAzure, vendorAnthropic, vendorGoogle, vendorVertex, vendorBedrock, "fireworks", "groq", "xai":
		return true
	}
	return false
}

// TierPeak is the service tier of the hours in which DeepSeek charges more. It is not the
// provider that says it but the clock.
const TierPeak = "peak"

// TierAt returns the service tier that the price of a request depends on which began at a
// time: tier, or for DeepSeek TierPeak from 01:00 to 04:00 and from 06:00 to 10:00 UTC on
// weekdays. On public holidays in China, which are not known here, there is no peak.
func TierAt(vendor, tier string, at time.Time) string {
	if vendor != vendorDeepSeek || tierName(vendor, tier) != "" {
		return tier
	}
	at = at.UTC()
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		return tier
	}
	if hour := at.Hour(); hour >= 1 && hour < 4 || hour >= 6 && hour < 10 {
		return TierPeak
	}
	return tier
}
