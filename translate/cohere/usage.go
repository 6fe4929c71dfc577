package cohere

import (
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// usage reports what an object of usage states. The counts are those of tokens, which
// include Cohere's own prompt and what came from its cache. Those of billed_units are
// fewer and differ in kind; they are left to the raw object.
func usage(to translate.Sink, v jsonview.Value) {
	if v.Len() == 0 {
		return
	}
	u := tokens.Usage{
		Input:       count(v.Get("tokens", "input_tokens")),
		InputCached: count(v.Get("cached_tokens")),
		Output:      count(v.Get("tokens", "output_tokens")),
	}
	to.Usage(u, v.Raw)
}

func count(v jsonview.Value) tokens.Count {
	if n, ok := v.Int(); ok && n >= 0 {
		return tokens.Known(n)
	}
	return tokens.Count{}
}
