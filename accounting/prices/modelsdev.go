package prices

import "github.com/tidwall/gjson"

// modelsDevVendors are the vendors by the names that models.dev has for them, where they
// differ.
var modelsDevVendors = map[string]string{
	"amazon-bedrock": vendorBedrock, "fireworks-ai": "fireworks", "google-vertex": vendorVertex,
	"google-vertex-anthropic": vendorVertex, "moonshotai": "moonshot", "novita-ai": "novita",
	"togetherai": "together",
}

// modelsDevProvider takes in a provider of models.dev:
//
//	"openai": {"id": "openai", "models": {"gpt-4o": {"id": "gpt-4o", "cost": {"input": 2.5,
//	  "output": 10, "cache_read": 1.25}, ...}}}
func (r *reader) modelsDevProvider(name string, entry gjson.Result) {
	vendor := name
	if known, ok := modelsDevVendors[name]; ok {
		vendor = known
	}
	member(entry, "models").ForEach(func(model, m gjson.Result) bool {
		if vendor != "" && model.Str != "" && m.IsObject() {
			r.modelsDevModel(name+"/"+model.Str, Price{
				Vendor: vendor, Model: model.Str, Source: "models.dev", Date: day(text(m, "last_updated")),
			}, m)
		}
		return true
	})
}

// day is a date of the form 2006-01-02, or nothing.
func day(s string) string {
	if len(s) == len("2006-01-02") && hasForm(s, "dddd-dd-dd") {
		return s
	}
	return ""
}

func (r *reader) modelsDevModel(entry string, p Price, m gjson.Result) {
	cost := member(m, "cost")
	if !cost.IsObject() {
		return
	}
	ways := map[way]*rates{{}: r.modelsDevCost(entry, "cost", cost)}
	tiers := member(cost, "tiers")
	tiers.ForEach(func(_, tier gjson.Result) bool {
		size := member(member(tier, "tier"), "size")
		if size.Type == gjson.Number && size.Int() > 0 {
			ways[way{aboveInput: size.Int()}] = r.modelsDevCost(entry, "cost.tiers", tier)
		}
		return true
	})
	// The older form has one size for all models, which is not that of some of them.
	if long := member(cost, "context_over_200k"); long.IsObject() && len(tiers.Array()) == 0 {
		ways[way{aboveInput: 200_000}] = r.modelsDevCost(entry, "cost.context_over_200k", long)
	}
	member(member(m, "experimental"), "modes").ForEach(func(name, mode gjson.Result) bool {
		if cost := member(mode, "cost"); cost.IsObject() {
			tier := name.Str
			if said := text(member(member(mode, "provider"), "body"), "service_tier"); said != "" {
				tier = said
			}
			ways[way{tier: tierName(p.Vendor, tier)}] = r.modelsDevCost(entry, "experimental.modes."+name.Str, cost)
		}
		return true
	})
	r.add(p, ways)
}

func (r *reader) modelsDevCost(entry, path string, cost gjson.Result) *rates {
	rate := func(name string) *Rate {
		return r.rate(entry, path+"."+name, member(cost, name), perMillion)
	}
	return &rates{
		input: rate("input"), output: rate("output"), cached: rate("cache_read"), cacheWrite: rate("cache_write"),
		inputAudio: rate("input_audio"), reasoning: rate("reasoning"), outputAudio: rate("output_audio"),
	}
}
