// Package prices knows what tokens cost: a small table that is built in, the tables that
// others publish, and the prices of the operator. All amounts are whole numbers; no
// binary fraction is in between.
package prices

import (
	"strconv"
	"strings"
	"time"
)

// Rate is what a million tokens cost, in units of 1e-9 USD: 0.15 USD is 150_000_000.
// It is never negative.
type Rate int64

// usd is one dollar.
const usd Rate = 1_000_000_000

// String returns the rate in USD as a decimal number: 0.15.
func (r Rate) String() string {
	text := strconv.FormatInt(int64(r/usd), 10)
	if rest := int64(r % usd); rest != 0 {
		decimals := strconv.FormatInt(rest+int64(usd), 10)[1:]
		text += "." + strings.TrimRight(decimals, "0")
	}
	return text
}

// MarshalJSON writes the rate as a number of USD.
func (r Rate) MarshalJSON() ([]byte, error) { return []byte(r.String()), nil }

// Price is what the tokens of some models cost.
type Price struct {
	// Vendor is who sells the tokens, in the words of VendorOf, and Provider the name that
	// an operator gave to an endpoint. Empty means any.
	Vendor   string `json:"vendor,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Model is the name at the provider; * stands for any run of characters. Case does
	// not count.
	Model string `json:"model"`
	// ServiceTier is empty for the normal one.
	ServiceTier string `json:"service_tier,omitempty"`
	// AboveInput says that the price holds for requests with more input tokens than this,
	// for all tokens of the request.
	AboveInput int64 `json:"above_input,omitempty"`
	// From is the first day of the price in UTC, as 2006-01-02. Empty means that it is the
	// first one that is known, which holds for all that came before too.
	From string `json:"from,omitempty"`

	Input  Rate `json:"input"`
	Output Rate `json:"output"`
	// The parts cost what the whole does where they are nil. InputCacheWriteLong is for
	// what is kept longer than usual (Anthropic's hour); it costs what InputCacheWrite
	// does where it is nil.
	InputCached         *Rate `json:"input_cached,omitempty"`
	InputCacheWrite     *Rate `json:"input_cache_write,omitempty"`
	InputCacheWriteLong *Rate `json:"input_cache_write_long,omitempty"`
	InputAudio          *Rate `json:"input_audio,omitempty"`
	OutputReasoning     *Rate `json:"output_reasoning,omitempty"`
	OutputAudio         *Rate `json:"output_audio,omitempty"`

	// Date is the day on which the price was looked up, as 2006-01-02, and Source where.
	Date   string `json:"date,omitempty"`
	Source string `json:"source,omitempty"`
}

// Subject is what a price is wanted for.
type Subject struct {
	// Provider is the configured name, Vendor what VendorOf says of it.
	Provider, Vendor string
	// Model is the name at the provider.
	Model string
	// ServiceTier is what the provider says of how it served the request.
	ServiceTier string
	// At is when the request began. The zero time is before any price changed.
	At time.Time
	// LongCacheWrites are the tokens of InputCacheWrite that are kept longer than usual.
	LongCacheWrites int64
}

// scaled is the price with the rates of input and output multiplied by a factor each, in
// thousandths.
func (p Price) scaled(input, output int64) Price {
	times := func(r Rate, by int64) Rate { return Rate(ratio(int64(r), by, 1000)) }
	part := func(r *Rate, by int64) *Rate {
		if r == nil {
			return nil
		}
		scaled := times(*r, by)
		return &scaled
	}
	p.Input, p.Output = times(p.Input, input), times(p.Output, output)
	p.InputCached, p.InputCacheWrite = part(p.InputCached, input), part(p.InputCacheWrite, input)
	p.InputCacheWriteLong, p.InputAudio = part(p.InputCacheWriteLong, input), part(p.InputAudio, input)
	p.OutputReasoning, p.OutputAudio = part(p.OutputReasoning, output), part(p.OutputAudio, output)
	return p
}
