package proxy

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// generated is what OpenRouter says of a request (API reference, "Get a generation"). The
// native counts are those of the vendor's own tokenizer, by which it charges; Vercel's
// gateway answers in the same form.
type generated struct {
	usage tokens.Usage
	// raw are its numbers as they came, and none of its words.
	raw []byte
	// total, in USD, was charged by the provider, and vendor by the vendor behind it, if
	// the account there is the operator's own (byok). Empty where it is not said.
	total, vendor string
	byok          bool
}

// settled tells whether the provider knows already what was used.
func (g generated) settled() bool { return g.usage.Input.Known && g.usage.Output.Known }

// cost is what all who were involved have charged, in units of 1e-9 USD.
func (g generated) cost() (nano int64, ok bool) {
	total, ok := nanoUSD(g.total)
	if !ok || !g.byok {
		return total, ok
	}
	vendor, ok := nanoUSD(g.vendor)
	return total + vendor, ok
}

// generatedNumbers are the members that a record keeps.
var generatedNumbers = map[string]bool{
	"tokens_prompt": true, "tokens_completion": true,
	"native_tokens_prompt": true, "native_tokens_completion": true, "native_tokens_reasoning": true,
	"native_tokens_cached": true, "native_tokens_completion_images": true,
	"num_media_prompt": true, "num_input_audio_prompt": true, "num_media_completion": true,
	"num_search_results": true, "num_fetches": true,
	"usage": true, "total_cost": true, "cache_discount": true, "upstream_inference_cost": true,
	"is_byok": true, "cancelled": true, "streamed": true,
}

// parseGeneration reads an answer, which must be valid JSON. One that is about another
// request says nothing.
func parseGeneration(body []byte, id string) generated {
	data := gjson.GetBytes(body, "data")
	if of := data.Get("id"); !data.IsObject() || of.Exists() && of.Str != id {
		return generated{}
	}
	var g generated
	seen := make(map[string]bool)
	data.ForEach(func(name, value gjson.Result) bool {
		number := value.Type == gjson.Number && len(value.Raw) <= maxNumber || value.IsBool()
		if !generatedNumbers[name.Str] || !number || seen[name.Str] {
			return true
		}
		seen[name.Str] = true
		g.member(name.Str, value)
		g.raw = append(append(append(append(g.raw, ',', '"'), name.Str...), '"', ':'), value.Raw...)
		return true
	})
	if g.raw != nil {
		g.raw[0] = '{'
		g.raw = append(g.raw, '}')
	}
	return g
}

func (g *generated) member(name string, v gjson.Result) {
	switch name {
	case "native_tokens_prompt":
		setCount(&g.usage.Input, v)
	case "native_tokens_cached":
		setCount(&g.usage.InputCached, v)
	case "native_tokens_completion":
		setCount(&g.usage.Output, v)
	case "native_tokens_reasoning":
		setCount(&g.usage.OutputReasoning, v)
	case "total_cost":
		g.total = v.Raw
	case "upstream_inference_cost":
		g.vendor = v.Raw
	case "is_byok":
		g.byok = v.Bool()
	}
}

// maxTokens is the largest count that is believed.
const maxTokens = 1 << 40

func setCount(c *tokens.Count, v gjson.Result) {
	if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil && n >= 0 && n <= maxTokens {
		c.Set(n)
	}
}

const (
	nanoDecimals = 9
	// maxNumber bounds a number in characters, maxExponent an amount of money.
	maxNumber, maxExponent = 64, 30
	// maxCost is a million dollars.
	maxCost = 1_000_000_000_000_000
)

// nanoUSD reads a JSON number of USD digit by digit, in units of 1e-9 USD, rounded to the
// nearest, halves up.
func nanoUSD(number string) (nano int64, ok bool) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(number), "e")
	whole, decimals, _ := strings.Cut(mantissa, ".")
	if whole == "" || whole[0] == '-' || len(number) > maxNumber {
		return 0, false
	}
	point := len(whole) + nanoDecimals
	if scientific {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > maxExponent || e < -maxExponent {
			return 0, false
		}
		point += e
	}
	digits := whole + decimals
	if point < 0 {
		return 0, true
	}
	if missing := point - len(digits); missing > 0 {
		digits += strings.Repeat("0", missing)
	}
	if point > 0 {
		var err error
		if nano, err = strconv.ParseInt(digits[:point], 10, 64); err != nil || nano >= maxCost {
			return 0, false
		}
	}
	if point < len(digits) && digits[point] >= '5' {
		nano++
	}
	return nano, true
}
