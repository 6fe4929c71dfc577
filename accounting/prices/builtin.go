package prices

import (
	"bytes"
	_ "embed" // builtin.json
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
)

//go:embed builtin.json
var builtinFile []byte

// Builtin returns the prices that are known without an operator's help, each with the day
// on which it was looked up and the page of the vendor that it is from. They are those of
// the vendors' main models, and that of the simulator. The caller owns the slice, but not
// what its pointers refer to.
func Builtin() []Price { return slices.Clone(builtinPrices()) }

var builtinPrices = sync.OnceValue(func() []Price {
	prices, err := readListing(builtinFile)
	if err != nil {
		panic("prices: the built-in table: " + err.Error()) // a test reads it
	}
	return prices
})

// listed is an entry of builtin.json: the price of some models, and how the prices of
// other ways to be charged follow from it.
type listed struct {
	Vendor string   `json:"vendor"`
	Models []string `json:"models"`
	statedRates
	// Long is for requests of a certain size.
	Long *struct {
		AboveInput int64  `json:"above_input"`
		Input      factor `json:"input"`
		Output     factor `json:"output"`
	} `json:"long"`
	// Later are other rates from some day on.
	Later []struct {
		From string `json:"from"`
		statedRates
	} `json:"later"`
	// Tiers are factors of all rates, or other rates.
	Tiers map[string]json.RawMessage `json:"tiers"`
	// Regional is the factor for servers of a region that is chosen.
	Regional factor `json:"regional"`
	Date     string `json:"date"`
	Source   string `json:"source"`
}

// statedRates are amounts of USD for a million tokens.
type statedRates struct {
	Input               dollars  `json:"input"`
	Output              dollars  `json:"output"`
	InputCached         *dollars `json:"input_cached"`
	InputCacheWrite     *dollars `json:"input_cache_write"`
	InputCacheWriteLong *dollars `json:"input_cache_write_long"`
	InputAudio          *dollars `json:"input_audio"`
	OutputAudio         *dollars `json:"output_audio"`
}

func (s statedRates) price(p Price) Price {
	part := func(d *dollars) *Rate { return (*Rate)(d) }
	p.Input, p.Output = Rate(s.Input), Rate(s.Output)
	p.InputCached, p.InputCacheWrite, p.InputCacheWriteLong = part(s.InputCached), part(s.InputCacheWrite), part(s.InputCacheWriteLong)
	p.InputAudio, p.OutputAudio = part(s.InputAudio), part(s.OutputAudio)
	return p
}

// dollars is a Rate written in USD, and factor one in thousandths written as a number.
type (
	dollars Rate
	factor  int64
)

func (d *dollars) UnmarshalJSON(b []byte) error { return scaledNumber(b, perMillion, (*int64)(d)) }
func (f *factor) UnmarshalJSON(b []byte) error  { return scaledNumber(b, 1000, (*int64)(f)) }

func scaledNumber(b []byte, unit float64, to *int64) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f < 0 || f*unit > float64(maxRate) {
		return errors.New("is out of range")
	}
	*to = int64(math.Round(f * unit))
	return nil
}

// readListing expands a list like builtin.json.
func readListing(data []byte) ([]Price, error) {
	var list []listed
	if err := strictly(data, &list); err != nil {
		return nil, err
	}
	var prices []Price
	for i, entry := range list {
		expanded, err := entry.expand()
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		prices = append(prices, expanded...)
	}
	return prices, nil
}

func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON")
	}
	return nil
}

func (l listed) expand() ([]Price, error) {
	if l.Vendor == "" || len(l.Models) == 0 || l.Source == "" || l.Date == "" {
		return nil, errors.New("vendor, models, source and date are required")
	}
	var prices []Price
	for _, model := range l.Models {
		base := Price{Vendor: l.Vendor, Model: model, Date: l.Date, Source: l.Source}
		versions := []Price{l.price(base)}
		for _, later := range l.Later {
			base.From = later.From
			versions = append(versions, later.price(base))
		}
		for _, version := range versions {
			ways, err := l.ways(version)
			if err != nil {
				return nil, err
			}
			prices = append(prices, ways...)
		}
	}
	return prices, nil
}

// ways are a price and those for long requests, service tiers and regions.
func (l listed) ways(base Price) ([]Price, error) {
	ways := l.sizes(base)
	for _, tier := range slices.Sorted(maps.Keys(l.Tiers)) {
		tiered, err := l.tier(base, tier, l.Tiers[tier])
		if err != nil {
			return nil, fmt.Errorf("tier %s: %w", tier, err)
		}
		ways = append(ways, tiered...)
	}
	if l.Regional == 0 {
		return ways, nil
	}
	for _, p := range slices.Clone(ways) {
		p = p.scaled(int64(l.Regional), int64(l.Regional))
		p.Vendor += regional
		ways = append(ways, p)
	}
	return ways, nil
}

// sizes are a price and that for long requests.
func (l listed) sizes(p Price) []Price {
	if l.Long == nil {
		return []Price{p}
	}
	long := p.scaled(int64(l.Long.Input), int64(l.Long.Output))
	long.AboveInput = l.Long.AboveInput
	return []Price{p, long}
}

// tier is a service tier: a multiple of the normal price, also for long requests, or rates
// of its own.
func (l listed) tier(base Price, name string, raw json.RawMessage) ([]Price, error) {
	base.ServiceTier = name
	var f factor
	if json.Unmarshal(raw, &f) == nil && f > 0 {
		return l.sizes(base.scaled(int64(f), int64(f))), nil
	}
	var own statedRates
	if err := strictly(raw, &own); err != nil {
		return nil, err
	}
	return []Price{own.price(base)}, nil
}
