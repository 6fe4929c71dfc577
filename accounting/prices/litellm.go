package prices

import (
	"cmp"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// liteLLMVendors are the vendors by the names that LiteLLM has for them, where they
// differ; the longest prefix counts.
var liteLLMVendors = map[string]string{
	"azure_ai": vendorAzure, "azure_text": vendorAzure, "bedrock_": vendorBedrock,
	"codestral": "mistral", "cohere_chat": "cohere", "dashscope": "alibaba",
	"fireworks_ai": "fireworks", "gemini": vendorGoogle, "nvidia_nim": "nvidia",
	"text-completion-codestral": "mistral", "text-completion-openai": vendorOpenAI,
	"together_ai": "together", "vercel_ai_gateway": "vercel", "vertex_ai": vendorVertex,
}

// liteLLMVendor is the vendor of a provider of LiteLLM.
func liteLLMVendor(provider string) string {
	longest, vendor := 0, provider
	for prefix, name := range liteLLMVendors {
		if strings.HasPrefix(provider, prefix) && len(prefix) > longest {
			longest, vendor = len(prefix), name
		}
	}
	return vendor
}

// liteLLM takes in an entry of LiteLLM's table:
//
//	"groq/openai/gpt-oss-120b": {"litellm_provider": "groq", "mode": "chat",
//	  "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, ...}
func (r *reader) liteLLM(name string, entry gjson.Result) {
	provider := text(entry, "litellm_provider")
	if name == "sample_spec" || provider == "" {
		return
	}
	ways := map[way]*rates{}
	entry.ForEach(func(key, value gjson.Result) bool {
		w, member := liteLLMKey(key.Str)
		if member == nil {
			return true
		}
		if rate := r.rate(name, key.Str, value, perToken); rate != nil {
			if ways[w] == nil {
				ways[w] = &rates{}
			}
			*member(ways[w]) = rate
		}
		return true
	})
	base, model := ways[way{}], liteLLMModel(name, provider)
	if base == nil || model == "" {
		return
	}
	if base.output == nil && text(entry, "mode") == "embedding" {
		base.output = new(Rate)
	}
	from := len(r.prices)
	p := Price{Vendor: liteLLMVendor(provider), Model: model, Source: "LiteLLM's table"}
	if source, err := url.Parse(text(entry, "source")); err == nil && source.Scheme == "https" {
		p.Source = short(source.String())
	}
	r.add(p, ways)
	r.liteLLMFactors(name, entry, r.prices[from:])
}

// liteLLMModel is the name of a model at its provider. LiteLLM puts the name of the
// provider in front of most, or what the names of several of them begin with.
func liteLLMModel(name, provider string) string {
	first, model, ok := strings.Cut(name, "/")
	behind, same := strings.CutPrefix(provider, first)
	if ok && same && (behind == "" || behind[0] == '_' || behind[0] == '-') {
		return model
	}
	return name
}

// liteLLMCosts are the costs per token of LiteLLM.
var liteLLMCosts = []struct {
	name   string
	member func(*rates) **Rate
}{
	{"input_cost_per_token", func(r *rates) **Rate { return &r.input }},
	{"output_cost_per_token", func(r *rates) **Rate { return &r.output }},
	{"cache_read_input_token_cost", func(r *rates) **Rate { return &r.cached }},
	{"cache_creation_input_token_cost_above_1hr", func(r *rates) **Rate { return &r.cacheLong }},
	{"cache_creation_input_token_cost_above_12hr", func(r *rates) **Rate { return &r.cacheLong }},
	{"cache_creation_input_token_cost", func(r *rates) **Rate { return &r.cacheWrite }},
	{"input_cost_per_audio_token", func(r *rates) **Rate { return &r.inputAudio }},
	{"output_cost_per_audio_token", func(r *rates) **Rate { return &r.outputAudio }},
	{"output_cost_per_reasoning_token", func(r *rates) **Rate { return &r.reasoning }},
}

// liteLLMWay is what follows the name of a cost: the size of the request in thousands of
// tokens, and the service tier.
var liteLLMWay = regexp.MustCompile(`^(?:_above_(\d{1,6})k_tokens)?(?:_([a-z]+))?$`)

// liteLLMKey tells what a member is a cost of; member is nil if it is none.
func liteLLMKey(key string) (w way, member func(*rates) **Rate) {
	for _, cost := range liteLLMCosts {
		behind, ok := strings.CutPrefix(key, cost.name)
		if !ok {
			continue
		}
		parts := liteLLMWay.FindStringSubmatch(behind)
		if parts == nil {
			continue
		}
		if parts[1] != "" {
			thousands, _ := strconv.ParseInt(parts[1], 10, 64) // six digits
			w.aboveInput = thousands * 1000
		}
		w.tier = tierName("", parts[2])
		return w, cost.member
	}
	return way{}, nil
}

// ordered lists the ways of an entry: the normal one first, and what is for any size
// before what is for long requests.
func ordered(ways map[way]*rates) []way {
	return slices.SortedFunc(maps.Keys(ways), func(a, b way) int {
		return cmp.Or(cmp.Compare(a.aboveInput, b.aboveInput), strings.Compare(a.tier, b.tier))
	})
}

// liteLLMFactors takes in what an entry states as a multiple of its prices: that of the
// servers of a region, and of Anthropic's fast mode.
func (r *reader) liteLLMFactors(name string, entry gjson.Result, prices []Price) {
	times := func(key string, factor gjson.Result, change func(*Price)) {
		if !factor.Exists() {
			return
		}
		if factor.Type != gjson.Number || factor.Num < 0 || factor.Num > 100 {
			r.problem(name, key, "must be a factor from 0 to 100")
			return
		}
		for _, p := range prices {
			thousandths := int64(math.Round(factor.Num * 1000))
			p = p.scaled(thousandths, thousandths)
			change(&p)
			r.prices = append(r.prices, p)
		}
	}
	inRegion := func(p *Price) { p.Vendor += regional }
	times("regional_endpoint_uplift_multiplier", member(entry, "regional_endpoint_uplift_multiplier"), inRegion)
	if text(entry, "litellm_provider") != vendorAnthropic {
		return
	}
	special := member(entry, "provider_specific_entry")
	times("provider_specific_entry.us", member(special, "us"), inRegion)
	prices = slices.DeleteFunc(slices.Clone(prices), func(p Price) bool { return p.ServiceTier != "" })
	times("provider_specific_entry.fast", member(special, "fast"), func(p *Price) { p.ServiceTier = "fast" })
}
